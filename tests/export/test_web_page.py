"""The page, as a file; `docs/tests` opens it in a browser."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spikemnist import Classifier, DirectEncoder, LeakyMLP, RateEncoder, load
from spikemnist.data import ImageDataset
from spikemnist.export import to_html
from spikemnist.models import available_pretrained
from spikemnist.ops import Surrogate


def network_data(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json" id="network">(.*?)</script>', text)
    network: dict[str, Any] = json.loads(content)
    return network


@pytest.mark.parametrize("name", available_pretrained())
def test_page_in_one_file(name: str, tmp_path: Path) -> None:
    classifier = load(name)
    page = to_html(classifier, tmp_path / "page.html")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "://" not in text  # base64, which has no colon, may spell any word
    assert not re.search(r"^(import|export) ", text, re.M)
    assert "@" not in re.sub(r"@media|<script.*?</script>", "", text, flags=re.S)
    assert len(text) < 1_500_000
    network = network_data(page)
    assert len(network["examples"]) == 20
    assert [one["label"] for one in network["examples"]] == [*range(10), *range(10)]
    assert np.shape(network["table"]) == (classifier.encoder.num_steps, 256)


def test_weights_of_the_network(tmp_path: Path) -> None:
    model = LeakyMLP(hidden=(40,))
    page = to_html(Classifier(model, "latency"), tmp_path / "page.html")
    first = network_data(page)["layers"][0]
    weight = np.frombuffer(base64.b64decode(first["weight"]), np.float32).reshape(784, 40)
    assert np.array_equal(weight.T, model.layers[0].linear.weight.detach().numpy())


def test_own_surrogate(tmp_path: Path) -> None:
    class Wide(Surrogate):
        name = "wide"

        def __init__(self, width: torch.Tensor) -> None:
            self.width = width

        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return (x > 0).to(x.dtype)

    model = LeakyMLP(hidden=(4,), spike_grad=Wide(torch.ones(2)))
    settings = network_data(to_html(Classifier(model, "latency"), tmp_path / "p.html"))["settings"]
    assert (settings["surrogate"], settings["width"]) == ("wide", 1.0)


def test_examples_of_each_class(tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(hidden=(4,), out_features=3), "latency", ("a", "b", "c"))
    grey = torch.arange(6, dtype=torch.uint8).view(-1, 1, 1).expand(-1, 28, 28)
    images = ImageDataset(grey, torch.tensor([0, 2, 0, 0, 1, 2]), ("c", "b", "a"))
    page = to_html(classifier, tmp_path / "page.html", examples=images)
    assert "<title>Draw and see it spike" in page.read_text(encoding="utf-8")
    assert b"\r" not in page.read_bytes()  # on Windows as well
    shown = network_data(page)["examples"]
    assert [one["label"] for one in shown] == [0, 1, 2, 0, 2]
    assert [base64.b64decode(one["image"])[0] for one in shown] == [1, 4, 0, 5, 2]
    small = ImageDataset(images.images[:, :20], images.labels, classifier.classes)
    for wrong in (small, images[:0]):
        shape = re.escape(str(tuple(wrong.images.shape)))
        with pytest.raises(ValueError, match=f"28 x 28 pixels; got torch.uint8 of shape {shape}"):
            to_html(classifier, tmp_path / "page.html", examples=wrong)


def test_class_names_that_end_a_script(tmp_path: Path) -> None:
    names = ["</script><b>", *"123456789"]
    page = to_html(Classifier(LeakyMLP(hidden=(4,)), "latency", names), tmp_path / "p.html")
    assert network_data(page)["classes"] == names


class Twice:
    """A code of its own: each pixel that is lit fires at the first two timesteps."""

    num_steps = 8

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        spikes = torch.zeros(self.num_steps, *images.shape)
        spikes[:2] = (images > 0).float()
        return spikes


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ((LeakyMLP(hidden=4), Twice()), "got Twice"),
        ((LeakyMLP(hidden=4), RateEncoder(num_steps=8, gain=0.5)), "without options"),
        ((LeakyMLP(4, in_features=100), "latency"), r"28 x 28 pixels.*got input \(100,\)"),
        ((LeakyMLP(hidden=4, out_features=11), "latency"), "2 layers and 11 classes"),
        ((LeakyMLP(hidden=()), "latency"), "1 layers and 10 classes"),
        ((LeakyMLP(hidden=4), "latency", ["a"]), r"must be 10 names; got \['a'\]"),
    ],
)
def test_other_classifiers(tmp_path: Path, parts: tuple[Any, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        to_html(Classifier(*parts), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_codes_of_the_page(tmp_path: Path) -> None:
    model = LeakyMLP(hidden=(4,))
    even = RateEncoder(num_steps=4, gain=0.5, deterministic=True)
    random = RateEncoder(num_steps=4)
    for encoder in ("latency", DirectEncoder(num_steps=4), even, random):
        classifier = Classifier(model, encoder)
        network = network_data(to_html(classifier, tmp_path / "page.html"))
        assert (network["table"] is None) == (encoder is random)
        assert network["settings"]["steps"] == classifier.encoder.num_steps
