"""What is said of dark images, and of dark strokes on light paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikemnist.data import load_images
from spikemnist.data.images import image_findings
from spikemnist.training import TrainConfig, TrainingWarning, evaluate, fit
from tests.training.small_runs import digits, new_classifier


@pytest.mark.filterwarnings("ignore:hidden 1 did not fire")
@pytest.mark.parametrize(("factor", "remedy"), [(1, 255), (16, 15)])
def test_dark_images_are_said_once_by_what_sees_them_first(factor, remedy, tmp_path):
    """UCI's digits in black and white, and those of scikit-learn with 17 grey values."""
    data = digits(100)
    images = (data.images.float() / 255 * factor).round().to(torch.uint8)
    text = f"the images are dark, up to {factor} of 255: multiply them by {remedy}$"
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
