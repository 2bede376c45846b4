"""Rooms that read the layers of a network refuse one that is stepped."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikemnist import Classifier, accelerate, load
from spikemnist.energy import measure_energy
from spikemnist.export import to_c, to_html, to_nir, to_onnx
from tests.interop.test_stepped import DATA, OnImages

pytestmark = pytest.mark.filterwarnings("ignore:snnTorch steps this network")


def test_energy_and_exports_refuse_stepping(tmp_path: Any) -> None:
    classifier = Classifier(accelerate(OnImages()), "latency")
    with pytest.raises(TypeError, match=r"the layers cannot be read: OnImages has a forward of"):
        measure_energy(classifier, DATA)
    for export in (to_c, to_html, to_nir, to_onnx):
        with pytest.raises(
            TypeError, match=r"the layers cannot be read: OnImages has a forward of"
        ):
            export(classifier, tmp_path / "network")
    assert not list(tmp_path.iterdir())
    file = classifier.save(tmp_path / "network")
    with pytest.raises(ValueError, match=r"network holds the weights of .*OnImages, but no"):
        load(file)
    again = Classifier(accelerate(OnImages()), "latency").load_weights(file)
    assert torch.equal(again(DATA.images[:2]).scores, classifier(DATA.images[:2]).scores)
