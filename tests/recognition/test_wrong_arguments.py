"""Messages on wrong arguments of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from spikemnist.data import prepare_image

BLACK = np.uint8(0)


def prepare(value: float, *shape: int) -> None:
    """Prepare a picture of equal pixels."""
    prepare_image(np.full(shape, value))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: prepare(np.uint8(200), 50, 50), "the picture is blank: all its pixels"),
        (lambda: prepare_image(Image.new("RGBA", (9, 9), (0, 0, 0, 0))), "the picture is blank"),
        (
            lambda: prepare(BLACK, 0, 5),
            r"picture must be \[H, W\], .* of at least one pixel; got uint8 of shape \(0, 5\)",
        ),
        (lambda: prepare_image(Image.new("L", (5, 0))), r"at least one pixel; got \(5, 0\)"),
        (lambda: prepare(BLACK, 784), r"picture must be \[H, W\], .* got uint8 of shape \(784,\)"),
        (
            lambda: prepare(2.0, 5, 5),
            r"floating images must lie in \[0, 1\]; got values in \[2, 2\]. Divide",
        ),
        (lambda: prepare(math.nan, 5, 5), r"floating images must lie in \[0, 1\]"),
        (
            lambda: prepare(np.int64(0), 5, 5),
            "images must be uint8 .* got torch.int64",
        ),
        (
            lambda: prepare_image(torch.zeros(1, 3), invert="no"),
            "invert must be True, False or None; got 'no'",
        ),
    ],
)
def test_values(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_types() -> None:
    with pytest.raises(TypeError, match="must be a path, an image or an array; got list"):
        prepare_image([[0, 1]])
