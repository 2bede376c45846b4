"""What is said of dark images, and of dark strokes on light paper."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from spikemnist.data import ImageDataset, load_images
from spikemnist.data.images import image_findings
from spikemnist.training import TrainConfig, TrainingWarning, evaluate, fit
from tests.training.small_runs import digits, new_classifier


@pytest.mark.filterwarnings("ignore:hidden 1 did not fire")
@pytest.mark.filterwarnings("ignore:the loss")
@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1, "the images are dark, up to 1 of 255: multiply them by 255$"),
        (16, "the images are dark, up to 16 of 255: multiply them by 15$"),
        (0, "most images are black, so no pixel spikes"),
    ],
)
def test_dark_images_are_said_once_by_what_sees_them_first(factor, text, tmp_path):
    """UCI's digits in black and white, and those of scikit-learn with 17 grey values."""
    data = digits(100)
    images = (data.images.float() / 255 * factor).round().to(torch.uint8)
    classifier = new_classifier()
    with pytest.warns(UserWarning, match=text):
        evaluate(classifier, (images, data.labels), progress=False)
    with pytest.warns(TrainingWarning, match=text):
        fit(classifier, (images, data.labels), TrainConfig(epochs=1), progress=False)
    np.savez(tmp_path / "a.npz", images=images.numpy(), labels=data.labels.numpy())
    with pytest.warns(UserWarning, match=text) as warned:
        _, test = load_images(tmp_path / "a.npz")
    assert warned[0].filename == __file__
    evaluate(classifier, test, progress=False)  # says nothing again


@pytest.mark.parametrize("name", ["digits", "colours", "unit range"])
def test_dark_strokes_on_light(name, tmp_path):
    data = digits(100)
    images = {
        "digits": 255 - data.images,
        "colours": (255 - data.images).unsqueeze(1).expand(-1, 3, -1, -1),
        "unit range": 1 - data.images.float() / 255,
    }[name]
    np.savez(tmp_path / "a.npz", images=images.numpy(), labels=data.labels.numpy())
    text = "the images are dark on light, so nearly every pixel spikes: pass invert=True"
    with pytest.warns(UserWarning, match=text):
        train, _ = load_images(tmp_path / "a.npz")
    assert any(text in finding for finding in image_findings(train))
    right, test = load_images(tmp_path / "a.npz", invert=True)
    expected = {image.flatten().numpy().tobytes() for image in data.images.float()}
    for image in (*right.images, *test.images):
        grey = (image if image.dim() == 2 else image[0]).float()
        assert (grey * (255 if name == "unit range" else 1)).round().numpy().tobytes() in expected
    np.savez(tmp_path / "a.npz", images=data.images.numpy(), labels=data.labels.numpy())
    with pytest.warns(UserWarning, match="dark on light, .*: leave out invert=True in load_images"):
        load_images(tmp_path / "a.npz", invert=True)


def framed(grey):
    grey = grey.clone()
    grey[:, (0, -1)], grey[..., (0, -1)] = 0, 0
    return grey


def with_pixel(grey, value=1.0):
    grey = grey.clone()
    grey[3, 5, 5] = value
    return grey


LIGHT = "the images are dark on light, .*: pass invert=True in load_images"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: framed(1 - x), LIGHT),
        (lambda x: 1 - 0.3 * x, LIGHT),  # faint ink
        (lambda x: with_pixel(0.6 - 0.6 * x), LIGHT),
        (lambda x: 0.05 * x, "the images are dark, up to 0.05 of 1: multiply them by (19|20)$"),
        (lambda x: (64 * x).byte(), "the images are dark, up to 64 of 255: multiply them by 3$"),
        (lambda x: (255 * with_pixel(0.1 * x)).byte(), "up to 25 of 255: multiply them by 10$"),
        (lambda x: torch.cat((0.1 * x[1:], x[:1])), "up to 0.1 of 1: multiply them by (9|10)$"),
        (lambda x: 0 * x, "most images are black, so no pixel spikes"),
        (lambda x: (0 * x).byte(), "most images are black, so no pixel spikes"),
    ],
)
def test_findings_on_a_few_odd_pixels(change, text):
    data = digits(100)
    odd = ImageDataset(change(data.images.float() / 255), data.labels)
    (finding,) = image_findings(odd)
    assert re.search(text, finding)
