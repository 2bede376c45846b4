"""`spikemnist.load`: files, folders and names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikemnist import Classifier, LeakyMLP, _load, evaluate, load
from spikemnist._tensor_files import format_of
from spikemnist.data import ImageDataset
from spikemnist.models import available_pretrained
from tests.data.bars import TEST_IMAGES, TEST_LABELS
from tests.rooms import of_rooms

BARS = torch.from_numpy(TEST_IMAGES)

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")


def network() -> Classifier:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return Classifier(LeakyMLP(50, in_features=BARS[0].numel(), out_features=3), "latency")


CLASSIFIERS = {"network": network, **dict(of_rooms("CLASSIFIERS"))}


@pytest.fixture(scope="module", params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest) -> Any:
    return CLASSIFIERS[request.param]()


def test_a_file_and_a_run_folder_come_back(classifier: Any, tmp_path: Path) -> None:
    file = classifier.save(tmp_path / "model.safetensors")
    labels = np.asarray(classifier.predict(BARS))
    bars = ImageDataset(BARS, torch.from_numpy(TEST_LABELS))
    accuracy = evaluate(classifier, bars).accuracy
    assert accuracy == (labels == TEST_LABELS).mean()
    assert np.array_equal(classifier.predict(bars), labels)
    assert len(set(labels.tolist())) > 1
    for source in (file, tmp_path, str(tmp_path)):
        loaded = load(source)
        assert type(loaded) is type(classifier)
        assert np.array_equal(loaded.predict(BARS), labels)
        assert evaluate(loaded, bars).accuracy == accuracy


def test_weights_like_the_end_of_a_zip(tmp_path: Path) -> None:
    """Bytes by which a zip is known at its end may stand in any tensor."""
    end = torch.frombuffer(bytearray(b"PK\5\6" + bytes(20)), dtype=torch.float32)
    classifier = Classifier(LeakyMLP(hidden=8), "latency")
    with torch.no_grad():
        for parameter in classifier.network.parameters():
            parameter.view(-1)[-len(end) :] = end
    loaded = load(classifier.save(tmp_path / "model.safetensors"))
    assert loaded.network.network[1].linear.bias[-6:].equal(end)


@pytest.mark.parametrize("file", ["mnist-mlp", "mnist-mlp/model.safetensors"])
def test_a_path_goes_before_a_name(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Classifier(LeakyMLP(hidden=3), "latency").save(file)
    assert load("mnist-mlp").network.sizes == {"hidden 1": 3, "output": 10}


@pytest.mark.parametrize("source", ["resnet", "../mnist-mlp"])
def test_an_unknown_name_lists_the_names(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"one of {', '.join(available_pretrained())}"):
        load(source)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{re.escape(str(tmp_path))} is not a run folder"):
        load(tmp_path)
    advices = {
        "network": f"--resume --out {re.escape(str(tmp_path))}`",
        "classifier": "delete the folder, and start the run again",
    }
    for part, advice in advices.items():
        (tmp_path / "config.json").write_text(f'{{"{part}": {{}}, "data": {{}}}}')
        message = f"has no model.safetensors, because the run has not finished; .*{advice}"
        with pytest.raises(FileNotFoundError, match=message):
            load(tmp_path)


def test_file_of_a_missing_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = network().save(tmp_path / "model.safetensors")
    name = format_of(file)
    monkeypatch.setitem(_load.CLASSES_OF_FORMATS, name, "spikemnist.nothing.Classifier")
    with pytest.raises(ImportError, match=rf"{name}: spikemnist\.nothing is missing"):
        load(file)
