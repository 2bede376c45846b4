r"""The gradient of a layer whose adjoint is a number per timestep times a number per neuron.

A loss on the mean of the membranes over time has the same gradient :math:`g` at every timestep.
If it depends on nothing else, and the reset is a constant, the adjoint of the layer is

.. math:: \delta_t = g + \beta \delta_{t+1} = p_t \, g
          \quad\text{with}\quad p_t = \sum_{k=0}^{T-1-t} \beta^k

independent of the activity of its neurons. So its weight gradient needs only a weighted count of
each input neuron's spikes, and the layer below multiplies :math:`g` by the weights once for all
timesteps.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` neurons of the layer, ``F`` features of its input,
``M`` blocks of them.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.kernels.bits import drop_lowest_bit, lowest_bit
from spikemnist.kernels.blocks import aligned_rows, put_part
from spikemnist.kernels.compiler import kernel
from spikemnist.kernels.elementwise import elementwise
from spikemnist.kernels.registers import at, clear
from spikemnist.kernels.scheduler import borrowed, by_team, parallel, units_of


class Separable(NamedTuple):
    """An adjoint: ``profile`` ``[T]`` times ``amplitude`` ``[B, C]``."""

    profile: Array
    amplitude: Array


def separate(gradient: Tensor, beta: float) -> Separable:
    """Return the adjoint for the ``gradient`` ``[T, B, C]`` of membranes, constant over time.

    All neurons have the same ``beta``, within [0, 1].
    """
    amplitude = gradient[0].contiguous().numpy()
    return Separable(_profile(beta, len(gradient), amplitude.dtype), amplitude)


@functools.lru_cache(maxsize=64)
def _profile(beta: float, steps: int, dtype: np.dtype[Any]) -> Array:
    powers = np.float64(beta) ** np.arange(steps)
    profile: Array = powers.cumsum()[::-1].astype(dtype)
    return profile


def sum_over_time(adjoint: Separable) -> Array:
    """Return the gradient of the bias, ``[C]``."""
    total: Array = np.add.reduce(adjoint.amplitude) * np.add.reduce(adjoint.profile)
    return total


def weigh_spikes(adjoint: Separable, words: Array, weight: Array) -> None:
    """Write the gradient of the weights ``[C, F]``, from the packed input spikes ``[B, T, M]``."""
    work = words.size * 10 + len(words) * words.shape[2] * len(weight) * 8
    parallel(_weigh_spikes, words.shape[2], words, *adjoint, weight, work=work)


@elementwise
def _add_times(total: Any, row: Any, factor: Any) -> Any:
    return total + row * factor


@kernel
def _weigh_spikes(
    queue: Array, words: Array, profile: Array, amplitude: Array, weight: Array
) -> None:
    if by_team(queue):
        return
    words, profile, amplitude, weight = borrowed((words, profile, amplitude, weight))
    batch, steps, _ = words.shape
    sums = aligned_rows(len(weight) + 1, profile)
    count = at(sums, len(weight))
    for m in units_of(queue):
        for c in range(len(weight)):
            clear(at(sums, c))
        for b in range(batch):
            clear(count)
            for t in range(steps):
                word = words[b, t, m]
                while word != 0:
                    count[lowest_bit(word)] += profile[t]
                    word = drop_lowest_bit(word)
            for c in range(len(weight)):
                _add_times(at(sums, c), at(sums, c), count, amplitude[b, c])
        for c in range(len(weight)):
            put_part(weight[c], m, at(sums, c))
