"""The engine's operators, as `torch.library.opcheck`, `torch.compile` and `torch.export` see them.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikemnist.engine.membranes import RESETS
from spikemnist.engine.operators import leaky_layers, leaky_layers_backward
from spikemnist.engine.slopes import slope_of
from spikemnist.kernels import memory
from spikemnist.models import LeakyMLP
from tests.engine.stacks import (
    PARTS,
    Stack,
    by_engine,
    leaves_of,
    loss_of,
    loss_weights,
    spikes,
    stack,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

pytestmark = pytest.mark.filterwarnings(
    # Dynamo and Inductor call what Python and torch themselves have deprecated.
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    # The opcheck of torch 2.15 reads the gradient of its own copies of the arguments.
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
)

COMPILERS = ["cl"] if sys.platform == "win32" else ["g++", "clang++"]
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason=f"needs a C++ compiler: {' or '.join(COMPILERS)}"
)
captured = pytest.mark.skipif(
    torch.torch_version.TorchVersion(torch.__version__) < (2, 13),
    reason="Dynamo captures the engine as a whole from torch 2.13 on",
)
FIELDS = 6  # of `network.Output`


@pytest.fixture(autouse=True)
def nothing_compiled_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill memory that may stay unwritten, so that two runs can be compared tensor by tensor."""
    empty = memory.empty
    monkeypatch.setattr(memory, "empty", lambda shape, dtype: empty(shape, dtype).zero_())


def arguments(given: Stack, *, differentiated: bool) -> tuple[Any, ...]:
    """Return the arguments of the forward operator."""
    own = leaves_of(given)[0] if differentiated else given
    lists = [
        [torch.empty(0) if (value := getattr(each, part)) is None else value for each in own.layers]
        for part in PARTS
    ]
    steps, batch, _ = given.spikes.shape
    random = torch.Generator().manual_seed(0)
    masks = []
    for each in own.layers:
        size = len(each.bias) if each.weight is None else len(each.weight)
        mask = torch.rand(steps, batch, size, generator=random) < 1 - each.dropout
        masks.append(mask.to(torch.uint8) if each.dropout else torch.empty(0))
    recorded = [given.record == "all" or each is own.layers[-1] for each in own.layers]
    return (
        own.spikes,
        *lists,
        masks,
        [RESETS[each.reset_mechanism] for each in own.layers],
        [float(number) for each in own.layers for number in slope_of(each.spike_grad)],
        [1 / (1 - each.dropout) for each in own.layers],
        recorded,
        given.final,
        differentiated,
    )


def fed(given: Stack, images: Tensor) -> Stack:
    return replace(given, spikes=images)


