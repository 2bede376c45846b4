"""What noise, shift, rotation and dropped spikes do to images, and to an accuracy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import Classifier, LeakyMLP
from spikemnist.robustness.disturbances import LEVELS, add_noise, drop, rotate, shift
from spikemnist.training import Robustness, TrainConfig, evaluate, fit, measure_robustness

DIGITS = load_digits()[1]
ENCODER = LatencyEncoder(num_steps=4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def centre(images: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass of each image, ``[B, 2]``, row before column."""
    mass = images.double()
    total = mass.sum((1, 2))
    rows = (mass.sum(2) * torch.arange(mass.shape[1])).sum(1) / total
    columns = (mass.sum(1) * torch.arange(mass.shape[2])).sum(1) / total
    return torch.stack((rows, columns), 1)


@given(st.floats(0, 8), st.integers(0, 2**32))
def test_a_shift_moves_each_image_so_many_pixels(level: float, seed: int) -> None:
    rows, columns = torch.arange(40).view(-1, 1), torch.arange(36)
    blob = torch.exp(-((rows - 20) ** 2 + (columns - 17) ** 2) / 18)
    images = blob.expand(6, -1, -1)
    moved = centre(shift(images, level, generator(seed))) - centre(images)
    # The cubic that torch takes, with a slope of -0.75, moves a centre of mass by up to
    # f (1 - f) (1 - 2 f) / 2 <= 0.048 pixels too far along each axis, f the fraction of the shift.
    torch.testing.assert_close(
        moved.norm(dim=1), torch.full((6,), level).double(), atol=0.072, rtol=0
    )
    assert level < 0.1 or len(moved.round(decimals=2).unique(dim=0)) > 1


def test_a_rotation_goes_either_way() -> None:
    images = DIGITS.images[:40]
    turned = rotate(images, 90, generator())
    left, right = (torch.rot90(images, k, (1, 2)) for k in (1, -1))
    is_left, is_right = ((turned == other).flatten(1).all(1) for other in (left, right))
    assert bool((is_left ^ is_right).all())
    assert 5 < int(is_left.sum()) < 35


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_noise_has_the_spread_it_should_and_stays_in_range(dtype: torch.dtype) -> None:
    most = 255 if dtype == torch.uint8 else 1
    grey = torch.full((50, 28, 28), 0.5 * most).to(dtype)
    noisy = add_noise(grey, 0.1, generator())
    assert noisy.dtype == dtype
    spread = (noisy.double() - grey.double()).std() / most
    # The standard error of a spread of n numbers is 1 / sqrt(2 n) of it: 0.36 %.
    assert abs(float(spread) / 0.1 - 1) < 4 * 0.0036
    strong = add_noise(grey, 5.0, generator())
    assert float(strong.min()) == 0
    assert float(strong.max()) == most


def test_noise_of_a_seed() -> None:
    noisy = add_noise(torch.full((2, 2), 0.5), 0.1, generator())
    upper = [0.5330918431282043, 0.6845998764038086]
    lower = [0.5643547177314758, 0.5839592814445496]
    assert torch.equal(noisy, torch.tensor([upper, lower]))


@pytest.mark.parametrize("disturb", [add_noise, drop])
def test_numbers_go_to_the_device_of_the_images(disturb: Any) -> None:
    images = torch.zeros(2, 5, 5, device="meta")
    assert disturb(images, 0.5, generator()).device == images.device


def test_spikes_are_dropped_one_by_one() -> None:
    spikes = torch.ones(8, 100, 784, dtype=torch.uint8)
    rest = drop(spikes, 0.25, generator())
    assert rest.dtype == torch.uint8
    # Of n spikes a share of sqrt(p (1 - p) / n) is the standard error: 0.00055.
    assert abs(float(rest.double().mean()) - 0.75) < 4 * 0.00055
    assert torch.equal(drop(spikes, 0.0, generator()), spikes)
    assert int(drop(spikes, 1.0, generator()).sum()) == 0


def test_the_accuracy_falls_from_that_of_an_evaluation() -> None:
    train, test = load_digits()
    torch.manual_seed(0)
    classifier = Classifier(LeakyMLP(hidden=(60,)), ENCODER)
    fit(classifier, train[:1000], TrainConfig(epochs=3, batch_size=64, lr=0.01))
    test = test[:400]
    classifier.train()
    robustness = measure_robustness(classifier, test)
    assert classifier.training
    assert classifier.network.training
    assert robustness.undisturbed == evaluate(classifier, test).accuracy
    assert robustness.samples == len(test)
    for name, accuracy in robustness.accuracy.items():
        assert tuple(accuracy) == LEVELS[name]
        first, *_, last = accuracy.values()
        # Three standard errors of a difference between shares of 400 images.
        assert last < first - 0.1
        assert first < robustness.undisturbed + 0.06
    few = [measure_robustness(classifier, test[:20], seed=seed) for seed in (0, 0, 1)]
    assert few[0] == few[1] != few[2]
    classifier.classes = tuple("abcdefghij")
    reverse = replace(test[:20], labels=9 - test.labels[:20], classes=classifier.classes[::-1])
    assert measure_robustness(classifier, reverse) == few[0]


@pytest.mark.parametrize("code", ["latency", "rate"])
def test_batches_of_any_size(code: str) -> None:
    classifier = Classifier(LeakyMLP(hidden=40, threshold=0.3, seed=0), code)
    whole, parts = (measure_robustness(classifier, DIGITS[:80], batch_size=n) for n in (80, 13))
    assert whole == parts


def test_its_text() -> None:
    accuracy = {"shift": {1: 0.97, 2: 0.9}, "dropped spikes": {0.25: 1.0, 0.5: 0.305}}
    lines = repr(Robustness(0.98, accuracy, 1000)).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "Robustness on 1,000 samples, 98.00% undisturbed",
        "disturbance level: accuracy",
        "shift, pixels 1: 97.0% 2: 90.0%",
        "dropped spikes 0.25: 100.0% 0.5: 30.5%",
    ]


def test_images_of_any_kind_are_taken() -> None:
    classifier = Classifier(LeakyMLP(hidden=(16,)), "direct")
    images, labels = DIGITS.images[:20], DIGITS.labels[:20]
    tensors = measure_robustness(classifier, (images, labels))
    batches = [(images[:10] / 255, labels[:10]), (images[10:] / 255, labels[10:])]
    parts = measure_robustness(classifier, batches)
    assert tensors.undisturbed == parts.undisturbed
    assert parts.samples == 20


def test_wrong_batch_size() -> None:
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1; got 0"):
        measure_robustness(Classifier(LeakyMLP(hidden=4), ENCODER), DIGITS[:9], batch_size=0)
