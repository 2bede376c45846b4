"""What STDP has learned comes back from a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikemnist import load
from spikemnist.data import ImageDataset
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.plasticity import bar_images
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS


@pytest.mark.filterwarnings("ignore:.*neuron")
@pytest.mark.parametrize("options", [{}, {"theta_plus": None, "learning_rate": None}])
def test_neurons_of_stdp_learn_on(options: dict[str, Any], tmp_path: Path) -> None:
    begun = bar_images.small(**options).fit(IMAGES, LABELS, progress=False)
    loaded = STDPClassifier.load(begun.save(str(tmp_path / "file")))
    assert loaded.get_params() == begun.get_params()
    assert bar_images.same(begun, loaded)
    for classifier in (begun, loaded):
        classifier.partial_fit(TEST_IMAGES, TEST_LABELS)
    assert bar_images.same(begun, loaded)
    assert begun.save(tmp_path / "a").read_bytes() == loaded.save(tmp_path / "b").read_bytes()


def test_features_of_stdp(tmp_path: Path) -> None:
    features = bar_images.small_features(epochs=1).fit(IMAGES, LABELS)
    loaded: ConvSTDPClassifier = load(features.save(tmp_path / "file"))
    assert loaded.get_params() == features.get_params()
    scores = features.decision_function(TEST_IMAGES)
    assert np.array_equal(loaded.decision_function(TEST_IMAGES), scores)
    assert loaded.save(tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.filterwarnings("ignore:.*neuron")
@pytest.mark.parametrize("new", [bar_images.small, bar_images.small_features])
def test_a_dataset_and_a_run_folder(new: Any, tmp_path: Path) -> None:
    data = ImageDataset(torch.as_tensor(IMAGES), torch.as_tensor(LABELS), name="bars")
    of_dataset = new().fit(data, run=tmp_path / "dataset")
    of_arrays = new().fit(IMAGES, LABELS, run=tmp_path / "arrays")
    expected = new().fit(IMAGES, LABELS).predict(TEST_IMAGES)
    for classifier in (
        of_dataset,
        of_arrays,
        load(tmp_path / "dataset"),
        load(tmp_path / "arrays"),
    ):
        assert np.array_equal(classifier.predict(TEST_IMAGES), expected)
    config = json.loads((tmp_path / "dataset" / "config.json").read_text("utf-8"))
    assert config["data"]["name"] == "bars"
    labels = torch.as_tensor(TEST_LABELS)
    test = ImageDataset(torch.as_tensor(TEST_IMAGES), labels, tuple("ab"))
    other = replace(test, labels=1 - labels, classes=tuple("ba"))
    named = new().fit(replace(data, classes=tuple("ab")))
    for classifier in (named, load(named.save(tmp_path / "file"))):
        actual, exact = classifier.evaluate(other), classifier.evaluate(test)
        assert torch.equal(actual.confusion, exact.confusion)
        with pytest.raises(ValueError, match=r"classes of the classifier, \('a', 'b'\); got \('c'"):
            classifier.evaluate(replace(test, classes=tuple("cb")))
    with pytest.raises(FileExistsError, match="holds a run already"):
        new().fit(data, run=tmp_path / "dataset")
    with pytest.raises(TypeError, match="y must be None, as the dataset X has its labels"):
        new().fit(data, LABELS)
