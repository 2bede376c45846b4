"""`torch.compile` of a training step. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikemnist import ops
from spikemnist.models import READOUTS, LeakyConvNet, LeakyMLP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

# Dynamo and Inductor call what Python and torch themselves have deprecated.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

COMPILERS = ["cl"] if sys.platform == "win32" else ["g++", "clang++"]
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason=f"needs a C++ compiler: {' or '.join(COMPILERS)}"
)

# Inductor neither starts processes that compile nor tries out what the processor can do.
OPTIONS: dict[str, Any] = {"inductor": {"compile_threads": 1, "cpp.vec_isa_ok": False}}


@pytest.fixture(autouse=True)
def nothing_compiled_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def train(
    model: LeakyMLP, spikes: Tensor, labels: Tensor, backend: str | None
) -> tuple[list[float], dict[str, Tensor]]:
    """Take three steps; return the losses and what the model learned."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss() -> Tensor:
        return functional.cross_entropy(model(spikes).scores, labels)

    run: Any = loss
    if backend is not None:
        run = torch.compile(loss, backend=backend, options=OPTIONS.get(backend))
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        value = run()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses, {key: tensor.clone() for key, tensor in model.state_dict().items()}


def assert_compiled_equals_eager(backend: str, steps: int, **options: Any) -> None:
    random = torch.Generator().manual_seed(0)
    spikes = (torch.rand(steps, 5, 6, generator=random) < 0.5).float()
    labels = torch.tensor([0, 1, 2, 0, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LeakyMLP(6, (4,), 3, learn_beta=True, learn_threshold=True, **options)
    for layer in model.layers:  # strong enough that the output fires
        layer.linear.weight.data.mul_(3)
        layer.linear.bias.data.abs_().add_(0.3)
    start = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    losses, learned = train(model, spikes, labels, None)
    model.load_state_dict(start)
    compiled_losses, compiled = train(model, spikes, labels, backend)
    assert len(set(losses)) == 3
    assert not any(torch.equal(learned[name], start[name]) for name, _ in model.named_parameters())
    assert compiled_losses == pytest.approx(losses, rel=1e-5)
    for key, tensor in learned.items():
        torch.testing.assert_close(compiled[key], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("readout", "reset_mechanism"),
    list(zip(READOUTS, ["subtract", *ops.RESET_MECHANISMS, *["subtract"] * 9], strict=False)),
)
def test_a_training_step_is_captured(readout: str, reset_mechanism: str) -> None:
    assert_compiled_equals_eager("aot_eager", 3, readout=readout, reset_mechanism=reset_mechanism)


@needs_compiler
def test_a_training_step_is_compiled() -> None:
    assert_compiled_equals_eager("inductor", 2)


class Scores(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.model(spikes).scores


@pytest.mark.parametrize("network", ["dense", "convolutional"])
def test_an_export_holds_the_reference(network: str) -> None:
    if network == "dense":
        model, shape = LeakyMLP(60, (50,), 5), (14, 40, 60)
    else:
        model, shape = LeakyConvNet("4C3-P2-5", (1, 10, 10)), (14, 40, 1, 10, 10)
    spikes = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    program = torch.export.export(Scores(model), (spikes,), strict=False)
    model.backend = "reference"
    torch.testing.assert_close(program.module()(spikes), model(spikes).scores)
    model.backend = "event_driven"
    with pytest.raises(ValueError, match=r"torch\.export cannot trace its kernels"):
        torch.export.export(Scores(model), (spikes,), strict=False)
