"""`torch.compile` of a training step. Shapes: ``T`` timesteps, ``B`` batch."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikemnist import ops
from spikemnist.models import (
    READOUTS,
    Classifier,
    LeakyConvNet,
    LeakyMLP,
    SpikingNetwork,
)
from tests.models.stepped_network import assert_close, gradients, images, lively, neuron

# Dynamo and Inductor call what Python and torch themselves have deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
]

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


def learning(*resets: str, **options: Any) -> LeakyMLP:
    """Return a network with a layer for each reset, whose every parameter learns."""
    # torch pickles the surrogate of what it compiles.
    learn: dict[str, Any] = {"learn_beta": True, "learn_threshold": True, "spike_grad": ops.ATan()}
    model = LeakyMLP((4,) * (len(resets) - 1), in_features=9, out_features=3, **options)
    for stage, mechanism in zip(model.network, resets, strict=True):
        stage.leaky = neuron(reset_mechanism=mechanism, **learn)
    return lively(model)


def assert_compiled_equals_eager(compiler: str, model: SpikingNetwork) -> None:
    """Compare the loss and every gradient in two steps of training."""
    spikes, labels = images(2, side=3), torch.tensor([0, 1, 2])
    assert all(layer.spikes.any() for layer in model(spikes, record="all").layers)

    def loss() -> Tensor:
        return functional.cross_entropy(model(spikes).scores, labels)

    compiled: Any = torch.compile(loss, backend=compiler, options=OPTIONS.get(compiler))
    for _ in range(2):
        expected = gradients(model, loss)
        assert all(gradient.any() for gradient in expected.values())
        torch.testing.assert_close(compiled(), loss())
        assert_close(gradients(model, compiled), expected, 1e-5)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= 0.1 * expected[name]


def every_readout(spikes: Tensor, membrane: Tensor) -> Tensor:
    return sum(readout(spikes, membrane) for readout in READOUTS.values())


def test_captured_training_step() -> None:
    model = learning(*ops.RESET_MECHANISMS, readout=every_readout, backend="reference")
    assert_compiled_equals_eager("aot_eager", model)


@pytest.mark.slow
@needs_compiler
def test_compiled_training_step() -> None:
    assert_compiled_equals_eager(
        "inductor", learning("subtract", readout="spike_count", backend="reference")
    )


def test_captured_encoder(recwarn: pytest.WarningsRecorder) -> None:
    network = LeakyMLP(4, in_features=9, out_features=3, backend="reference")
    classifier = Classifier(network, "latency")
    pixels = torch.arange(27, dtype=torch.uint8).view(3, 3, 3) * 9
    actual = torch.compile(classifier, backend="eager")(pixels).scores
    assert not [one.message for one in recwarn if "cache" in str(one.message)]
    assert torch.equal(actual, classifier(pixels).scores)


class Scores(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    def forward(self, spikes: Tensor) -> Tensor:
        return self.model(spikes).scores


@pytest.mark.parametrize(
    "model",
    [LeakyMLP((50,), in_features=196, out_features=5), LeakyConvNet("4C3-P2-5", (1, 14, 14))],
    ids=["dense", "convolutional"],
)
def test_export_holds_the_reference(model: SpikingNetwork) -> None:
    """The batch is so large that the engine would run it, could its kernels be traced."""
    spikes = images(14, 40)
    program = torch.export.export(Scores(model), (spikes,), strict=False)
    model.backend = "reference"
    torch.testing.assert_close(program.module()(spikes), model(spikes).scores)
