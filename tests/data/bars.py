"""Images of bars.

Shapes: ``B`` images, ``H`` rows and ``W`` columns of pixels.
"""

from __future__ import annotations

import numpy as np

SIDE = 6


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images ``[B, H, W]`` of a row, class 0, or of a column, class 1, on dim noise."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 40, (count, SIDE, SIDE)).astype(np.uint8)
    labels, places = random.integers(0, 2, count), random.integers(0, SIDE, count)
    for image, label, place in zip(images, labels, places, strict=True):
        (image.T if label else image)[place] = 255
    return images, labels


IMAGES, LABELS = bars(400, 0)
TEST_IMAGES, TEST_LABELS = bars(200, 1)
