"""The windows of a maximum pooling, in kernels: where the maxima are, and their gradient.

Shapes: ``H`` and ``W`` of an image, ``C`` channels, which come last in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikemnist._runtime.compiler import inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@inlined
def pool(image: Array, size: int, inflow: Array, places: Array, t: int, b: int) -> None:
    """Write the maxima of an image ``[H, W, C]`` and where they are; the first one counts."""
    if size == 2:
        _pool_windows(image, 2, inflow, places, t, b)  # known to the compiler
    else:
        _pool_windows(image, size, inflow, places, t, b)


@inlined
def _pool_windows(image: Array, size: int, inflow: Array, places: Array, t: int, b: int) -> None:
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
                for k in range(1, size * size):
                    other = image[y + k // size, x + k % size]
                    for c in range(channels):
                        # A NaN stays: torch's pooling hands it on.
                        better = other[c] > best[c] or other[c] != other[c]
                        best[c] = other[c] if better else best[c]
                        place[c] = k if better else place[c]
            n += channels


@inlined
def spread(image: Array, size: int, delta: Array, places: Array, t: int, b: int) -> None:
    """Write the gradient of an image: that of each maximum at its place, and zero elsewhere."""
    if size == 2:
        _spread_windows(image, 2, delta, places, t, b)
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
                image[y, x] = gradient
            else:
                place = places[t, b, n : n + channels]
                for k in range(size * size):
                    pixel = image[y + k // size, x + k % size]
                    for c in range(channels):
                        pixel[c] = gradient[c] if place[c] == k else 0
            n += channels
    # What fills no window.
    image[:, wide:] = 0
    image[high:] = 0
