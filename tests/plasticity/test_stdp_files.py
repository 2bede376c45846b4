"""Files of classifiers: saved and loaded, damaged, and of another kind."""

from __future__ import annotations

import copy
import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spikemnist import _tensor_files
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, same, small

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Classifier = STDPClassifier | ConvSTDPClassifier
    Change = Callable[[dict[str, Any], dict[str, Any]], object]

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")


@pytest.fixture(params=["neurons", "features"])
def classifier(
    request: pytest.FixtureRequest, fitted: STDPClassifier, features: ConvSTDPClassifier
) -> Classifier:
    return fitted if request.param == "neurons" else features


def test_a_loaded_classifier_predicts_the_same(classifier: Classifier, tmp_path: Path) -> None:
    loaded = type(classifier).load(classifier.save(tmp_path / "file.safetensors"))
    scores = classifier.decision_function(TEST_IMAGES)
    assert np.array_equal(loaded.decision_function(TEST_IMAGES), scores)
    assert loaded.get_params() == classifier.get_params()
    assert loaded.classes_.tolist() == classifier.classes_.tolist()


@pytest.mark.parametrize("steps", [0.5, None])
def test_a_loaded_classifier_learns_on_to_the_same_bits(
    steps: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikemnist.plasticity.assignment.WINDOW", 150)
    begun = small(theta_plus=steps, learning_rate=steps).fit(IMAGES, LABELS, progress=False)
    loaded = STDPClassifier.load(begun.save(str(tmp_path / "classifier.safetensors")))
    assert same(begun, loaded)
    for classifier in (begun, loaded):
        classifier.partial_fit(TEST_IMAGES, TEST_LABELS)
    assert begun.n_images_seen_ == 600
    assert same(begun, loaded)


def test_flipped_bits_are_noticed(classifier: Classifier, tmp_path: Path) -> None:
    file = classifier.save(tmp_path / "file.safetensors")
    content = file.read_bytes()
    for place in random.Random(0).sample(range(len(content)), 30):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(str(file))):
            type(classifier).load(file)


CHANGES: dict[str, Change] = {
    "no weights": lambda tensors, metadata: tensors.pop("weights"),
    "an unknown tensor": lambda tensors, metadata: tensors.update(more=torch.zeros(3)),
    "float64 weights": lambda tensors, metadata: tensors.update(
        weights=tensors["weights"].double()
    ),
    "fewer weights": lambda tensors, metadata: tensors.update(weights=tensors["weights"][:7]),
    "no classes": lambda tensors, metadata: metadata.pop("classes"),
    "classes in another order": lambda tensors, metadata: metadata["classes"].reverse(),
    "one class": lambda tensors, metadata: metadata.update(classes=[3]),
    "an unknown parameter": lambda tensors, metadata: metadata["parameters"].update(speed=9),
    "an invalid parameter": lambda tensors, metadata: metadata["parameters"].update(threshold=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_contents_that_do_not_fit_are_refused(
    change: str, classifier: Classifier, tmp_path: Path
) -> None:
    file, kind = classifier.save(tmp_path / "file.safetensors"), type(classifier)
    tensors, metadata = _tensor_files.read(file, kind.file_format)
    CHANGES[change](tensors, metadata)
    _tensor_files.write(file, kind.file_format, tensors, metadata)
    with pytest.raises(ValueError, match=r"does not hold the .*STDP|is damaged") as caught:
        kind.load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("responses.spikes", "neurons"),
        ("responses.images", "neurons"),
        ("blocks", "neurons"),
        ("weights", "neurons"),
        ("theta", "neurons"),
        ("wins", "features"),
        ("weights", "features"),
    ],
)
def test_negative_counts_are_refused(
    name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    classifier = request.getfixturevalue({"neurons": "fitted"}.get(kind, kind))
    file, form = classifier.save(tmp_path / "file.safetensors"), classifier.file_format
    tensors, metadata = _tensor_files.read(file, form)
    tensors[name].view(-1)[-1] = -1
    _tensor_files.write(file, form, tensors, metadata)
    with pytest.raises(ValueError, match=rf"{re.escape(str(file))} .* {name} holds -1; expected 0"):
        type(classifier).load(file)


def test_more_right_predictions_than_images_are_refused(
    fitted: STDPClassifier, tmp_path: Path
) -> None:
    file = fitted.save(tmp_path / "file.safetensors")
    tensors, metadata = _tensor_files.read(file, fitted.file_format)
    tensors["blocks"][0, 1] = tensors["blocks"][0, 0] + 1
    _tensor_files.write(file, fitted.file_format, tensors, metadata)
    with pytest.raises(ValueError, match="blocks must count 1 to 64 images"):
        STDPClassifier.load(file)


@pytest.mark.parametrize("steps", [[-1.0, 0.1], [None, 0.1], [0.1]])
def test_impossible_steps_are_refused(
    steps: list[Any], fitted: STDPClassifier, tmp_path: Path
) -> None:
    file = fitted.save(tmp_path / "file.safetensors")
    tensors, metadata = _tensor_files.read(file, fitted.file_format)
    metadata["steps"] = steps
    _tensor_files.write(file, fitted.file_format, tensors, metadata)
    with pytest.raises(ValueError, match="does not hold the STDP"):
        STDPClassifier.load(file)


def test_nan_is_not_saved(features: ConvSTDPClassifier, tmp_path: Path) -> None:
    damaged = copy.deepcopy(features)
    damaged.weights_[0] = np.nan
    with pytest.raises(ValueError, match=r"weights holds NaN or infinity, so .* was not written"):
        damaged.save(tmp_path / "file.safetensors")


def test_the_file_of_another_kind_is_refused(classifier: Classifier, tmp_path: Path) -> None:
    file = classifier.save(tmp_path / "file.safetensors")
    other = ConvSTDPClassifier if isinstance(classifier, STDPClassifier) else STDPClassifier
    with pytest.raises(ValueError, match=r"has format 'spikemnist-.*stdp-1'.* expected"):
        other.load(file)
    with pytest.raises(FileNotFoundError, match=r"no .*STDP classifier at"):
        other.load(tmp_path / "missing")
