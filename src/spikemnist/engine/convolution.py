"""Convolution of spikes: each spike adds its weights to the output.

A spike is the number 1, or the scale by which dropout multiplies the spikes that it keeps.

The channels of a pixel are adjacent in memory, in images and in weights. So the spikes under one
row of the kernel, for one output pixel, are consecutive in the list of an image's spikes (a *run*),
and their weight rows have the same order at a constant offset. Forward, the weight rows of a run
are added to the output pixel. Backward, the pixel's gradient is added to the gradients of these
rows. The gradient of the spikes is a dense product, which torch computes.

Shapes: ``N`` images, ``C`` channels in and ``O`` out, ``H`` and ``W`` pixels in and ``Y`` and ``X``
out, kernels of ``K`` by ``L``; ``P`` blocks of `WIDTH` channels out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist._tensors import Array
from spikemnist.engine.bounds import NUMPY, check_convolution
from spikemnist.engine.layer_run import scaled
from spikemnist.kernels import memory, spike_lists
from spikemnist.kernels.blocks import aligned_rows, blocks_of, load_part, put_part, weight_blocks
from spikemnist.kernels.compiler import inlined, kernel, routine
from spikemnist.kernels.registers import WIDTH, at
from spikemnist.kernels.scheduler import borrowed, by_team, parallel, units_of
from spikemnist.kernels.vector import add_rows, scatter_row
from spikemnist.ops.once import once_differentiable

DENSE_FROM = 0.3
"""Density of the input above which the dense product is faster: see docs/guide/engine.md."""

SLICES = 16
"""Number of parts of the images with separate sums of gradients, for any number of threads."""


class Geometry(NamedTuple):
    """Size of an image, length of a kernel's rows, and stride and padding as (rows, columns)."""

    height: int
    width: int
    channels: int
    length: int
    stride: tuple[int, int]
    padding: tuple[int, int]


def convolve(
    spikes: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Tensor:
    """Convolve images: spike by spike if they are sparse spikes, else with torch.

    Parameters
    ----------
    spikes : torch.Tensor
        Images ``[N, C, H, W]`` on the CPU, any dtype; copied unless the channels are last in
        memory.
    weight : torch.Tensor
        Kernels ``[O, C, K, L]``, float32 or float64.
    bias : torch.Tensor, default None
        Bias ``[O]``, in the dtype of ``weight``.
    stride, padding : tuple of int, default (1, 1) and (0, 0)
        Rows and columns; padded pixels are silent.

    Returns
    -------
    torch.Tensor
        ``[N, O, Y, X]``, as from `torch.nn.functional.conv2d`.

    Raises
    ------
    ValueError
        If a shape does not fit.
    TypeError
        If dtypes are mixed, or neither float32 nor float64.
    """
    check_convolution(spikes, weight, bias, stride, padding)
    outputs = len(weight)
    # Spike by spike only if at most half of the last block is padding, which is added in vain.
    fills = outputs >= (blocks_of(outputs) - 0.5) * WIDTH
    # Silent images have the scale 1.
    scale = (float(spikes.detach().amax()) if fills and spikes.numel() else 0.0) or 1.0
    events = _list(spikes, scale) if fills else None
    if events is None:
        return functional.conv2d(spikes.to(weight.dtype), weight, bias, stride, padding)
    _, channels, height, width = spikes.shape
    geometry = Geometry(height, width, channels, weight.shape[3], stride, padding)
    out: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
        spikes, weight, bias, geometry, events, scale
    )
    return out