GREY = torch.rand(5, 3, 70, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NARROW = stack((70, 65, 3), steps=5)
SAMPLES = {
    "spikes": NARROW,
    "few spikes": stack((70, 65, 3), steps=5, density=0.05),
    "single precision": stack((70, 65, 3), steps=5, dtype=torch.float32),
    "everything": stack((70, 65, 3), steps=5, record="all", final=True, initial=True),
    "dropout": stack((70, 65, 65, 3), steps=5, dropout=0.5),
    "integers": fed(NARROW, spikes(5, 3, 70, dtype=torch.uint8)),
    "analog": fed(NARROW, GREY),
    "constant": fed(NARROW, GREY[0].expand(5, 3, 70)),
    "one of each": stack((1, 1), steps=1, batch=1),
    "one sample": stack((130, 66, 3), steps=5, batch=1),
    "no samples": stack((70, 65, 3), steps=5, batch=0),
    "no biases": stack((70, 65, 3), steps=5, bias=False),
    "currents": fed(
        replace(NARROW, layers=[replace(NARROW.layers[0], weight=None), NARROW.layers[1]]),
        GREY[..., :65],
    ),
    "currents above": replace(
        NARROW, layers=[NARROW.layers[0], replace(stack((70, 65)).layers[0], weight=None)]
    ),
}
DIFFERENTIATED = [(sample, True) for sample in SAMPLES]


@pytest.mark.usefixtures("silenced")
@pytest.mark.parametrize(("sample", "differentiated"), [*DIFFERENTIATED, ("everything", False)])
def test_the_forward_operator_keeps_the_rules(sample: str, differentiated: bool) -> None:
    """Its schema, its shapes in a trace, its gradient and what a trace makes of it."""
    given = arguments(SAMPLES[sample], differentiated=differentiated)
    torch.library.opcheck(leaky_layers, given)


@pytest.mark.usefixtures("silenced")
@pytest.mark.parametrize(("sample", "everything"), [*DIFFERENTIATED, ("dropout", False)])
def test_the_backward_operator_keeps_the_rules(sample: str, everything: bool) -> None:
    given = SAMPLES[sample]
    towards = loss_weights(given)
    inputs, *lists, masks, resets, slopes, scales, recorded, final, _ = arguments(
        given, differentiated=False
    )
    outputs = leaky_layers(inputs, *lists, masks, resets, slopes, scales, recorded, final, True)
    *fields, counts, words = outputs
    by_layer = [fields[i : i + FIELDS] for i in range(0, len(fields), FIELDS)]
    loss = [
        one.get(name, torch.empty(0)) for one in towards for name in ("spikes", "membrane", "final")
    ]
    weighed = [weight.dim() == 2 for weight in lists[0]]
    initial = [start.numel() > 0 for start in lists[4]]
    wanted = []  # for each layer: weight, beta or threshold, initial membranes, what came in
    for index in range(len(by_layer)):
        wanted += [weighed[index], everything, everything and initial[index]]
        wanted += [everything or index > 0]
    torch.library.opcheck(
        leaky_layers_backward,
        (
            loss,
            inputs,
            inputs.shape[2],
            counts,
            [words, *(one[3] for one in by_layer[:-1])],
            [one[4] for one in by_layer],
            [one[5] for one in by_layer],
            *lists,
            resets,
            slopes,
            scales,
            recorded,
            wanted,
        ),
    )


@captured
@pytest.mark.parametrize("sample", sorted(SAMPLES.keys() - {"dropout"}))
def test_a_trace_runs_what_runs_without_one(sample: str) -> None:
    given = SAMPLES[sample]
    towards = loss_weights(given)

    def step(own: Stack, leaves: dict[str, Tensor]) -> list[Tensor]:
        did = by_engine(own.spikes, own.layers, record=own.record, final=own.final)
        return [loss_of(did, towards), did[-1].membrane, *(one.counts for one in did)]

    own, leaves = leaves_of(given)
    wanted = list(leaves.values())
    expected = step(own, leaves)
    gradients = torch.autograd.grad(expected[0], wanted)
    found = torch.compile(step, backend="aot_eager", fullgraph=True)(own, leaves)
    assert all(map(torch.equal, found, expected))
    traced = torch.autograd.grad(found[0], wanted)
    assert all(map(torch.equal, traced, gradients))


def new_model(**options: Any) -> LeakyMLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeakyMLP(
            70, (65,), 3, backend="event_driven", learn_beta=True, learn_threshold=True, **options
        )
    for each in model.layers:
        each.linear.weight.data.mul_(4)
    return model


def train(model: LeakyMLP, images: Tensor, backend: str | None) -> list[Tensor]:
    """Take three steps; return the losses and what the model learned."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.tensor([0, 1, 2])

    def loss(images: Tensor) -> Tensor:
        return functional.cross_entropy(model(images).scores, labels)

    run: Any = loss if backend is None else torch.compile(loss, backend=backend, fullgraph=True)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        value = run(images)
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    return [*losses, *(parameter.detach().clone() for parameter in model.parameters())]


@captured
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_training_step_is_captured(dropout: float, dtype: torch.dtype) -> None:
    images = spikes(6, 3, 70, dtype=dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = train(new_model(dropout=dropout), images, None)
        torch.manual_seed(0)
        found = train(new_model(dropout=dropout), images, "aot_eager")
    assert all(map(torch.equal, found, expected))
    assert len({float(loss) for loss in expected[:3]}) == 3


@captured
def test_a_captured_step_takes_batches_of_any_size() -> None:
    model = new_model()
    compiled = torch.compile(lambda x: model(x).scores, backend="aot_eager", dynamic=True)
    for batch, steps in ((3, 6), (5, 6), (1, 6), (5, 9)):
        images = spikes(steps, batch, 70)
        assert torch.equal(compiled(images), model(images).scores)


@needs_compiler
@captured
def test_a_training_step_is_compiled() -> None:
    images = spikes(6, 3, 70)
    expected, found = (train(new_model(), images, backend) for backend in (None, "inductor"))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


class Scores(nn.Module):
    """`torch.export` takes tensors in and out, and a record is more than that."""

    def __init__(self, model: LeakyMLP) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).scores


@captured
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_a_model_is_exported(dtype: torch.dtype) -> None:
    """Also for other batches than the one that it was shown, and by way of a file."""
    model = new_model().eval()
    batch = torch.export.Dim("batch", min=2, max=1024)
    example = (spikes(6, 3, 70, dtype=dtype),)
    with torch.no_grad():
        program = torch.export.export(Scores(model), example, dynamic_shapes={"images": {1: batch}})
    assert "spikemnist.leaky_layers" in str(program.graph)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()
    for size in (2, 3, 40):
        images = spikes(6, size, 70, seed=size, dtype=dtype)
        assert torch.equal(loaded(images), model(images).scores)


def test_the_operators_have_no_second_derivative() -> None:
    given = arguments(NARROW, differentiated=True)
    membrane = leaky_layers(*given)[FIELDS + 1]
    (first,) = torch.autograd.grad(membrane.square().sum(), given[1][0], create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        first.sum().backward()
