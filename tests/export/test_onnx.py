"""ONNX, run by onnxruntime."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from spikemnist import Classifier, DirectEncoder, LeakyConvNet, LeakyMLP, RateEncoder, load
from spikemnist.export import to_onnx
from spikemnist.models import READOUTS, available_pretrained
from tests.export.replay import DIGITS, draw_network, samples_that_differ, watch
from tests.pairs import Case, named, pairs


class Brightest:
    """A code of its own, in which a pixel depends on the others: the brightest ones fire."""

    num_steps = 8

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        brightest = images.flatten(1).amax(1).view(-1, *[1] * (images.dim() - 1))
        return (images == brightest).float().expand(self.num_steps, *images.shape)


def run(file: Path, **inputs: Any) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def spikes_of(outputs: dict[str, Any]) -> list[Any]:
    return [value for name, value in outputs.items() if name.endswith("_spikes")]


@pytest.mark.parametrize("name", available_pretrained())
def test_replay_of_digits(name: str, tmp_path: Path) -> None:
    classifier = load(name)
    record = watch(classifier)
    assert record.input is not None
    file = to_onnx(classifier, tmp_path / "images.onnx")
    outputs = run(file, images=DIGITS.images.numpy())
    differ = samples_that_differ(record, spikes_of(outputs))
    assert differ <= 1
    assert (outputs["predictions"] != record.predictions.numpy()).sum() <= differ
    file = to_onnx(classifier.network, tmp_path / "spikes.onnx")
    spikes = record.input.reshape(*record.input.shape[:2], *classifier.network.in_shape)
    of_spikes = run(file, input=spikes.contiguous().numpy())
    for key, value in outputs.items():
        assert (of_spikes[key] == value).all()


@pytest.mark.parametrize(
    "case",
    pairs(
        layers=["12", "", "4C5-P2-5C3p1-AP2-6-10", "3C5s2-10"],
        reset_mechanism=["subtract", "zero", "none"],
        readout=[*READOUTS],
        population=[1, 3],
        steps=[1, 2, 6],
        batch=[1, 3],
    ),
    ids=named,
)
def test_scores_of_the_model(case: Case, tmp_path: Path) -> None:
    layers, reset, readout, population, steps, batch = case.values()
    options = {"reset_mechanism": reset, "readout": readout, "population": population}
    model = draw_network(layers, seed=0, beta=0.9, **options)
    spikes = (torch.rand(steps, batch, 1, 28, 28) < 0.2).float()
    spikes = spikes if "C" in layers else spikes.flatten(2)
    outputs = run(to_onnx(model, tmp_path / "model.onnx"), input=spikes.numpy())
    with torch.no_grad():
        record = model(spikes, record="all")
    if samples_that_differ(record, spikes_of(outputs)) == 0:
        assert outputs["scores"] == pytest.approx(record.scores.numpy(), abs=1e-4)
        assert outputs["output_membrane"] == pytest.approx(record.membrane.numpy(), abs=1e-4)
        top = record.scores.topk(2).values
        clear = ((top[:, 0] == top[:, 1]) | (top[:, 0] - top[:, 1] > 1e-3)).numpy()
        assert (outputs["predictions"] == record.predictions.numpy())[clear].all()


def test_one_loop_for_any_number_of_timesteps(tmp_path: Path) -> None:
    file = to_onnx(LeakyMLP(hidden=(20,)), tmp_path / "model.onnx")
    graph = onnx.load(file).graph
    assert [output.name for output in graph.output][:2] == ["predictions", "scores"]
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Scan") == kinds.count("Gemm") == 2
    fixed = to_onnx(LeakyMLP(hidden=(20,)), tmp_path / "fixed.onnx", num_steps=5)
    assert run(fixed, input=torch.zeros(5, 2, 784).numpy())["scores"].shape == (2, 10)
    with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
        run(fixed, input=torch.zeros(6, 2, 784).numpy())


def test_network_with_one_input(tmp_path: Path) -> None:
    model = LeakyMLP((3,), in_features=1, out_features=2).eval()
    spikes = torch.ones(4, 2, 1)
    outputs = run(to_onnx(model, tmp_path / "model.onnx"), input=spikes.numpy())
    membrane = model(spikes).membrane.detach().numpy()
    assert outputs["output_membrane"] == pytest.approx(membrane, abs=1e-5)


def test_constant_code(tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(hidden=(20,)), DirectEncoder(num_steps=7))
    file = to_onnx(classifier, tmp_path / "model.onnx")
    tables = {one.name: one.dims for one in onnx.load(file).graph.initializer}
    assert tables["grey_values"] == [1, 256]
    outputs = run(file, images=DIGITS.images[:3].numpy())
    record = watch(classifier)
    assert outputs["output_membrane"] == pytest.approx(record.membrane[:, :3].numpy(), abs=1e-4)


@pytest.mark.parametrize("shape", [(3, 9, 8), (1, 8, 9), (10,), (16,)])
def test_shapes_of_images(shape: tuple[int, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    mlp = {"in_features": shape[0], "out_features": 2}
    network = LeakyConvNet("4C3-P2-5", shape) if len(shape) == 3 else LeakyMLP(3, **mlp)
    classifier = Classifier(network.eval(), "latency")
    file = to_onnx(classifier, tmp_path / "model.onnx")
    expected = {(1, 8, 9): (8, 9), (16,): (4, 4)}.get(shape, shape)
    images = torch.randint(0, 256, (6, *expected), dtype=torch.uint8)
    outputs = run(file, images=images.numpy())
    membrane = classifier(images).membrane.detach().numpy()
    assert outputs["output_membrane"] == pytest.approx(membrane, abs=1e-5)


def test_invalid_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file = LeakyMLP(hidden=(20,)), tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="num_steps must be an integer >= 1; got 0"):
        to_onnx(model, file, num_steps=0)
    with pytest.raises(ValueError, match="num_steps must be 8, as in the encoder; got 3"):
        to_onnx(Classifier(model, "latency"), file, num_steps=3)
    with pytest.raises(ValueError, match=r"draws random numbers.*deterministic=True"):
        to_onnx(Classifier(model, RateEncoder(num_steps=8)), file)
    with pytest.raises(ValueError, match="Brightest has no table of grey values"):
        to_onnx(Classifier(model, Brightest()), file)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "spikemnist\[export\]"'):
        to_onnx(model, file)
    assert not list(tmp_path.iterdir())