def _list(spikes: Tensor, scale: float) -> spike_lists.ByTimestep | None:
    """List the spikes of each image; return None for other numbers, and for too many spikes."""
    words_and_counts = spike_lists.pack(spikes.detach().movedim(1, 3).flatten(1)[None], scale)
    if words_and_counts is None or words_and_counts[1].sum() > DENSE_FROM * spikes.numel():
        return None
    return spike_lists.by_timestep(*words_and_counts)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        spikes: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        geometry: Geometry,
        events: spike_lists.ByTimestep,
        scale: float,
    ) -> Tensor:
        images, _, *size = spikes.shape
        outputs, _, *reach = weight.shape
        free = [n + 2 * p - k for n, p, k in zip(size, geometry.padding, reach, strict=True)]
        rows, columns = (n // s + 1 for n, s in zip(free, geometry.stride, strict=True))
        out = memory.empty((images, rows, columns, outputs), NUMPY[weight.dtype])
        begin = weight.new_zeros(outputs) if bias is None else bias.detach().contiguous()
        arguments = (events, geometry, _lay_out(scaled(weight, scale)), begin.numpy(), out)
        parallel(run_convolution, images, *arguments, work=_work(events, reach, outputs))
        ctx.save_for_backward(spikes, weight)
        ctx.settings = geometry, events, scale, bias is not None
        return torch.from_numpy(out).movedim(3, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        spikes, weight = ctx.saved_tensors
        geometry, events, scale, biased = ctx.settings
        needs_spikes, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        spikes_gradient = None
        if needs_spikes:
            options = (list(geometry.stride), list(geometry.padding), [1, 1], False, [0, 0], 1)
            spikes_gradient, _, _ = torch.ops.aten.convolution_backward(
                gradient, spikes.to(weight.dtype), weight, None, *options, [True, False, False]
            )
            spikes_gradient = spikes_gradient.to(spikes.dtype)
        weight_gradient = None
        if needs_weight:
            weight_gradient = scaled(_weight_gradient(gradient, weight, geometry, events), scale)
        bias_gradient = gradient.sum((0, 2, 3)) if biased and needs_bias else None
        return spikes_gradient, weight_gradient, bias_gradient, None, None, None


def _weight_gradient(
    gradient: Tensor, weight: Tensor, geometry: Geometry, events: spike_lists.ByTimestep
) -> Tensor:
    channels_last = gradient.movedim(1, 3).contiguous()
    outputs, channels, *reach = weight.shape
    slices = max(1, min(SLICES, len(channels_last)))
    shape = (slices, blocks_of(outputs), reach[0], reach[1] * channels, WIDTH)
    parts = memory.empty(shape, NUMPY[weight.dtype])
    work = 2 * _work(events, reach, outputs)
    parallel(
        run_convolution_backward,
        slices,
        events,
        geometry,
        channels_last.numpy(),
        parts,
        work=work,
    )
    total = torch.from_numpy(parts).sum(0).view(-1, *reach, channels, WIDTH)
    return total.permute(0, 4, 3, 1, 2).flatten(0, 1)[:outputs]


def _work(events: spike_lists.ByTimestep, reach: list[int], outputs: int) -> int:
    return len(events.neurons) * reach[0] * reach[1] * outputs // 16


def _lay_out(weight: Tensor) -> Array:
    """Return weights as rows, ``[P, K, L * C, WIDTH]``, zero for padded output channels."""
    blocks = weight_blocks(weight.movedim(1, 3).flatten(1))
    return blocks.reshape(len(blocks), weight.shape[2], -1, WIDTH)


@kernel
def run_convolution(
    queue: Array,
    events: spike_lists.ByTimestep,
    geometry: Geometry,
    weights: Array,
    bias: Array,
    out: Array,
) -> None:
    """Convolve one image in each unit of work."""
    if by_team(queue):
        return
    events, weights, bias, out = borrowed((events, weights, bias, out))
    _, rows, columns, _ = out.shape
    image = aligned_rows(rows * columns, weights)
    for n in units_of(queue):
        for block in range(len(weights)):
            for pixel in range(rows * columns):
                load_part(at(image, pixel), bias, block)
            _meet(events, n, geometry, image, weights[block], (rows, columns), True)
            for y in range(rows):
                for x in range(columns):
                    put_part(out[n, y, x], block, at(image, y * columns + x))


@kernel
def run_convolution_backward(
    queue: Array,
    events: spike_lists.ByTimestep,
    geometry: Geometry,
    gradient: Array,
    parts: Array,
) -> None:
    """Sum the gradient of the weights over one part of the images in each unit of work."""
    if by_team(queue):
        return
    events, gradient, parts = borrowed((events, gradient, parts))
    images, rows, columns, _ = gradient.shape
    image, run = aligned_rows(rows * columns, parts), -(-images // len(parts))
    for part in units_of(queue):
        for block in range(parts.shape[1]):
            weights_gradient = parts[part, block]
            for k in range(len(weights_gradient)):
                weights_gradient[k] = 0
            for n in range(part * run, min((part + 1) * run, images)):
                for y in range(rows):
                    for x in range(columns):
                        row = at(image, y * columns + x)
                        load_part(row, gradient[n, y, x], block)
                _meet(events, n, geometry, image, weights_gradient, (rows, columns), False)


@inlined
def _meet(
    events: spike_lists.ByTimestep,
    n: int,
    geometry: Geometry,
    image: Array,
    weights: Array,
    size: tuple[int, int],
    onto: bool,
) -> None:
    """Add weight rows at spikes to an output image ``[Y * X, WIDTH]``, or the image to the rows.

    The rows of the kernel come one by one, so that weights and image stay in the first-level cache.
    """
    height, width, channels, length, (down, across), (above, beside) = geometry
    starts = _starts(events, n, geometry)
    for k in range(len(weights)):
        table = weights[k]
        for y in range(size[0]):
            v = y * down + k - above
            if 0 <= v < height:
                row = v * width
                for x in range(size[1]):
                    left = x * across - beside
                    # Pixels beyond the image are silent.
                    first = starts[row + min(max(left, 0), width)]
                    last = starts[row + min(max(left + length, 0), width)]
                    if first < last:
                        shift = -(row + left) * channels
                        pixel = at(image, y * size[1] + x)
                        if onto:
                            add_rows(pixel, table, events.neurons, first, last, shift)
                        else:
                            scatter_row(table, pixel, events.neurons, first, last, shift)


@routine
def _starts(events: spike_lists.ByTimestep, n: int, geometry: Geometry) -> Array:
    """Return the position of each pixel's first spike in the list, int64 ``[H * W + 1]``."""
    pixels = geometry.height * geometry.width
    starts = np.empty(pixels + 1, np.int64)
    position, end = events.starts[n, 0], events.starts[n, 1]
    for pixel in range(pixels):
        starts[pixel] = position
        while position < end and events.neurons[position] < (pixel + 1) * geometry.channels:
            position += 1
    starts[pixels] = end
    return starts
