"""Choose and call the forward kernels of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist.engine.forward import (
    Drive,
    Neurons,
    Trace,
    run_forward,
)
from spikemnist.engine.membranes import RESETS
from spikemnist.kernels import memory, spike_lists
from spikemnist.kernels.blocks import blocks_of, parameter_blocks, parameter_values
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import parallel

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.engine.signal import Signal
    from spikemnist.ops.layer import LayerParams

    Array = NDArray[Any]


class LayerRun(NamedTuple):
    """The forward pass of a layer, in the form that kernels take.

    ``signal`` is its input, ``neurons`` and ``drive`` are what the backward pass needs of its
    parameters. ``words`` ``[B, T, M]`` are its packed spikes and ``counts`` ``[B]`` their numbers.
    ``membrane`` ``[B, M, T, WIDTH]`` is in blocks, ``final`` is ``[B, N]``; each may be None.
    ``record`` is whether the membranes are returned.
    """

    signal: Signal
    neurons: Neurons
    drive: Drive
    words: Tensor | None
    counts: Array
    membrane: Tensor | None
    final: Tensor | None
    record: bool


def forward(
    signal: Signal,
    layer: LayerParams,
    shape: tuple[int, int],
    *,
    keep: bool,
    record: bool,
    final: bool,
) -> LayerRun:
    """Run one layer; ``shape`` is the numbers of timesteps and samples.

    Its membranes are kept if a backward pass or a record needs them. For a backward pass alone,
    their memory may stay unwritten: see `Signal.recomputes`.
    """
    steps, batch = shape
    size, dtype = layer_size(signal, layer), layer.beta.dtype
    blocks = blocks_of(size)
    neurons, drive = _lay_out(signal, layer, steps, size)
    of_blocks = memory.empty((blocks, batch, steps), torch.int64)
    membrane = memory.empty((batch, blocks, steps, WIDTH), dtype) if keep or record else None
    again = not record and signal.recomputes(steps)
    last = memory.empty((batch, size), dtype) if final else None
    target = None if again else membrane
    bits, counts = of_blocks.numpy().view(np.uint64), np.empty((blocks, batch), np.int64)
    trace = Trace(bits, counts, array_of(target, 4, dtype), array_of(last, 2, dtype))
    # As long as possible, since each thread copies the weights of its block first, but short enough
    # that the threads end at the same time.
    chunk = max(1, -(-batch // -(-4 * torch.get_num_threads() // blocks)))
    units = blocks * -(-batch // chunk)
    work = batch * steps * blocks * 10 + len(drive.neurons) * blocks + drive.weights.size // 4
    parallel(run_forward, units, chunk, neurons, drive, trace, work=work)
    if not again:
        empty = spike_lists.no_events()._asdict()
        drive = drive._replace(weights=nothing(2, dtype), current=nothing(3, dtype), **empty)
    words = _by_sample(of_blocks)
    return LayerRun(signal, neurons, drive, words, counts.sum(0), membrane, last, record)


def _by_sample(of_blocks: Tensor) -> Tensor:
    """Return the words that a kernel wrote, ``[M, B, T]``, in the order ``[B, T, M]``."""
    blocks, batch, steps = of_blocks.shape
    if blocks == 1:
        return of_blocks.view(batch, steps, 1)
    return memory.empty((batch, steps, blocks), torch.int64).copy_(of_blocks.permute(1, 2, 0))


def layer_size(signal: Signal, layer: LayerParams) -> int:
    """Return the number of neurons of a layer."""
    return signal.features if layer.weight is None else len(layer.weight)


def _lay_out(signal: Signal, layer: LayerParams, steps: int, size: int) -> tuple[Neurons, Drive]:
    """Convert a layer and its input to the form that kernels take."""
    bias = 0.0 if layer.bias is None else parameter_values(layer.bias)
    values = [(clamped(layer.beta), 0.0), (parameter_values(layer.threshold), np.inf), (bias, 0.0)]
    beta_blocks, threshold, bias_blocks = parameter_blocks(values, size, layer.beta.dtype)
    neurons = Neurons(beta_blocks, threshold, RESETS[layer.reset_mechanism])
    return neurons, _drive(signal, layer, steps, bias_blocks)


def _drive(signal: Signal, layer: LayerParams, steps: int, bias: Array) -> Drive:
    dtype = layer.beta.dtype
    weights, current = nothing(2, dtype), nothing(3, dtype)
    by_timestep = spike_lists.no_events()
    if layer.weight is None:
        current = scaled(signal.to_dense(dtype).detach(), signal.scale).contiguous().numpy()
    elif signal.is_sparse(steps):
        assert signal.words is not None
        assert signal.counts is not None
        weights = array_of(scaled(layer.weight, signal.scale), 2, dtype)
        by_timestep = spike_lists.by_timestep(signal.words, signal.counts)
    else:
        dense = signal.to_dense(dtype).detach()
        current = product(dense, scaled(layer.weight, signal.scale).T).numpy()
    return Drive(weights, *by_timestep, current, bias, array_of(layer.initial, 2, dtype))


def product(dense: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the last axis by a matrix; return ``[T, B, N]``, in memory that is reused."""
    shape = (*dense.shape[:-1], matrix.shape[1])
    out = memory.empty(shape, matrix.dtype)
    torch.mm(dense.flatten(0, 1), matrix.detach(), out=out.view(-1, shape[-1]))
    return out


def scaled(tensor: Tensor, scale: float) -> Tensor:
    """Multiply a tensor by dropout's factor for the kept spikes."""
    return tensor if scale == 1 else tensor * scale


def clamped(beta: Tensor) -> Array | float:
    """Return beta clamped to [0, 1], as the neurons use it."""
    numbers = parameter_values(beta)
    return min(max(numbers, 0.0), 1.0) if isinstance(numbers, float) else numbers.clip(0, 1)


def array_of(tensor: Tensor | None, dims: int, dtype: torch.dtype) -> Array:
    """Return the array of a tensor; for None an array of length 0, which kernels treat as none."""
    if tensor is None:
        return nothing(dims, dtype)
    tensor = tensor.detach()
    # Checked first: a conversion that changes nothing takes longer than the rest of the function.
    tensor = tensor if tensor.dtype == dtype else tensor.to(dtype)
    array: Array = tensor.contiguous().numpy()
    return array


@functools.cache
def nothing(dims: int, dtype: torch.dtype) -> Array:
    """Return an array of length 0, which kernels treat as none."""
    array: Array = memory.empty((0,) * dims, dtype).numpy()
    return array
