"""Files of classifiers and of their checkpoints: damaged, foreign, of other types."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spikemnist import _tensor_files
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier, files
from tests.plasticity.bar_images import ANSWERS, IMAGES, LABELS, OTHERS, same, small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Classifier = STDPClassifier | ConvSTDPClassifier
    Change = Callable[[dict[str, Any], dict[str, Any]], object]

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*neurons never fired:UserWarning"),
    pytest.mark.filterwarnings("ignore:neuron .* made .* of all spikes:UserWarning"),
]


@pytest.fixture(scope="module")
def features() -> ConvSTDPClassifier:
    options: dict[str, Any] = {"kernel_size": 3, "pool_size": 2, "threshold": 2.0, "epochs": 5}
    return ConvSTDPClassifier(8, **options, doubling=50, batch_size=50).fit(IMAGES, LABELS)


@pytest.fixture(params=["neurons", "features", "checkpoint"])
def case(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fitted: STDPClassifier,
    features: ConvSTDPClassifier,
) -> tuple[Path, Callable[[], object]]:
    """Return a file, and what reads it."""
    file = tmp_path / "file.safetensors"
    if request.param == "neurons":
        return fitted.save(file), lambda: STDPClassifier.load(file)
    if request.param == "features":
        return features.save(file), lambda: ConvSTDPClassifier.load(file)
    small().fit(IMAGES, LABELS, checkpoint=file, progress=False)
    return file, lambda: resume(file)


def resume(file: Path) -> STDPClassifier:
    return small().fit(IMAGES, LABELS, checkpoint=file, resume=True, progress=False)


def rewrite(file: Path, kind: _tensor_files.Format, change: Change) -> None:
    """Write a file again, with a digest, its contents changed."""
    tensors, metadata = _tensor_files.read(file, kind)
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    change(arrays, metadata)
    files.write(file, kind, arrays, metadata)


def test_flipped_bits_are_noticed(case: tuple[Path, Callable[[], object]]) -> None:
    file, read = case
    whole = file.read_bytes()
    places = random.Random(0).sample(range(len(whole)), 100)
    for place in (*places, *range(100), *range(len(whole) - 50, len(whole))):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(file))):
            read()
    file.write_bytes(whole)
    read()


CHANGES: dict[str, Change] = {
    "no weights": lambda arrays, metadata: arrays.pop("weights"),
    "no responses": lambda arrays, metadata: arrays.pop("responses.spikes"),
    "one array too many": lambda arrays, metadata: arrays.update(more=np.zeros(3)),
    "no classes": lambda arrays, metadata: metadata.pop("classes"),
    "one class": lambda arrays, metadata: metadata.update(classes=[3]),
    "classes that are none": lambda arrays, metadata: metadata.update(classes={"a": 1}),
    "classes twice": lambda arrays, metadata: metadata.update(classes=[0, 0]),
    "parameters that are none": lambda arrays, metadata: metadata.update(parameters=[1]),
    "an unknown parameter": lambda arrays, metadata: metadata["parameters"].update(speed=9),
    "a wrong parameter": lambda arrays, metadata: metadata["parameters"].update(duration=-1.0),
    "a parameter of letters": lambda arrays, metadata: metadata["parameters"].update(rest="x"),
    "a step of letters": lambda arrays, metadata: metadata["pace"].update(theta_plus="x"),
    "a negative rate": lambda arrays, metadata: metadata["pace"].update(learning_rate=-1.0),
    "so many neurons": lambda arrays, metadata: metadata["parameters"].update(n_neurons=10**15),
    "other thresholds": lambda arrays, metadata: arrays.update(theta=arrays["theta"][:7]),
    "flat weights": lambda arrays, metadata: arrays.update(weights=arrays["weights"][0]),
    "other responses": lambda arrays, metadata: arrays.update(
        {"before.spikes": np.zeros((2, 7), np.int64)}
    ),
    "weights of 64 bits": lambda arrays, metadata: arrays.update(
        weights=arrays["weights"].astype(np.float64)
    ),
    "responses of 8 bits": lambda arrays, metadata: arrays.update(
        {"responses.spikes": arrays["responses.spikes"].astype(np.int8)}
    ),
    "letters seen": lambda arrays, metadata: metadata["progress"].update(seen="x"),
    "a history of letters": lambda arrays, metadata: metadata["progress"].update(history=["xy"]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_classifier_that_contradicts_itself_is_refused(
    what: str, tmp_path: Path, fitted: STDPClassifier
) -> None:
    file = fitted.save(tmp_path / "file.safetensors")
    rewrite(file, files.CLASSIFIER, CHANGES[what])
    with pytest.raises(ValueError, match=r"does not hold the STDP classifier|is damaged") as caught:
        STDPClassifier.load(file)
    assert str(file) in str(caught.value)


FEATURE_CHANGES: dict[str, Change] = {
    **{name: CHANGES[name] for name in ("no weights", "one class", "an unknown parameter")},
    "weights of 64 bits": CHANGES["weights of 64 bits"],
    "a readout of 64 bits": lambda arrays, metadata: arrays.update(
        {"readout.weight": arrays["readout.weight"].astype(np.float64)}
    ),
    "half a readout": lambda arrays, metadata: arrays.update(
        {"readout.weight": arrays["readout.weight"][:, :5]}
    ),
    "wins of 32 bits": lambda arrays, metadata: arrays.update(wins=arrays["wins"].astype(np.int32)),
    "pixels in a line": lambda arrays, metadata: metadata.update(shape=[36]),
    "no pixels": lambda arrays, metadata: metadata.update(shape=[0, 0]),
    "pixels of letters": lambda arrays, metadata: metadata.update(shape="xy"),
    "so many pixels": lambda arrays, metadata: metadata.update(shape=[10**9, 10**9]),
}


@pytest.mark.parametrize("what", FEATURE_CHANGES)
def test_features_that_contradict_themselves_are_refused(
    what: str, tmp_path: Path, features: ConvSTDPClassifier
) -> None:
    file = features.save(tmp_path / "file.safetensors")
    rewrite(file, files.CONVOLUTIONAL, FEATURE_CHANGES[what])
    with pytest.raises(ValueError, match="does not hold the convolutional STDP") as caught:
        ConvSTDPClassifier.load(file)
    assert str(file) in str(caught.value)


CHECKPOINT_CHANGES: dict[str, Change] = {
    **{name: CHANGES[name] for name in ("no weights", "weights of 64 bits", "letters seen")},
    "other thresholds": CHANGES["other thresholds"],
    "other responses": CHANGES["other responses"],
    "fewer pixels": lambda arrays, metadata: arrays.update(weights=arrays["weights"][:, :20]),
    "a run that is none": lambda arrays, metadata: metadata.update(run=3),
}


@pytest.mark.parametrize("what", CHECKPOINT_CHANGES)
def test_a_checkpoint_that_contradicts_itself_is_refused(what: str, tmp_path: Path) -> None:
    file = tmp_path / "file.safetensors"
    small().fit(IMAGES, LABELS, checkpoint=file, progress=False)
    rewrite(file, files.CHECKPOINT, CHECKPOINT_CHANGES[what])
    before = file.read_bytes()
    message = "does not hold the checkpoint .* Delete it to start at the first image"
    with pytest.raises(ValueError, match=message):
        resume(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(
    case: tuple[Path, Callable[[], object]], bad: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A threshold of NaN would be passed by every membrane for ever."""
    file, read = case
    kinds = (files.CLASSIFIER, files.CONVOLUTIONAL, files.CHECKPOINT)
    kind = next(kind for kind in kinds if f'{kind.name}\\"'.encode() in file.read_bytes())
    sound, metadata = _tensor_files.read(file, kind)
    for name in (name for name, tensor in sound.items() if tensor.is_floating_point()):
        tensors = {key: tensor.clone() for key, tensor in sound.items()}
        tensors[name].view(-1)[0] = bad
        with pytest.raises(ValueError, match=f"{name} holds NaN or infinity, so .* not written"):
            _tensor_files.write(file, kind, tensors, metadata)
        with monkeypatch.context() as patch:
            patch.setattr(_tensor_files, "not_finite", lambda tensors: None)
            _tensor_files.write(file, kind, tensors, metadata)
        with pytest.raises(ValueError, match=f"holds NaN or infinity in {name}"):
            read()


def test_a_classifier_can_be_refitted_after_a_refusal(
    tmp_path: Path, fitted: STDPClassifier
) -> None:
    file = fitted.save(tmp_path / "file.safetensors")
    loaded = STDPClassifier.load(file)
    assert same(loaded, fitted)
    assert loaded.partial_fit(OTHERS, ANSWERS).n_images_seen_ == fitted.n_images_seen_ + len(OTHERS)
