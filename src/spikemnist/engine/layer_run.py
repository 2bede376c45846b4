"""Choose and call the forward kernels of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from spikemnist.engine.forward import Events, Neurons, Trace, run_forward
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

    ``signal`` is its input ``[T, B, F]``, and ``shape`` is T and B. ``words`` ``[B, T, M]`` are its
    packed spikes and ``counts`` ``[B]`` their numbers. For the backward pass, ``neurons`` are its
    parameters, and ``membrane`` ``[B, M, T, WIDTH]`` its membranes in blocks, or ``events`` the
    input to compute them again. ``final`` is ``[B, N]``, or None.
    """

    signal: Signal
    shape: tuple[int, int]
    neurons: Neurons
    events: Events | None
    words: Tensor | None
    counts: Array
    membrane: Tensor | None
    final: Tensor | None


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

    Its membranes are kept if a backward pass or a record needs them, except for a backward pass
    that computes them again: see `Signal.recomputes`.
    """
    steps, batch = shape
    size, dtype = layer_size(signal, layer), layer.beta.dtype
    blocks = blocks_of(size)
    neurons, (events, current) = _neurons(layer, size), _input(signal, layer, steps)
    of_blocks = memory.empty((blocks, batch, steps), torch.int64)
    again = not record and signal.recomputes(steps)
    kept = record or (keep and not again)
    membrane = memory.empty((batch, blocks, steps, WIDTH), dtype) if kept else None
    last = memory.empty((batch, size), dtype) if final else None
    bits, counts = of_blocks.numpy().view(np.uint64), np.empty((blocks, batch), np.int64)
    trace = Trace(bits, counts, array_of(membrane, 4, dtype))
    # As long as possible, since each thread copies the weights of its block first, but short enough
    # that the threads end at the same time.
    chunk = max(1, -(-batch // -(-4 * torch.get_num_threads() // blocks)))
    units = blocks * -(-batch // chunk)
    work = batch * steps * blocks * 10
    if events is not None:
        work += len(events.neurons) * blocks + events.weights.size // 4
    ends = initial_of(layer), None if last is None else last.numpy()
    parallel(run_forward, units, chunk, neurons, events, current, *ends, trace, work=work)
    words, total = _by_sample(of_blocks), counts.sum(0)
    return LayerRun(signal, shape, neurons, events if again else None, words, total, membrane, last)


def _by_sample(of_blocks: Tensor) -> Tensor:
    """Return the words that a kernel wrote, ``[M, B, T]``, in the order ``[B, T, M]``."""
    blocks, batch, steps = of_blocks.shape
    if blocks == 1:
        return of_blocks.view(batch, steps, 1)
    return memory.empty((batch, steps, blocks), torch.int64).copy_(of_blocks.permute(1, 2, 0))


def layer_size(signal: Signal, layer: LayerParams) -> int:
    """Return the number of neurons of a layer."""
    return signal.features if layer.weight is None else layer.weight.shape[0]


def _neurons(layer: LayerParams, size: int) -> Neurons:
    """Convert the parameters of neurons to the form that kernels take."""
    bias = 0.0 if layer.bias is None else parameter_values(layer.bias)
    threshold = parameter_values(layer.threshold)
    values = [(bias, 0.0), (clamped(layer.beta), 0.0), (threshold, np.inf)]
    bias_blocks, beta, threshold_blocks = parameter_blocks(values, size, layer.beta.dtype)
    return Neurons(bias_blocks, beta, threshold_blocks, RESETS[layer.reset_mechanism])


def initial_of(layer: LayerParams) -> Array | None:
    """Return the membranes ``[B, N]`` before the first timestep, or None at rest."""
    return None if layer.initial is None else array_of(layer.initial, 2, layer.beta.dtype)


def _input(signal: Signal, layer: LayerParams, steps: int) -> tuple[Events | None, Array | None]:
    """Return the input as events with their weights, or as a current."""
    dtype = layer.beta.dtype
    if layer.weight is None:
        current: Array = scaled(signal.to_dense(dtype).detach(), signal.scale).contiguous().numpy()
        return None, current
    if not signal.is_sparse(steps):
        weight = scaled(layer.weight, signal.scale).T
        return None, product(signal.to_dense(dtype).detach(), weight).numpy()
    assert signal.words is not None
    assert signal.counts is not None
    weights = array_of(scaled(layer.weight, signal.scale), 2, dtype)
    return Events(weights, *spike_lists.by_timestep(signal.words, signal.counts)), None


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
