"""Choose and call the forward kernels of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``F`` features of its input.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.engine.bounds import NUMPY
from spikemnist.engine.forward import Events, Neurons, Trace, run_forward
from spikemnist.engine.membranes import RESETS
from spikemnist.engine.signal import Signal
from spikemnist.kernels import memory, spike_lists
from spikemnist.kernels.blocks import blocks_of
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import parallel
from spikemnist.ops.layer import LayerParams

PARTS = 8, 6, 7, 4, 5, 3, 2, 1
"""Numbers of parts of a product, of which the first that divides its rows is taken. More parts,
each with a copy of the right matrix in the cache, would take longer."""

MANY_ROWS, FEW_PARTS = 256, 5
"""Rows below which a product has few parts, and the largest number of those."""


class LayerRun(NamedTuple):
    """The forward pass of a layer, in the form that kernels take.

    ``signal`` is its input ``[T, B, F]``, ``shape`` is T and B, and ``neurons`` are its parameters.
    ``words`` ``[B, T, M]`` are its packed spikes and ``counts`` ``[B]`` their numbers. For the
    backward pass, ``membrane`` ``[B, M, T, WIDTH]`` are its membranes in blocks, or ``events`` or
    the ``current`` ``[T or 1, B, N]`` is the input to compute them again. ``final`` is ``[B, N]``,
    or None.
    """

    signal: Signal
    shape: tuple[int, int]
    neurons: Neurons
    events: Events | None
    current: Array | None
    words: Array | None
    counts: Array
    membrane: Array | None
    final: Array | None

    def without_arrays(self) -> LayerRun:
        """Return the run without what autograd saves or the user has; the events stay."""
        small = self.signal._replace(words=None, mask=None, dense=None)
        return self._replace(signal=small, words=None, membrane=None, current=None, final=None)


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
    neurons, (events, current) = kernel_neurons(layer, signal), _input(signal, layer, steps)
    blocks, dtype = blocks_of(neurons.size), neurons.beta.dtype
    last = memory.empty((batch, neurons.size), dtype) if final else None
    again = not record and (current is not None or signal.recomputes(steps))
    keep_membranes = record or (keep and not again)
    # As long as possible, since each thread copies the weights of its block first, but short enough
    # that the threads end at the same time.
    chunk = max(1, -(-batch // -(-4 * torch.get_num_threads() // blocks)))
    chunks = -(-batch // chunk)
    trace = Trace(
        memory.empty((blocks, batch, steps), np.uint64),
        np.empty((blocks, batch), np.int64),
        memory.empty((batch if keep_membranes else chunks, blocks, steps, WIDTH), dtype),
        memory.absent(2, dtype) if last is None else last,
    )
    work = batch * steps * blocks * 10
    if events is not None:
        work += len(events.neurons) * blocks + events.weights.size // 4
    units = blocks * chunks
    parallel(run_forward, units, chunk, neurons, events, current, trace, work=work)
    return LayerRun(
        signal,
        shape,
        neurons,
        events if again else None,
        current if again else None,
        _by_sample(trace.words),
        np.add.reduce(trace.counts),
        trace.membrane if keep_membranes else None,
        last,
    )


def _by_sample(of_blocks: Array) -> Array:
    """Return the words that a kernel wrote, ``[M, B, T]``, in the order ``[B, T, M]``."""
    blocks, batch, steps = of_blocks.shape
    if blocks == 1:
        return of_blocks.reshape(batch, steps, 1)
    return memory.copy(of_blocks.transpose(1, 2, 0), np.uint64)


def layer_size(signal: Signal, layer: LayerParams) -> int:
    """Return the number of neurons of a layer."""
    return signal.features if layer.weight is None else layer.weight.shape[0]


def kernel_neurons(layer: LayerParams, signal: Signal) -> Neurons:
    """Return the parameters of neurons in the form that kernels take."""
    beta = layer.beta.detach().numpy().reshape(-1)
    bias = np.zeros(1, beta.dtype) if layer.bias is None else layer.bias.detach().numpy()
    return Neurons(
        layer_size(signal, layer),
        bias,
        beta,
        layer.threshold.detach().numpy().reshape(-1),
        array_or_absent(layer.initial, 2, beta.dtype),
        RESETS[layer.reset_mechanism],
    )


def _input(signal: Signal, layer: LayerParams, steps: int) -> tuple[Events | None, Array | None]:
    """Return the input as events with their weights, or as a current."""
    if layer.weight is None:
        current = signal.to_dense(NUMPY[layer.beta.dtype]).detach()
        return None, array_of(scaled(current, signal.scale))
    weight = scaled(layer.weight.detach(), signal.scale)
    if not signal.is_sparse(steps):
        return None, product(signal.to_dense(NUMPY[weight.dtype]).detach(), weight.T).numpy()
    assert signal.words is not None
    assert signal.counts is not None
    events = spike_lists.by_timestep(signal.words, signal.counts)
    return Events(weight.contiguous().numpy(), signal.words, *events), None


def product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply ``[..., K]`` by ``[K, N]``, with the same bits for any number of threads.

    The bits of torch's product depend on how its threads share a matrix: on some processors the
    last columns of a share take other instructions. So the rows are cut into equal parts, which
    depend on their number alone, and each part is computed by one thread: torch gives its threads
    whole products of a batch, unless there are more threads than products. The result
    ``[..., N]`` lies in memory that is reused.
    """
    flat, threads = left.flatten(0, -2), torch.get_num_threads()
    most = FEW_PARTS if len(flat) < MANY_ROWS else PARTS[0]
    parts = next(parts for parts in PARTS if parts <= most and len(flat) % parts == 0)
    out = torch.from_numpy(memory.empty((*left.shape[:-1], right.shape[1]), NUMPY[right.dtype]))
    shape = parts, len(flat) // parts
    batch = flat.view(*shape, flat.shape[1]), right.detach().expand(parts, *right.shape)
    if threads > parts:
        torch.set_num_threads(parts)
    try:
        torch.bmm(*batch, out=out.view(*shape, right.shape[1]))
    finally:
        if threads > parts:
            torch.set_num_threads(threads)
    return out


def scaled(tensor: Tensor, scale: float) -> Tensor:
    """Multiply a tensor by dropout's factor for the kept spikes."""
    return tensor if scale == 1 else tensor * scale


def array_of(tensor: Tensor | None) -> Array | None:
    """Return the contiguous array of a tensor, or None for None."""
    return None if tensor is None else tensor.detach().contiguous().numpy()


def array_or_absent(tensor: Tensor | None, dimensions: int, dtype: Any) -> Array:
    """Return the contiguous array of a tensor, or `memory.absent` for None."""
    if tensor is None:
        return memory.absent(dimensions, dtype)
    return tensor.detach().contiguous().numpy()


def tensor_of(array: Array | None) -> Tensor | None:
    """Return the tensor of an array, or None for None."""
    return None if array is None else torch.from_numpy(array)
