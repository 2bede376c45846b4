"""Classifiers on disk: round trips, and files that are refused.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import math
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import safetensors
import safetensors.torch
import torch
from snntorch import surrogate
from torch import nn

import spikemnist
from spikemnist import Classifier, LatencyEncoder, LeakyMLP, _tensor_files, load, ops
from spikemnist.encoding import get_encoder
from spikemnist.models import READOUTS
from spikemnist.models.files import FORMAT
from tests.test_damaged_files import FOREIGN, SENTINEL

if TYPE_CHECKING:
    from collections.abc import Callable


def make(**options: Any) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(LeakyMLP(12, (9, 7), 4, **options), LatencyEncoder(num_steps=6), "abcd")


IMAGES = torch.rand(3, 12, generator=torch.Generator().manual_seed(1))


def assert_comes_back(classifier: Classifier, path: Path) -> Classifier:
    assert classifier.save(path) == path
    loaded = load(path)
    assert type(loaded.network) is LeakyMLP
    assert loaded.network.config == classifier.network.config
    assert (loaded.encoder, loaded.classes) == (classifier.encoder, classifier.classes)
    for (name, saved), (other, tensor) in zip(
        classifier.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert name == other
        assert tensor.dtype == saved.dtype
        assert torch.equal(tensor, saved)
    for name, parameter in loaded.named_parameters():
        assert parameter.requires_grad, name
    expected, record = classifier.eval()(IMAGES), loaded.eval()(IMAGES)
    assert torch.equal(record.membrane, expected.membrane)
    assert torch.equal(record.scores, expected.scores)
    assert record.backend == expected.backend
    return loaded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_round_trip_of_every_dtype(path: Path, dtype: torch.dtype) -> None:
    classifier = make(beta=[0.1, [0.3] * 7, 0.7], learn_beta=True).to(dtype)
    loaded = assert_comes_back(classifier, path)
    assert loaded.network.layers[0].linear.weight.dtype == dtype


@pytest.mark.parametrize(
    "options",
    [
        *({"spike_grad": spike_grad} for spike_grad in sorted(ops.SURROGATES)),
        {"spike_grad": surrogate.fast_sigmoid(slope=7)},
        {"spike_grad": ops.SparseFastSigmoid(5.0, -0.5)},
        {"reset_mechanism": "zero", "dropout": 0.25},
        {"input_dropout": 0.25, "batch_norm": True},
        {"reset_mechanism": "none", "backend": "snntorch"},
        {"beta": [0.1, [0.1 * i for i in range(7)], 0.3], "threshold": [[0.5] * 9, 1.0, 2.0]},
        {"learn_beta": True, "learn_threshold": True},
        *({"readout": readout} for readout in READOUTS),
    ],
)
def test_round_trip_of_every_option(path: Path, options: dict[str, Any]) -> None:
    assert_comes_back(make(**options), path)


def test_round_trip_of_mixed_dtypes(path: Path) -> None:
    classifier = make()
    classifier.network.network[1].double()
    assert_comes_back(classifier, path)


def test_round_trip_of_one_layer(tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(12, (), 4), "latency")
    assert_comes_back(classifier, tmp_path / "new" / "folder" / "größe 1.safetensors")


@pytest.mark.parametrize("beta", [0.9, [0.9, [0.9] * 7, 0.9]])
@pytest.mark.parametrize(("learned", "value"), [("beta", 1.25), ("beta", -0.1), ("threshold", -2)])
def test_round_trip_of_values_outside_the_initial_range(
    path: Path, beta: Any, learned: str, value: float
) -> None:
    """A start value lies in a range; the optimiser knows of none."""
    classifier = make(beta=beta, learn_beta=True, learn_threshold=True)
    with torch.no_grad():
        for layer in classifier.network.layers:
            getattr(layer.leaky, learned).fill_(value)
    layers = assert_comes_back(classifier, path).network.layers
    assert all(bool((getattr(layer.leaky, learned) == value).all()) for layer in layers)


def test_loading_lists_no_neuron(path: Path, neurons: list[object]) -> None:
    make().save(path)
    count = len(neurons)
    load(path)
    assert len(neurons) == count


def test_metadata(path: Path) -> None:
    classifier = make()
    _, metadata = _tensor_files.read(classifier.save(path), FORMAT)
    assert metadata["format"] == "spikemnist-model-1"
    assert metadata["class"] == "LeakyMLP"
    assert metadata["version"] == spikemnist.__version__
    assert metadata["config"]["hidden"] == [9, 7]
    assert metadata["config"]["spike_grad"] == {"name": "atan", "alpha": 2.0}
    assert get_encoder(**metadata["encoder"]) == classifier.encoder
    assert metadata["classes"] == ["a", "b", "c", "d"]


def test_tensors_read_by_another_tool(path: Path) -> None:
    classifier, other = make(beta=0.9), make(beta=0.5)
    classifier.save(path)
    other.network.load_state_dict(safetensors.torch.load_file(path))
    assert torch.equal(other(IMAGES).scores, classifier(IMAGES).scores)


@dataclass(frozen=True)
class Cosine(ops.Surrogate):
    scale: float = 1.0

    def derivative_(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(self.scale).cos_()


@pytest.mark.parametrize("backend", ["auto", "snntorch"])
def test_file_of_an_own_surrogate(path: Path, backend: str) -> None:
    """The network predicts the same, and learns again with the surrogate that its error names."""
    classifier = make(spike_grad=Cosine(2.0), backend=backend)
    expected = classifier.eval()(IMAGES)
    loaded = load(classifier.save(path))
    for again in (loaded, load(loaded.save(path.with_name("again.safetensors")))):
        record = again(IMAGES)
        assert torch.equal(record.scores, expected.scores)
        assert torch.equal(record.spikes, expected.spikes)
        assert record.backend == expected.backend
        with pytest.raises(RuntimeError, match=r"test_model_files.Cosine\(scale=2.0\).*To train"):
            record.scores.sum().backward()
    for layer in loaded.network.layers:
        layer.leaky.spike_grad = Cosine(2.0)
    loaded.zero_grad()
    loaded(IMAGES).scores.sum().backward()
    expected.scores.sum().backward()
    for ours, theirs in zip(loaded.parameters(), classifier.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert loaded.network.config == classifier.network.config


@pytest.mark.parametrize(
    "own", [surrogate.custom_surrogate(lambda x, grad, spikes: grad), torch.sigmoid]
)
def test_function_as_surrogate_is_refused(path: Path, own: Any) -> None:
    with pytest.raises(
        ValueError, match=r"cannot be stored; derive it from spikemnist.ops.Surrogate.* one of atan"
    ):
        make(spike_grad=own).save(path)
    assert not path.exists()


def test_network_of_another_class_is_refused(path: Path) -> None:
    class Mine(LeakyMLP):
        pass

    for network in (nn.Linear(2, 2), Mine(2, (2,), 2)):
        with pytest.raises(TypeError, match=f"LeakyConvNet; got {type(network).__name__}"):
            Classifier(network, "latency").save(path)


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], None]) -> None:
    """Write a saved model again with its metadata and tensors changed."""
    tensors, metadata = _tensor_files.read(make(learn_beta=True).save(path), FORMAT)
    change(metadata, tensors)
    _tensor_files.write(path, FORMAT, tensors, metadata)


WEIGHT, THRESHOLD = "network.0.linear.weight", "network.0.leaky.threshold"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda meta, _: meta.update(format="spikemnist-model-2", version="7.0"),
            r"has format 'spikemnist-model-2', written by version 7.0; expected 'spikemnist-model",
        ),
        (lambda meta, _: meta.update({"class": "Evil"}), "class 'Evil'.*reads LeakyMLP"),
        (lambda meta, _: meta.pop("class"), "not hold the model .*: 'class' is missing"),
        (lambda meta, _: meta.pop("config"), "not hold the model .*: 'config' is missing"),
        (lambda meta, _: meta.update(config=None), "does not hold the model that it describes"),
        (
            lambda meta, _: meta["config"].update(hidden=[9, 8]),
            r"size mismatch for network.1.linear.weight: .*\[7, 9\].*\[8, 9\]",
        ),
        (lambda meta, _: meta["config"].update(colour="red"), "has no option 'colour'"),
        (lambda meta, _: meta["config"].update(dropout=2.0), "dropout must lie in"),
        (
            lambda meta, _: meta["config"].update(spike_grad={"name": "os.system"}),
            "not hold the model.*'os.system'",
        ),
        (
            lambda meta, _: meta["config"].update(spike_grad={"name": "missing"}),
            "not hold the model.*'origin'",
        ),
        (lambda _, tensors: tensors.pop(WEIGHT), f"Missing key.*{WEIGHT}"),
        (lambda _, tensors: tensors.update({WEIGHT: torch.zeros(9, 11)}), r"mismatch .*\[9, 11\]"),
        (lambda _, tensors: tensors.update(extra=torch.zeros(1)), "Unexpected key.*extra"),
        (
            lambda _, tensors: tensors.update({WEIGHT: torch.zeros(9, 12).long()}),
            f"{WEIGHT}.*[Oo]nly Tensors of floating point",
        ),
        (lambda meta, _: meta.update(encoder={}), "not hold the model .*: .*argument: 'name'"),
        (lambda meta, _: meta.update(encoder={"name": "morse"}), "needs the encoder 'morse'"),
        (lambda meta, _: meta.pop("classes"), "not hold the model .*: 'classes' is missing"),
        (lambda meta, _: meta.update(classes=["a"]), "classes must be 4 names or none; got"),
        (lambda meta, _: meta.update(classes=[*"abc", "\x1b[31m"]), "control characters"),
        (
            lambda _, tensors: tensors.update({THRESHOLD: tensors[THRESHOLD].long()}),
            f"{THRESHOLD} is torch.int64, which no network has there",
        ),
        (
            lambda meta, _: meta["config"].update(hidden=[4_000_000_000, 7]),
            "size mismatch .*4000000000",  # before 2e11 bytes are allocated
        ),
    ],
)
def test_contents_that_do_not_fit(path: Path, change: Any, message: str) -> None:
    rewrite(path, change)
    with pytest.raises(ValueError, match=f"(?s){message}") as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"LeakyMLP"', "{}", "[" * 200_000])
def test_damaged_metadata(path: Path, text: str) -> None:
    safetensors.torch.save_file({"a": torch.zeros(2)}, path, {"spikemnist": text})
    with pytest.raises(ValueError, match="is damaged, or not a file of spikemnist") as caught:
        load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged, or not a file of spikemnist"):
        load(path)
    assert not Path(SENTINEL).exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_foreign_safetensors_file(path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path, metadata)
    with pytest.raises(ValueError, match="is damaged, or not a file of spikemnist"):
        load(path)


def test_missing_file(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(FileNotFoundError, match="no model at") as caught:
            load(missing)
        assert str(missing) in str(caught.value)


def test_flipped_bytes(path: Path) -> None:
    """Of a network so small that each of its bytes can be tried."""
    sound = Classifier(LeakyMLP(3, (), 2), "latency").save(path).read_bytes()
    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load(path)
    path.write_bytes(sound)
    load(path)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["linear.weight", "linear.bias", "leaky.beta", "leaky.threshold"])
def test_nan_and_infinity(path: Path, name: str, bad: float) -> None:
    classifier = make(learn_beta=True, learn_threshold=True)
    sound = classifier.save(path).read_bytes()
    with torch.no_grad():
        classifier.get_parameter(f"network.network.1.{name}").view(-1)[0] = bad
    message = f"network.1.{name} holds NaN or infinity"
    with pytest.raises(ValueError, match=f"{message}, so .*{path.name} was not written"):
        classifier.save(path)
    assert path.read_bytes() == sound
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tensor_files, "not_finite", lambda tensors: None)
        classifier.save(path)
    with pytest.raises(ValueError, match=f"{path.name} holds NaN or infinity in network.1.{name}"):
        load(path)


def test_reading_without_the_right_to_write(path: Path) -> None:
    make().save(path)
    path.chmod(stat.S_IREAD)
    try:
        load(path)
    finally:
        path.chmod(stat.S_IREAD | stat.S_IWRITE)
