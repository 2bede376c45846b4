"""Augmentations. Shapes: ``B`` batch, ``H`` and ``W`` pixels of an image."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from spikemnist.data import (
    Augmentation,
    Compose,
    ElasticDeformation,
    RandomAffine,
    RandomErasing,
    RandomFlip,
    augmentation,
    load_digits,
)
from tests.pairs import Case, named, pairs

AUGMENTATIONS = [
    RandomAffine(),
    ElasticDeformation(),
    RandomErasing(probability=1.0),
    RandomFlip(),
    Compose([RandomAffine(degrees=30), ElasticDeformation(displacement=2.0), RandomErasing()]),
]
STILL = [
    RandomAffine(degrees=0, translate=0, scale=(1, 1), shear=0),
    ElasticDeformation(displacement=0),
    RandomErasing(probability=0),
    RandomFlip(probability=0),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return load_digits()[0].images[:40]


SIDES = st.integers(2, 11)
AFFINE = st.builds(
    RandomAffine,
    degrees=st.floats(0, 180),
    translate=st.floats(0, 1),
    scale=st.tuples(st.floats(0.3, 1), st.floats(1, 3)),
    shear=st.floats(0, 60),
)


@given(AFFINE, st.tuples(st.integers(1, 3), SIDES, SIDES), st.integers(0, 99))
def test_affine_transform_of_torchvision(
    augment: RandomAffine, shape: tuple[int, int, int], seed: int
) -> None:
    """Torchvision's shear has the other sign."""
    images = torch.rand(2, *shape, generator=seeded(seed))
    places = augment._grid(images, seeded(seed))
    sampled = functional.grid_sample(images, places, align_corners=False)
    angles, slants, factors, right, down = torch.rand(5, 2, generator=seeded(seed)).double() * 2 - 1
    (low, high), translate = augment.scale, augment.translate
    for b in range(2):
        expected = affine(
            images[b].double(),
            float(angles[b]) * augment.degrees,
            [translate * float(right[b]) * shape[2], translate * float(down[b]) * shape[1]],
            (low + high) / 2 + (high - low) / 2 * float(factors[b]),
            [-augment.shear * float(slants[b]), 0.0],
            InterpolationMode.BILINEAR,
        )
        # A pixel samples at a place that float32 rounds by some 1e-6 pixels at |place| < 100.
        torch.testing.assert_close(sampled[b].double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("augment", AUGMENTATIONS, ids=lambda augment: type(augment).__name__)
def test_generator_of_augmentations(augment: Augmentation, digits: Tensor) -> None:
    before = digits.clone()
    first, again = augment(digits, generator=seeded(3)), augment(digits, generator=seeded(3))
    assert isinstance(augment, Augmentation)
    assert torch.equal(digits, before)
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(digits, generator=seeded(4)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        assert torch.equal(first, augment(digits))


DTYPES = [torch.uint8, torch.float32, torch.float64, torch.float16]


@pytest.mark.parametrize(
    "case", pairs(augment=AUGMENTATIONS, dtype=DTYPES, axes=[(), (2,), (3, 2)]), ids=named
)
def test_shape_and_dtype(case: Case, digits: Tensor) -> None:
    augment, dtype, axes = case.values()
    images = digits.view(40, *[1] * len(axes), 28, 28).expand(40, *axes, 28, 28)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    changed = augment(images, generator=seeded())
    assert (changed.shape, changed.dtype, changed.device) == (images.shape, dtype, images.device)
    if dtype.is_floating_point:
        assert 0 <= changed.min() <= changed.max() <= 1
    if axes:  # all channels of an image move together
        flat = changed.view(40, -1, 28, 28)
        assert torch.equal(flat, flat[:, :1].expand_as(flat))


@pytest.mark.parametrize("augment", STILL, ids=lambda augment: type(augment).__name__)
def test_smallest_settings(augment: Augmentation, digits: Tensor) -> None:
    assert torch.equal(augment(digits, generator=seeded()), digits)


def test_default_dtype_between_calls(digits: Tensor) -> None:
    """Cached weights have the dtype of the call."""
    for dtype in (torch.float32, torch.float64):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            assert ElasticDeformation()(digits).shape == digits.shape
        finally:
            torch.set_default_dtype(before)


def test_changes_of_equal_images(digits: Tensor) -> None:
    same = digits[:1].expand(30, -1, -1)
    for augment in AUGMENTATIONS:
        different = len(augment(same, generator=seeded()).unique(dim=0))
        assert different == 2 if isinstance(augment, RandomFlip) else different > 20  # of 30


@given(
    displacement=st.floats(0.1, 2),
    sigma=st.floats(1, 30),
    height=st.integers(3, 20),
    width=st.integers(3, 20),
)
def test_size_of_elastic_shifts(displacement: float, sigma: float, height: int, width: int) -> None:
    augment = ElasticDeformation(displacement=displacement, sigma=sigma)
    images = torch.zeros(200, height, width)
    still = ElasticDeformation(displacement=0)._grid(images[:1], seeded())
    shifts = (augment._grid(images, seeded()) - still) * torch.tensor([width / 2, height / 2])
    # 200 images with one free number for an axis at the least: a standard error of some 5 %.
    rms = shifts.square().mean((0, 1, 2)).sqrt()
    assert rms.tolist() == pytest.approx([displacement, displacement], rel=0.2)
    assert shifts.mean().abs() < displacement / 4


@given(seed=st.integers(0, 999), size=st.integers(6, 30))
def test_composition_of_two_shifts(seed: int, size: int) -> None:
    matrices = [
        torch.eye(2, 3) + 0.2 * torch.randn(3, 2, 3, generator=seeded(seed + i)) for i in range(2)
    ]
    first, second = (
        functional.affine_grid(matrix, [3, 1, size, size], align_corners=False)
        for matrix in matrices
    )
    joined = augmentation._compose(first, second)
    ones = torch.cat((second, torch.ones(3, size, size, 1)), 3)
    expected = torch.einsum("bij,bhwj->bhwi", matrices[0], ones)
    inside = (second.abs() <= 1 - 1 / size).all(3)
    torch.testing.assert_close(joined[inside], expected[inside], rtol=0, atol=1e-5)


def test_interpolation_of_combined_shifts(digits: Tensor) -> None:
    once = RandomAffine()(digits, generator=seeded())
    twice = Compose([RandomAffine(), STILL[1]])(digits, generator=seeded())
    assert (once.int() - twice.int()).abs().max() <= 1
    both = Compose([RandomAffine(), ElasticDeformation()])
    bright = [
        (images > 200).float().mean() for images in (digits, both(digits, generator=seeded()))
    ]
    assert bright[1] > 0.85 * bright[0]


def test_compose_within_compose(digits: Tensor) -> None:
    bend, move, erase = ElasticDeformation(), RandomAffine(), RandomErasing()
    nested = Compose([Compose([Compose([bend]), move]), erase])
    assert nested == Compose([bend, move, erase])
    bent = Compose([Compose([bend]), move])(digits, generator=seeded())
    assert torch.equal(bent, Compose([bend, move])(digits, generator=seeded()))


def test_clamped_pixels(digits: Tensor) -> None:
    """Cubic interpolation overshoots."""
    floats = RandomAffine()(digits / 255, generator=seeded())
    assert 0 <= floats.min() <= floats.max() <= 1
    grey = RandomAffine()(digits, generator=seeded())
    assert (grey - 255 * floats).abs().max() <= 0.51


ERASING = st.builds(
    RandomErasing,
    probability=st.floats(0, 1),
    size=st.tuples(st.floats(0.1, 0.5), st.floats(0.5, 1)),
)


@given(ERASING, st.integers(4, 20), st.integers(4, 20))
def test_erased_rectangles(augment: RandomErasing, height: int, width: int) -> None:
    size, probability = augment.size, augment.probability
    black = augment(torch.ones(200, height, width), generator=seeded()) == 0
    erased = black.flatten(1).any(1)
    # Five standard errors of a share.
    assert abs(float(erased.float().mean()) - probability) < 5 * math.sqrt(0.25 / 200)
    rectangles = black[erased]
    sides = rectangles.any(2).sum(1), rectangles.any(1).sum(1)
    assert torch.equal(rectangles.sum((1, 2)), sides[0] * sides[1])
    for side, pixels in zip(sides, (height, width), strict=True):
        assert (side - 0.5 <= size[1] * pixels).all()
        assert (side + 0.5 >= size[0] * pixels).all()


@given(probability=st.floats(0, 1), height=st.integers(1, 9), width=st.integers(2, 9))
def test_flipped_images(probability: float, height: int, width: int) -> None:
    images = torch.rand(200, 3, height, width, generator=seeded())
    flipped = RandomFlip(probability=probability)(images, generator=seeded())
    mirrored = images[..., range(width - 1, -1, -1)]
    changed = (flipped != images).flatten(1).any(1)
    assert torch.equal(flipped[changed], mirrored[changed])
    # Five standard errors of a share.
    assert abs(float(changed.float().mean()) - probability) < 5 * math.sqrt(0.25 / 200)


@pytest.mark.parametrize("augment", AUGMENTATIONS[:4], ids=lambda augment: type(augment).__name__)
def test_wrong_images(augment: Any) -> None:
    with pytest.raises(TypeError, match=r"images must be a torch.Tensor .*; got a ndarray"):
        augment(torch.zeros(2, 28, 28).numpy())
    with pytest.raises(
        ValueError, match=r"images must be \[B, ..., H, W\]; got torch.float32 of shape \(2, 784\)"
    ):
        augment(torch.zeros(2, 784))
    with pytest.raises(ValueError, match=r"must be \[B, C, H, W\], .* \(2, 28, 28, 3\)$"):
        augment(torch.zeros(2, 28, 28, 3))
    with pytest.raises(ValueError, match=r"floating images must lie in \[0, 1\]; got values in"):
        augment(torch.full((2, 28, 28), math.nan))
