r"""Compute the numbers of the C code, and what it computes with them.

With ``int8`` weights all numbers are integers. A weight is a multiple of :math:`s_n`, the scale of
neuron or channel :math:`n`; its membrane, bias and threshold are multiples of a fraction of
:math:`s_n`. So each neuron computes in its own unit, and nothing is ever multiplied by a scale.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` inputs or input channels, ``O`` neurons or output
channels, ``K`` kernel size, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from spikemnist.export.arrays import LayerArrays, NetworkArrays
from spikemnist.models.readout import READOUTS, best_class, class_mean

DECAY_OF_ONE = 65536
"""Integer that stands for a decay of 1."""
UNIT = 256
"""Parts of :math:`s_n` in which a membrane is counted, so that its decay is not rounded off."""
LARGEST_THRESHOLD = 2**28
"""Largest threshold in these parts, which leaves headroom for membranes of 32 bits."""
MOST_STEPS = 256
"""Timesteps in which a membrane without decay may reach its threshold."""
LIMIT = (2**31 - 1) // 2
"""Largest membrane, bias or threshold."""


class Tables(NamedTuple):
    """Numbers of a layer in the order of the C code, weights ``[I, K, K, O]``, others ``[O]``."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    beta: NDArray[Any]
    threshold: NDArray[Any]

    @property
    def is_integer(self) -> bool:
        """Whether all are integers, with weights of 8 bits."""
        return self.weight.dtype == np.int8


def quantise(layer: LayerArrays, *, is_grey: bool, is_output: bool) -> Tables:
    """Return the tables of a layer in integers; ``is_grey`` tells whether its input is."""
    weight, beta = layer.by_input, layer.beta.astype(np.float64)
    sizes = np.abs(weight.astype(np.float64))
    largest = sizes.max((0, 1, 2))
    scale = (largest.max() if is_output else largest) / 127
    # Grey values are multiples of 1/255. Average pooling leaves sums, and the unit is smaller.
    parts = (255 if is_grey else UNIT) * (layer.pool**2 if layer.pooling == "average" else 1)
    # A threshold beyond all membranes, as of converted outputs, would round all weights to 0.
    reach = (sizes.sum((0, 1, 2)) + np.abs(layer.bias)) / np.maximum(1 - beta, 1 / MOST_STEPS)
    threshold = np.minimum(layer.threshold.astype(np.float64), reach)
    scale = np.maximum(scale, threshold * parts / LARGEST_THRESHOLD)
    scale = np.broadcast_to(scale.max() if is_output else scale, largest.shape)
    scale = np.where(scale > 0, scale, 1)  # of weights and a threshold that are all zero

    def integers(values: NDArray[Any], unit: NDArray[Any] | float, limit: int = LIMIT) -> Any:
        kind = np.int32 if limit == LIMIT else np.int8
        return (values / unit).round().clip(-limit, limit).astype(kind)

    unit = scale / parts
    return Tables(
        integers(weight, scale, 127),
        integers(layer.bias, unit),
        integers(layer.beta, 1 / DECAY_OF_ONE),
        integers(layer.threshold, unit),
    )


def replay(
    network: NetworkArrays, tables: Sequence[Tables], signal: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute what the C code does, in double precision, in which all these integers are exact.

    Parameters
    ----------
    network : NetworkArrays
        Shapes, resets and readout.
    tables : sequence of Tables
        Its numbers in single precision or integers.
    signal : torch.Tensor
        Input ``[T, B, I]``, channels last. With integers a spike is `UNIT`, and a grey value at
        most 255.

    Returns
    -------
    spikes, classes, distances : torch.Tensor
        Number of spikes ``[B, L]``, class ``[B]``, and least distance of a membrane from its
        threshold, ``[B]``.
    """
    totals, distances = [], []
    for layer, numbers in zip(network.layers, tables, strict=True):
        membrane = _membranes(layer, numbers, _currents(layer, numbers, signal.double()))
        above = membrane - torch.from_numpy(numbers.threshold).double()
        spikes = (above > 0).double()
        totals.append(spikes.sum((0, 2, 3)).long())
        distances.append(above.abs().amin((0, 2, 3)))
        signal = spikes.flatten(2) * (UNIT if numbers.is_integer else 1)
    scores = READOUTS[network.readout](spikes.flatten(2), membrane.flatten(2))
    outputs = scores, membrane.mean(0).flatten(1)
    classes = best_class(*(class_mean(values, network.population) for values in outputs))
    return torch.stack(totals, 1), classes, torch.stack(distances).amin(0)


def _currents(layer: LayerArrays, tables: Tables, signal: Tensor) -> Tensor:
    """Return what the neurons receive, ``[T, B, H * W, O]``."""
    sides = (1, 1) if layer.is_dense else layer.in_shape[1:]
    pixels = signal.reshape(-1, *sides, len(tables.weight)).permute(0, 3, 1, 2)
    weights = torch.from_numpy(tables.weight).double().permute(3, 0, 1, 2)
    out = conv2d(pixels, weights, None, layer.stride, layer.padding)
    if layer.pooling == "average":  # integers are summed: their unit is as much smaller
        out = avg_pool2d(out, layer.pool, divisor_override=1 if tables.is_integer else None)
    else:
        out = max_pool2d(out, layer.pool)
    return out.permute(0, 2, 3, 1).reshape(*signal.shape[:2], -1, out.shape[1])


def _membranes(layer: LayerArrays, tables: Tables, currents: Tensor) -> Tensor:
    """Return the membranes at each timestep, before their reset."""
    bias, beta, threshold = (torch.from_numpy(values).double() for values in tables[1:])
    membranes, membrane = [], torch.zeros_like(currents[0])
    for current in currents + bias:
        fires = membrane > threshold
        rest = membrane.where(~fires, 0) if layer.reset == "zero" else membrane
        decayed = (rest * beta / DECAY_OF_ONE).trunc() if tables.is_integer else rest * beta
        membrane = decayed + current - (fires * threshold if layer.reset == "subtract" else 0)
        membrane = membrane.clamp(-LIMIT, LIMIT) if tables.is_integer else membrane
        membranes.append(membrane)
    return torch.stack(membranes)
