"""The choice of the backend, and the runners of rooms that are missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

from spikemnist import Classifier, LeakyMLP, _doors, _tensor_files, accelerate, load, ops
from spikemnist.models import files, runners


def test_an_unknown_backend_lists_the_known() -> None:
    expected = "one of auto, event_driven, triton, reference, snntorch; got 'cuda'"
    with pytest.raises(ValueError, match=expected):
        ops.select_backend("cuda")


@pytest.fixture
def core_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no room beyond be there."""
    monkeypatch.setattr(runners, "_loaded", {})
    monkeypatch.setattr(runners, "is_installed", lambda path: path.startswith("spikemnist.models"))
    monkeypatch.setattr(_doors, "is_installed", lambda path: path.startswith("spikemnist.models"))


@pytest.mark.usefixtures("core_alone")
def test_backends_of_rooms_that_are_missing() -> None:
    network = LeakyMLP(hidden=3, in_features=4, out_features=2)
    assert network(torch.ones(2, 1, 4)).backend == "reference"
    for backend, room in (("event_driven", "engine"), ("triton", "gpu"), ("snntorch", "interop")):
        with pytest.raises(ValueError, match=rf"'{backend}' .*spikemnist\.{room} is missing"):
            ops.select_backend(backend)
        with pytest.raises(ValueError, match=rf"'{backend}' .*spikemnist\.{room} is missing"):
            LeakyMLP(hidden=3, backend=backend)


@pytest.mark.usefixtures("core_alone")
@pytest.mark.parametrize("backend", ["event_driven", "triton", "of another room"])
def test_file_of_a_missing_backend(backend: str, tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(hidden=3, in_features=4, out_features=2), "latency")
    description = files.describe_classifier(classifier.network, classifier.encoder, ())
    state, description = classifier.network.state_dict(), {**description, "limits": {}}
    description["network"]["backend"] = backend
    path = _tensor_files.write(tmp_path / "a", files.FORMAT, state, description)
    with pytest.warns(UserWarning, match=f"was saved with backend='{backend}', which") as caught:
        loaded = load(path)
    assert [one.filename for one in caught] == [__file__]
    assert loaded.network.backend == "auto"
    spikes = torch.ones(2, 1, 4)
    assert loaded.network(spikes).scores.equal(classifier.network(spikes).scores)


@pytest.mark.usefixtures("core_alone")
def test_networks_of_others_without_their_room() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), snntorch.Leaky(beta=0.9))
    with pytest.raises(ValueError, match=r"ReLU.*; spikemnist\.interop is missing"):
        accelerate(network)
    with pytest.raises(ImportError, match=r"spikemnist\.interop is missing"):
        accelerate(network, torch.ones(2, 4))
