"""Messages on wrong arguments of data sets and augmentations."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from spikemnist.data import (
    Compose,
    ElasticDeformation,
    ImageDataset,
    RandomAffine,
    RandomErasing,
    RandomFlip,
)

ZEROS, LABELS = torch.zeros(3), torch.zeros(3).long()
IMAGES = ImageDataset(torch.zeros(10), torch.zeros(10).long())
SHARE = "fraction must be a number, above 0 and below 1"
OF_TWO_CLASSES = "labels must lie in 0..1, as classes has 2 names; got 2"
NO_AUGMENTATION = r"an augmentation is a function .* such as RandomAffine"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: RandomAffine(degrees=-1),
            "degrees must be a number, at least 0 and at most 180; got -1",
        ),
        (lambda: RandomAffine(degrees=math.nan), "degrees must be .* at most 180; got nan"),
        (
            lambda: RandomAffine(translate=2),
            "translate must be a number, at least 0 and at most 1; got 2",
        ),
        (
            lambda: RandomAffine(shear=90),
            "shear must be a number, at least 0 and at most 89; got 90",
        ),
        (
            lambda: RandomAffine(scale=(2, 1)),
            r"scale must be the least and the greatest of a range; got \(2, 1\)",
        ),
        # A knot every 0.001 pixels would take gigabytes.
        (
            lambda: ElasticDeformation(sigma=1e-3),
            "sigma must be a number, at least 1 and finite; got 0.001",
        ),
        (
            lambda: ElasticDeformation(displacement=math.inf),
            "displacement must be .*finite; got inf",
        ),
        (
            lambda: RandomErasing(probability=1.1),
            "probability must be a number, at least 0 and at most 1",
        ),
        (
            lambda: RandomErasing(size=(0.5, 2)),
            "each factor of size must be a number, above 0 and at most 1; got 2",
        ),
        (
            lambda: RandomFlip(probability=-1),
            "probability must be a number, at least 0 and at most 1",
        ),
        (lambda: Compose([]), "Compose needs an augmentation"),
        (lambda: ImageDataset(torch.tensor(1.0), LABELS), r"images must be .*; got tensor\(1.\)"),
        (lambda: ImageDataset(LABELS, LABELS), "or floating .*torch.int64"),
        (lambda: ImageDataset(LABELS.bool(), LABELS), "or floating .*torch.bool"),
        (lambda: ImageDataset(LABELS * 1j, LABELS), "or floating .*torch.complex64"),
        (lambda: ImageDataset(torch.full((3, 2), 255.0), LABELS), r"in \[0, 1\]; .* 255\]"),
        (lambda: ImageDataset(ZEROS, LABELS[:2]), "3 images but 2 labels"),
        (lambda: ImageDataset(ZEROS, LABELS[None].mT), r"must be \[N\], .* shape \(3, 1\)"),
        (lambda: ImageDataset(ZEROS, ZEROS), "must be class indices .*; got torch.float32"),
        (lambda: ImageDataset(ZEROS, LABELS.bool()), "class indices .*; got torch.bool"),
        (lambda: ImageDataset(ZEROS, LABELS - 1), "labels must be at least 0; got -1"),
        (lambda: ImageDataset(ZEROS, LABELS + 2, ("a", "b")), OF_TWO_CLASSES),
        (lambda: ImageDataset(ZEROS, LABELS, ("a", "a")), r"be different names; got \('a', 'a'\)"),
        (lambda: IMAGES.split(0), SHARE),
        (lambda: IMAGES.split(1), SHARE),
        (lambda: IMAGES.split(math.nan), SHARE),
        (lambda: IMAGES[:0].split(0.5), "0.5 of 0 samples leaves the .* part emp"),
        (lambda: IMAGES.split(0.01), "0.01 of 10 samples leaves the .* part emp"),
        (lambda: IMAGES.split(0.99), "0.99 of 10 samples leaves the .* part emp"),
        (lambda: IMAGES.batches(0), "batch_size must be an integer >= 1; got 0"),
        (lambda: IMAGES.batches(2.5), "batch_size must be an integer >= 1; got 2.5"),
    ],
)
def test_values(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Compose("affine"), NO_AUGMENTATION),
        (lambda: Compose(["affine"]), NO_AUGMENTATION),
        (lambda: Compose([RandomAffine]), NO_AUGMENTATION),
        (lambda: ImageDataset(ZEROS.numpy(), LABELS), "images must be .*; got a ndarray"),
        (lambda: ImageDataset(ZEROS, [0, 1, 2]), "labels must be a torch.Tensor .*; got a list"),
        (
            lambda: ImageDataset(ZEROS, LABELS, "abc"),
            "classes must be a tuple .*; got str",
        ),
    ],
)
def test_types(call: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()
