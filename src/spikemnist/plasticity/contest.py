"""Features in the layout of their kernels.

Shapes: ``T`` timesteps, ``B`` images, ``N`` features, ``C`` channels, ``K`` side of a kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.kernels import events
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.threads import parallel
from spikemnist.kernels.tiles import tile_weights, tiles_of, untile_weights
from spikemnist.plasticity import winners
from spikemnist.plasticity.winners import Contest, Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.kernels.events import ByTimestep
    from spikemnist.plasticity.convolutional import ConvSTDPClassifier

    Array = NDArray[Any]


class Features:
    """Features that learn from spikes ``[T, B, C * H * W]``, and look for themselves in them.

    Parameters
    ----------
    parameters
        The classifier whose features they are.
    weights
        float32 ``[N, C, K, K]``.
    shape
        Height and width of an image.
    """

    def __init__(
        self, parameters: ConvSTDPClassifier, weights: Array, shape: tuple[int, ...]
    ) -> None:
        single = np.float32
        _check(weights, shape)
        self.size, channels, self.side, _ = weights.shape
        self.grid = Grid(channels, shape[0], shape[1], self.side, parameters.pool_size)
        self.contest = Contest(
            parameters.n_winners,
            parameters.inhibition_radius,
            single(parameters.learning_rate),
            single(parameters.max_learning_rate),
            single(parameters.depression),
            parameters.doubling,
        )
        self._tiled = tile_weights(torch.from_numpy(weights.reshape(self.size, -1))).copy()
        self._threshold = np.full((tiles_of(self.size), WIDTH), np.inf, np.float32)
        self._threshold.reshape(-1)[: self.size] = parameters.threshold
        self._wins = np.zeros(self._threshold.size, np.int64)

    @property
    def weights(self) -> Array:
        """float32 ``[N, C, K, K]``, a copy."""
        dense = untile_weights(self._tiled, self.size)
        return dense.reshape(self.size, -1, self.side, self.side)

    @property
    def wins(self) -> Array:
        """From how many images each feature has learned, int64 ``[N]``, a copy."""
        wins: Array = self._wins[: self.size].copy()
        return wins

    def learn(self, spikes: Tensor, seen: int) -> None:
        """Learn from the images of a block, before which ``seen`` others came."""
        listed = self._list(spikes)
        arguments = (self.grid, self.contest, self._tiled, self._threshold, listed)
        parallel(winners.learn_features, 1, *arguments, seen, self._wins)

    def see(self, spikes: Tensor) -> Array:
        """Return how early each feature appears in each cell, uint8 ``[B, Q, N]``."""
        rows, columns = (
            -(-(size - self.side + 1) // self.grid.cell)
            for size in (self.grid.height, self.grid.width)
        )
        found = np.empty((spikes.shape[1], rows * columns, self._threshold.size), np.uint8)
        arguments = (self.grid, self._tiled, self._threshold, self._list(spikes), found)
        parallel(winners.see_features, len(found), *arguments, work=found.size * len(spikes))
        seen: Array = found[:, :, : self.size]
        return seen

    def _list(self, spikes: Tensor) -> ByTimestep:
        count = self.grid.channels * self.grid.height * self.grid.width
        if spikes.dim() != 3 or spikes.shape[2] != count:
            raise ValueError(f"spikes must be [T, B, {count}]; got {tuple(spikes.shape)}")
        packed = events.pack(spikes)
        assert packed is not None
        return events.by_timestep(*packed)


def _check(weights: Array, shape: tuple[int, ...]) -> None:
    """Raise an error unless kernels, which do not check bounds, can take these."""
    square = weights.ndim == 4 and weights.shape[2] == weights.shape[3] and weights.size
    if not square or len(shape) != 2 or min(shape) < weights.shape[2]:
        raise ValueError(
            "weights must be [N, C, K, K] for images of at least K x K pixels; "
            f"got {weights.shape} and images of {shape}"
        )
    if weights.dtype != np.float32:
        raise TypeError(f"weights must be float32; got {weights.dtype}")
