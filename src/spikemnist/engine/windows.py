"""The windows of a maximum pooling, in kernels: where the maxima are, and their gradient.

Shapes: ``H`` and ``W`` of an image, ``C`` channels, which come last in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikemnist.kernels.compiler import inlined, routine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@routine
def pool(image: Array, size: int, inflow: Array, places: Array, t: int, b: int) -> None:
    """Write the maxima of an image ``[H, W, C]`` and where they are; the first one counts."""
    height, width, channels = image.shape
    flat, n = inflow.reshape(inflow.size), 0
    for y in range(0, height - size + 1, size):
        for x in range(0, width - size + 1, size):
            best = flat[n : n + channels]
            first = image[y, x]
            for c in range(channels):
                best[c] = first[c]
            if size > 1:
                place = places[t, b, n : n + channels]
                for c in range(channels):
                    place[c] = 0
                for i in range(size):
                    for j in range(i == 0, size):
                        other, k = image[y + i, x + j], i * size + j
                        for c in range(channels):
                            # A NaN stays: torch's pooling hands it on.
                            better = other[c] > best[c] or other[c] != other[c]
                            best[c] = other[c] if better else best[c]
                            place[c] = k if better else place[c]
            n += channels


@routine
def spread(image: Array, size: int, delta: Array, places: Array, t: int, b: int) -> None:
    """Write the gradient of an image: that of each maximum at its place, and zero elsewhere."""
    if size == 2:
        _spread_windows(image, 2, delta, places, t, b)  # known to the compiler, which unrolls it
    else:
        _spread_windows(image, size, delta, places, t, b)


@inlined
def _spread_windows(image: Array, size: int, delta: Array, places: Array, t: int, b: int) -> None:
    height, width, channels = image.shape
    flat, n = delta.reshape(delta.size), 0
    high, wide = height - height % size, width - width % size
    for y in range(0, high, size):
        for x in range(0, wide, size):
            gradient = flat[n : n + channels]
            if size == 1:
                pixel = image[y, x]
                for c in range(channels):
                    pixel[c] = gradient[c]
            else:
                place = places[t, b, n : n + channels]
                for i in range(size):
                    for j in range(size):
                        pixel, k = image[y + i, x + j], i * size + j
                        for c in range(channels):
                            pixel[c] = gradient[c] if place[c] == k else 0
            n += channels
    # What fills no window.
    for y in range(height):
        for x in range(wide if y < high else 0, width):
            pixel = image[y, x]
            for c in range(channels):
                pixel[c] = 0
