"""The masks of `spikemnist.ops.dropout` as bits, in kernels.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` features, ``M`` words of 64 of them; images
``[N, C, H, W]``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist._tensors import Array
from spikemnist.engine.bounds import NUMPY
from spikemnist.kernels import memory
from spikemnist.kernels.bits import above
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import borrowed, by_team, parallel, units_of
from spikemnist.ops.dropout import bound_of, scale_of
from spikemnist.ops.once import once_differentiable

_word = inlined(splitmix.word)


def draw_bits(steps: int, batch: int, features: int, probability: float) -> Array:
    """Draw a mask: bit j of word m of ``[B, T, M]`` is set where dropout keeps input 64 m + j."""
    words = memory.empty((batch, steps, blocks_of(features)), np.uint64)
    bound, seed = np.uint16(bound_of(probability)), np.uint64(splitmix.draw_seed(None))
    parallel(_draw, batch, words, -(-features // 4), bound, seed, work=words.size * 32)
    return words


@kernel
def _draw(queue: Array, bits: Array, quads: int, bound: Any, seed: Any) -> None:
    if by_team(queue):
        return
    bits = borrowed((bits,))[0]
    batch, steps, width = bits.shape
    row = np.empty(WIDTH // 4, np.uint64)
    numbers = row.view(np.uint16)
    for b in units_of(queue):
        for t in range(steps):
            begin = (t * batch + b) * quads
            for w in range(width):
                for i in range(len(row)):
                    row[i] = _word(seed, np.uint64(begin + w * len(row) + i))
                bits[b, t, w] = above(numbers, bound)


def drop_out(signal: Tensor, probability: float) -> Tensor:
    """Apply dropout to an input ``[N, F]``, or to images, as in `spikemnist.ops.dropout`."""
    if not probability:
        return signal
    out: Tensor = _Dropout.apply(signal, probability)  # type: ignore[no-untyped-call]
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, probability: float) -> Tensor:
        count, *size = signal.shape
        ctx.kept = draw_bits(1, count, math.prod(size), probability)
        ctx.scale = scale_of(probability)
        return _keep(signal, ctx.kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _keep(gradient, ctx.kept, ctx.scale), None


def _keep(signal: Tensor, bits: Array, scale: float) -> Tensor:
    """Multiply the numbers whose bits are set by a factor, and set the others to 0."""
    pixels = signal.detach().movedim(1, -1).contiguous()
    out = memory.empty(pixels.shape, NUMPY[pixels.dtype])
    rows = pixels.flatten(1).numpy()
    factor = rows.dtype.type(scale)
    parallel(_keep_rows, len(rows), rows, bits, factor, out.reshape(rows.shape), work=rows.size)
    return torch.from_numpy(out).movedim(-1, 1)


@kernel
def _keep_rows(queue: Array, rows: Array, bits: Array, factor: Any, out: Array) -> None:
    if by_team(queue):
        return
    rows, bits, out = borrowed((rows, bits, out))
    features = rows.shape[1]
    for n in units_of(queue):
        for w in range(bits.shape[2]):
            word = bits[n, 0, w]
            for j in range(min(WIDTH, features - w * WIDTH)):
                f = w * WIDTH + j
                passes = (word >> np.uint64(j)) & np.uint64(1)
                out[n, f] = rows[n, f] * factor if passes else factor - factor
