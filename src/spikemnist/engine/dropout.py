"""The masks of `spikemnist.ops.dropout` as bits, in a kernel.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` features, ``W`` words of 64 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist.kernels import memory, splitmix
from spikemnist.kernels.bits import above
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit, parallel
from spikemnist.ops.dropout import bound_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_word = inlined(splitmix.word)


def draw_bits(steps: int, batch: int, features: int, probability: float) -> Array:
    """Draw a mask: bit j of word w of ``[B, T, W]`` is set where dropout keeps input 64 w + j."""
    words = memory.empty((batch, steps, blocks_of(features)), np.uint64)
    bound, seed = np.uint16(bound_of(probability)), np.uint64(splitmix.draw_seed(None))
    parallel(_draw, batch, words, -(-features // 4), bound, seed, work=words.size * 32)
    return words


@kernel
def _draw(queue: Array, units: int, bits: Array, quads: int, bound: Any, seed: Any) -> None:
    if by_team(queue):
        return
    bits = borrowed((bits,))[0]
    batch, steps, width = bits.shape
    row = np.empty(WIDTH // 4, np.uint64)
    numbers = row.view(np.uint16)
    b = next_unit(queue)
    while b < units:
        for t in range(steps):
            begin = (t * batch + b) * quads
            for w in range(width):
                for i in range(len(row)):
                    row[i] = _word(seed, np.uint64(begin + w * len(row) + i))
                bits[b, t, w] = above(numbers, bound)
        b = next_unit(queue)
