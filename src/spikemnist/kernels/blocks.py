"""The memory layout of kernels: neurons in blocks of `WIDTH`, padded to whole blocks.

A block of weights ``[F, WIDTH]`` has one row per input neuron, which a spike of that neuron adds.
It is contiguous, so that a sample's rows stay in the first-level cache for all of its timesteps.

Shapes: ``N`` neurons, ``F`` input features, ``M`` blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist._tensors import Array
from spikemnist.kernels import memory
from spikemnist.kernels.compiler import inlined, routine
from spikemnist.kernels.registers import VECTOR_BYTES, WIDTH, at, clear
from spikemnist.kernels.vector import transpose_block


def blocks_of(neurons: int) -> int:
    """Return the number of blocks of a layer, which is also its words of spikes per timestep."""
    return -(-neurons // WIDTH)


def weight_blocks(weight: Tensor) -> Array:
    """Return the blocks ``[M, F, WIDTH]`` of a weight matrix ``[N, F]``, padded with zeros."""
    neurons, features = weight.shape
    blocks = blocks_of(neurons)
    padded = functional.pad(weight.detach(), (0, 0, 0, blocks * WIDTH - neurons))
    of_block = padded.reshape(blocks, WIDTH, features).transpose(1, 2)
    return of_block.contiguous().numpy()


def join_weight_blocks(blocks: Array, neurons: int) -> Array:
    """Return the matrix ``[N, F]``, a copy, of blocks ``[M, F, WIDTH]`` from `weight_blocks`."""
    dense: Array = blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])[:neurons].copy()
    return dense


@routine
def weight_rows(features: int, like: Array) -> Array:
    """Return scratch for a block of weights, ``[F, WIDTH]``, and a row of zeros behind it."""
    block = aligned_rows(features + 1, like)
    clear(at(block, features))
    return block


@routine
def load_block(block: Array, weight: Array, m: int, fired: Array) -> None:
    """Copy block m of a weight matrix ``[N, F]`` to ``[F, WIDTH]``, padded with zeros.

    The rows of input neurons without a bit in the words ``fired`` may be left as they are.
    """
    here, side = weight[m * WIDTH : (m + 1) * WIDTH], VECTOR_BYTES // weight.itemsize
    for begin in range(0, weight.shape[1], side):
        bits = fired[begin // WIDTH] >> np.uint64(begin % WIDTH)
        if bits & np.uint64((1 << side) - 1) != 0:
            end = min(begin + side, weight.shape[1])
            if len(here) < WIDTH:
                for f in range(begin, end):
                    clear(at(block, f))
            transpose(block, here, begin, end)


def join_blocks(blocks: Array, neurons: int) -> Tensor:
    """Convert blocks ``[B, M, T, WIDTH]`` to a tensor ``[T, B, N]``."""
    if blocks.shape[1] == 1:
        return torch.from_numpy(
            memory.copy(blocks[:, 0, :, :neurons].transpose(1, 0, 2), blocks.dtype)
        )
    joined = memory.copy(blocks.transpose(2, 0, 1, 3), blocks.dtype)
    return torch.from_numpy(joined).flatten(2)[..., :neurons].contiguous()


@routine
def transpose(out: Array, source: Array, begin: int, end: int) -> None:
    """Write the columns ``begin`` to ``end`` of ``source`` to the rows of ``out``."""
    rows, columns = min(len(source), out.shape[1]), min(source.shape[1], len(out))
    side = VECTOR_BYTES // source.itemsize
    if rows < side or columns < side:
        for column in range(begin, end):
            for row in range(rows):
                out[column, row] = source[row, column]
        return
    # The last squares end with the matrix and overlap others: some numbers are copied twice.
    for row in range(0, rows, side):
        for column in range(begin, end, side):
            transpose_block(out, source, min(row, rows - side), min(column, columns - side))


@routine
def aligned_rows(rows: int, like: Array) -> Array:
    """Return scratch ``[rows, WIDTH]``, in the dtype of ``like``, that begins on a cache line."""
    raw = np.empty(rows * WIDTH + WIDTH, like.dtype)
    skip = (-raw.ctypes.data % 64) // like.itemsize
    return raw[skip : skip + rows * WIDTH].reshape(rows, WIDTH)


@routine
def load_part(row: Array, values: Array, m: int) -> None:
    """Write the values of block m, out of one value for each neuron of a layer, to a row."""
    part = values[m * WIDTH : (m + 1) * WIDTH]
    clear(row)
    for j in range(len(part)):
        row[j] = part[j]


@inlined
def add_part_of(row: Array, values: Array, index: Any, m: int) -> None:
    """Add those of the values of ``values[index]`` to a row, unless they are `memory.absent`."""
    if len(values) > 0:
        part = values[index][m * WIDTH : (m + 1) * WIDTH]
        for j in range(len(part)):
            row[j] += part[j]


@routine
def put_part(values: Array, m: int, row: Array) -> None:
    """Write a row to the values of block m, out of one value for each neuron of a layer."""
    part = values[m * WIDTH : (m + 1) * WIDTH]
    for j in range(len(part)):
        part[j] = row[j]


@inlined
def put_part_of(values: Array, index: Any, m: int, row: Array) -> None:
    """Write a row to a part of ``values[index]`` as `put_part` does, unless `memory.absent`."""
    if len(values) > 0:
        put_part(values[index], m, row)


@routine
def store_block(weight: Array, m: int, gradient: Array) -> None:
    """Write the gradient of block m, ``[F, WIDTH]``, to its place in ``[N, F]``."""
    here = weight[m * WIDTH : (m + 1) * WIDTH]
    transpose(here, gradient, 0, len(here))
