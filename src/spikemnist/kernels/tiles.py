"""The memory layout of kernels: neurons in tiles of `WIDTH`, padded to whole tiles.

A tile of weights ``[F, WIDTH]`` is what one input spike adds a row of; it is contiguous, so that
a sample's rows stay in the first-level cache for all of its timesteps.

Shapes: ``N`` neurons, ``F`` input features, ``M`` tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist.kernels import memory
from spikemnist.kernels.compiler import kernel, routine
from spikemnist.kernels.registers import VECTOR_BYTES, WIDTH, at, clear
from spikemnist.kernels.teams import borrowed, by_team
from spikemnist.kernels.threads import parallel
from spikemnist.kernels.tickets import next_unit
from spikemnist.kernels.vector import transpose_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[Any]


def tiles_of(neurons: int) -> int:
    """Return how many tiles hold that many neurons."""
    return -(-neurons // WIDTH)


def tile_parameters(
    values: Sequence[tuple[Array | float, float]], neurons: int, dtype: torch.dtype
) -> list[Array]:
    """Return ``[M, WIDTH]`` for each pair of values, for all neurons or one for each, and padding.

    They are rows of one tensor, which is aligned as `aligned_rows` are.
    """
    tiled = memory.empty((len(values), tiles_of(neurons), WIDTH), dtype).numpy()
    for row, (value, padding) in zip(tiled.reshape(len(values), -1), values, strict=True):
        row[:neurons] = value
        if neurons < len(row):
            row[neurons:] = padding
    return list(tiled)


def numbers_of(parameter: Tensor) -> Array | float:
    """Return a parameter as NumPy takes it: one number is not worth an array."""
    if parameter.dim() == 0:
        return parameter.item()
    array: Array = parameter.detach().numpy()
    return array


def tile_weights(weight: Tensor) -> Array:
    """Return ``[M, F, WIDTH]`` of a weight matrix ``[N, F]``, zero where it is padded."""
    neurons, features = weight.shape
    tiled = memory.empty((tiles_of(neurons), features, WIDTH), weight.dtype).numpy()
    dense = weight.detach().contiguous().numpy()
    parallel(_tile_weights, len(tiled), dense, tiled, work=dense.size // 4)
    return tiled


def untile_weights(tiled: Array, neurons: int) -> Array:
    """Return ``[N, F]``, a copy, of the tiles ``[M, F, WIDTH]`` that `tile_weights` made."""
    dense: Array = tiled.transpose(0, 2, 1).reshape(-1, tiled.shape[1])[:neurons].copy()
    return dense


@kernel
def _tile_weights(ticket: Array, units: int, weight: Array, tiled: Array) -> None:
    if by_team(ticket):
        return
    weight, tiled = borrowed((weight, tiled))
    m = next_unit(ticket)
    while m < units:
        load_tile(tiled[m], weight, m)
        m = next_unit(ticket)


@routine
def room_for_tile(weight: Array, like: Array) -> Array:
    """Return scratch for a tile of weights ``[N, F]``, and a row of zeros behind it; or none."""
    features = weight.shape[1]
    tile = aligned_rows(features + 1 if len(weight) else 0, like)
    if len(weight):
        clear(at(tile, features))
    return tile


@routine
def load_tile(tile: Array, weight: Array, m: int) -> None:
    """Set ``[F, WIDTH]`` to tile m of a weight matrix ``[N, F]``, zero where it is padded."""
    here = weight[m * WIDTH : (m + 1) * WIDTH]
    if len(here) < WIDTH:
        for f in range(weight.shape[1]):
            clear(at(tile, f))
    transpose(tile, here)


def untile(tiled: Tensor, neurons: int) -> Tensor:
    """Return ``[T, B, N]`` of tiles ``[B, M, T, WIDTH]``."""
    batch, _, steps, _ = tiled.shape
    rows = memory.empty((steps, batch, neurons), tiled.dtype)
    parallel(_untile, batch, tiled.numpy(), rows.numpy(), work=rows.numel() // 8)
    return rows


@kernel
def _untile(ticket: Array, units: int, tiled: Array, rows: Array) -> None:
    if by_team(ticket):
        return
    tiled, rows = borrowed((tiled, rows))
    neurons = rows.shape[2]
    b = next_unit(ticket)
    while b < units:
        for m in range(tiled.shape[1]):
            for t in range(tiled.shape[2]):
                for j in range(min(WIDTH, neurons - m * WIDTH)):
                    rows[t, b, m * WIDTH + j] = tiled[b, m, t, j]
        b = next_unit(ticket)


@routine
def transpose(out: Array, source: Array) -> None:
    """Set a matrix to the transpose of another, as far as both go."""
    rows, columns = min(len(source), out.shape[1]), min(source.shape[1], len(out))
    side = VECTOR_BYTES // source.itemsize
    if rows < side or columns < side:
        for row in range(rows):
            for column in range(columns):
                out[column, row] = source[row, column]
        return
    # The last blocks begin early enough to end with the matrix: some numbers are copied twice.
    for row in range(0, rows, side):
        for column in range(0, columns, side):
            transpose_block(out, source, min(row, rows - side), min(column, columns - side))


@routine
def aligned_rows(rows: int, like: Array) -> Array:
    """Return scratch ``[rows, WIDTH]`` of the dtype of ``like`` that begins on a cache line."""
    raw = np.empty(rows * WIDTH + WIDTH, like.dtype)
    skip = (-raw.ctypes.data % 64) // like.itemsize
    return raw[skip : skip + rows * WIDTH].reshape(rows, WIDTH)


@routine
def add_part(row: Array, values: Array, m: int) -> None:
    """Add what belongs to tile m of the numbers of a layer, one for each neuron, to a row."""
    here = min(WIDTH, len(values) - m * WIDTH)
    part = values[m * WIDTH : m * WIDTH + here]
    for j in range(here):
        row[j] += part[j]


@routine
def put_part(values: Array, m: int, row: Array) -> None:
    """Write a row to what belongs to tile m of the numbers of a layer, one for each neuron."""
    here = min(WIDTH, len(values) - m * WIDTH)
    part = values[m * WIDTH : m * WIDTH + here]
    for j in range(here):
        part[j] = row[j]


@routine
def put_tile(weight: Array, m: int, gradient: Array) -> None:
    """Write the gradient of a tile, ``[F, WIDTH]``, to where it belongs in ``[N, F]``."""
    here = weight[m * WIDTH : (m + 1) * WIDTH]
    transpose(here, gradient)
