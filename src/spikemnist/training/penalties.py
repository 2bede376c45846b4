"""What spikes cost, to be added to a loss by `spikemnist.training.Regularized`.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``L`` layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch

from spikemnist.models import Record

if TYPE_CHECKING:
    from torch import Tensor

Penalty = Callable[[Record], "Tensor"]

Layers = Literal["hidden", "all"]


@dataclass(frozen=True)
class L1Spikes:
    r"""The mean number of spikes for a sample, which is what synaptic operations go with.

    .. math:: P = \lambda \frac1B \sum_{l, t, b, n} S^l_{t, b, n}

    Parameters
    ----------
    strength
        :math:`\lambda`, 0 or more.
    layers
        ``"hidden"`` leaves the output layer out, ``"all"`` counts it.

    Raises
    ------
    ValueError
        For a parameter out of its range, and for a record without such layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,), threshold=0.1)(torch.ones(5, 2, 784), record="all")
    >>> spikes = record.spike_counts[0].float().mean()
    >>> bool(L1Spikes(0.5)(record) == 0.5 * spikes)
    True
    """

    strength: float
    layers: Layers = "hidden"

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty.

        Parameters
        ----------
        record
            With every layer, whose spikes are ``[T, B, N]``.

        Returns
        -------
        torch.Tensor
            A scalar.

        Raises
        ------
        ValueError
            For a record without such layers.
        """
        spikes = [fired.sum() for fired in _spikes(record, self.layers)]
        return self.strength * torch.stack(spikes).sum() / record.spikes.shape[1]


@dataclass(frozen=True)
class TargetRate:
    r"""The mean square distance of the neurons' firing rates from the rate that they should have.

    .. math:: P = \lambda \sum_l \frac1{N_l} \sum_n (r^l_n - r^*)^2,
              \qquad r^l_n = \frac1{TB} \sum_{t, b} S^l_{t, b, n}

    It wakes silent neurons and calms those that fire all the time.

    Parameters
    ----------
    rate
        :math:`r^*`, spikes of a neuron in a timestep, in [0, 1].
    strength
        :math:`\lambda`, 0 or more.
    layers
        ``"hidden"`` leaves the output layer out, ``"all"`` counts it.

    Raises
    ------
    ValueError
        For a parameter out of its range, and for a record without such layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784), record="all")
    >>> bool(TargetRate(0.05)(record) > 0)
    True
    """

    rate: float
    strength: float = 1.0
    layers: Layers = "hidden"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must lie in [0, 1], spikes in a timestep; got {self.rate}")
        _check(self)

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty.

        Parameters
        ----------
        record
            With every layer, whose spikes are ``[T, B, N]``.

        Returns
        -------
        torch.Tensor
            A scalar.

        Raises
        ------
        ValueError
            For a record without such layers.
        """
        rates = [fired.mean((0, 1)) for fired in _spikes(record, self.layers)]
        return self.strength * torch.stack([(r - self.rate).square().mean() for r in rates]).sum()


def _check(penalty: L1Spikes | TargetRate) -> None:
    if not 0 <= penalty.strength < math.inf:
        raise ValueError(f"strength must be 0 or more and finite; got {penalty.strength}")
    if penalty.layers not in get_args(Layers):
        raise ValueError(f"layers must be 'hidden' or 'all'; got {penalty.layers!r}")


def _spikes(record: Record, layers: str) -> list[Tensor]:
    if not record.layers:
        raise ValueError(
            "a penalty needs every layer, and this record has the output layer alone: call the "
            "model with record='all', or give fit the loss Regularized(loss, [penalty])"
        )
    chosen = record.layers[:-1] if layers == "hidden" else record.layers
    if not chosen:
        raise ValueError("the network has no hidden layer: use layers='all'")
    return [layer.spikes for layer in chosen]
