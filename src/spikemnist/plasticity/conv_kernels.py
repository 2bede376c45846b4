"""Convolutional features that compete to learn from each image, and their kernels.

Each integrate-and-fire neuron, without leak, sees a square of the input with the weights of its
feature. During learning, the first neurons to exceed the threshold win; within a timestep the
strongest neuron comes first. A winner silences its feature everywhere and every feature near it,
and its weights learn. Afterwards the first neuron at a place silences the others at this place.

Shapes: ``T`` timesteps, ``B`` images, ``N`` features, ``C`` channels, ``K`` side of a kernel, ``P``
positions of a kernel, ``Q`` pooling cells, ``M`` blocks of features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemnist._tensors import Array
from spikemnist.kernels import spike_lists
from spikemnist.kernels.bits import above, drop_lowest_bit, lowest_bit
from spikemnist.kernels.blocks import aligned_rows, blocks_of, join_weight_blocks, weight_blocks
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.elementwise import add
from spikemnist.kernels.registers import WIDTH, at
from spikemnist.kernels.scheduler import borrowed, by_team, next_unit, parallel
from spikemnist.kernels.spike_lists import ByTimestep

ONE = np.uint64(1)
ZERO = np.float32(0)


class Grid(NamedTuple):
    """Sizes of the input, the kernel, the grid of its positions, and a pooling cell."""

    channels: int
    height: int
    width: int
    side: int
    rows: int
    columns: int
    cell: int


class Contest(NamedTuple):
    """Number of winners, radius that a winner silences, and course of the learning rate."""

    winners: int
    radius: int
    rate: Any
    largest_rate: Any
    depression: Any
    doubling: int


class Features(NamedTuple):
    """Features in blocks.

    ``weights`` is ``[M, C * K * K, WIDTH]``. ``threshold`` ``[M, WIDTH]`` is infinite for padding
    features. ``wins`` ``[M * WIDTH]`` counts the images that each feature has learned from.
    """

    grid: Grid
    contest: Contest
    weights: Array
    threshold: Array
    wins: Array


class ConvFeatures:
    """Features that learn from spikes ``[T, B, C * H * W]`` and are detected in them.

    Parameters
    ----------
    parameters : mapping
        Parameters of `ConvSTDPClassifier` by name.
    weights : numpy.ndarray
        Weights, float32 ``[N, C, K, K]``.
    shape : tuple of int
        Height and width of an image.
    """

    def __init__(
        self, parameters: Mapping[str, Any], weights: Array, shape: tuple[int, ...]
    ) -> None:
        single, (height, width) = np.float32, shape
        self.size: int = weights.shape[0]
        _, channels, side, _ = weights.shape
        laid_out = weight_blocks(torch.from_numpy(weights.reshape(self.size, -1))).copy()
        threshold = np.full((blocks_of(self.size), WIDTH), np.inf, np.float32)
        threshold.reshape(-1)[: self.size] = parameters["threshold"]
        rows, columns = height - side + 1, width - side + 1
        grid = Grid(channels, height, width, side, rows, columns, parameters["pool_size"])
        contest = Contest(
            winners=parameters["n_winners"],
            radius=parameters["inhibition_radius"],
            rate=single(parameters["learning_rate"]),
            largest_rate=single(parameters["max_learning_rate"]),
            depression=single(parameters["depression"]),
            doubling=parameters["doubling"],
        )
        wins = np.zeros(threshold.size, np.int64)
        self._features = Features(grid, contest, laid_out, threshold, wins)

    @property
    def weights(self) -> Array:
        """Copy of the weights, float32 ``[N, C, K, K]``."""
        grid = self._features.grid
        dense = join_weight_blocks(self._features.weights, self.size)
        return dense.reshape(self.size, grid.channels, grid.side, grid.side)

    @property
    def wins(self) -> Array:
        """Copy of the number of images that each feature has learned from, int64 ``[N]``."""
        return np.array(self._features.wins[: self.size])

    def learn(self, spikes: Tensor, earlier: int) -> None:
        """Learn from a block of images, after ``earlier`` other ones."""
        parallel(learn_features, 1, self._features, _by_timestep(spikes), earlier)

    def see(self, spikes: Tensor) -> Array:
        """Return how early each feature appears in each cell, int16 ``[B, Q, N]``."""
        grid, padded = self._features.grid, self._features.wins.size
        cells = -(-grid.rows // grid.cell) * -(-grid.columns // grid.cell)
        earliness = np.empty((spikes.shape[1], cells, padded), np.int16)
        arguments = (self._features, _by_timestep(spikes), earliness)
        parallel(see_features, len(earliness), *arguments, work=earliness.size * len(spikes))
        responses: Array = earliness[:, :, : self.size]
        return responses


def _by_timestep(spikes: Tensor) -> ByTimestep:
    words_and_counts = spike_lists.pack(spikes)
    assert words_and_counts is not None
    return spike_lists.by_timestep(*words_and_counts)


@kernel
def learn_features(queue: Array, features: Features, events: ByTimestep, earlier: int) -> None:
    """Learn from images in order, in one unit of work, after ``earlier`` other ones."""
    if by_team(queue):
        return
    features, events = borrowed((features, events))
    grid, contest, potentials = features.grid, features.contest, _potentials(features)
    arrived = np.empty(grid.channels * grid.height * grid.width, np.bool_)
    near = np.empty(grid.rows * grid.columns, np.bool_)
    silenced = np.empty(len(features.weights), np.uint64)
    while next_unit(queue) < queue[2]:
        for b in range(len(events.starts)):
            rate = contest.rate
            for _ in range((earlier + b) // contest.doubling):
                rate = min(rate + rate, contest.largest_rate)
            potentials[:], arrived[:], near[:], silenced[:] = 0, False, False, 0
            won = 0
            for t in range(events.starts.shape[1] - 1):
                begin, end = events.starts[b, t], events.starts[b, t + 1]
                _integrate(features, events.neurons, begin, end, potentials)
                for event in range(begin, end):
                    arrived[events.neurons[event]] = True
                while begin < end and won < contest.winners:
                    position, feature = _strongest(potentials, features.threshold, near, silenced)
                    if position < 0:
                        break
                    won += 1
                    features.wins[feature] += 1
                    _silence(near, silenced, position, feature, grid.columns, contest.radius)
                    _learn(features, arrived, rate, position, feature)
                if won == contest.winners:
                    break


@kernel
def see_features(queue: Array, features: Features, events: ByTimestep, earliness: Array) -> None:
    """Find how early each feature appears in each pooling cell, one image in each unit of work.

    At a place only one feature fires: the first, and within a timestep the strongest. Fills
    ``earliness`` ``[B, Q, M * WIDTH]``: the sum over the places of a cell at which the feature
    fires, each T for the first timestep and 1 for the last one.
    """
    if by_team(queue):
        return
    features, events, earliness = borrowed((features, events, earliness))
    grid, potentials = features.grid, _potentials(features)
    positions, across = grid.rows * grid.columns, -(-grid.columns // grid.cell)
    steps = events.starts.shape[1] - 1
    fired = np.empty(positions, np.bool_)
    silenced = np.zeros(len(features.weights), np.uint64)  # no feature, so far
    b = next_unit(queue)
    while b < queue[2]:  # in a generator, the potentials would cost 15 % more time
        potentials[:], fired[:], earliness[b] = 0, False, 0
        for t in range(steps):
            begin, end = events.starts[b, t], events.starts[b, t + 1]
            _integrate(features, events.neurons, begin, end, potentials)
            for position in range(positions if begin < end else 0):
                if fired[position]:
                    continue
                _, feature = _strongest_at(position, potentials, features.threshold, silenced)
                if feature >= 0:
                    fired[position] = True
                    y, x = position // grid.columns, position % grid.columns
                    cell = y // grid.cell * across + x // grid.cell
                    earliness[b, cell, feature] += steps - t
        b = next_unit(queue)


@inlined
def _potentials(features: Features) -> Array:
    """Return scratch memory for the potentials ``[M * P, WIDTH]``."""
    positions = features.grid.rows * features.grid.columns
    return aligned_rows(len(features.weights) * positions, features.weights)


@inlined
def _integrate(features: Features, spikes: Array, begin: int, end: int, potentials: Array) -> None:
    """Add the weights of spikes to the potentials of all neurons that see them."""
    grid = features.grid
    side, rows, columns = grid.side, grid.rows, grid.columns
    for event in range(begin, end):
        pixel = np.int64(spikes[event])
        channel, inside = pixel // (grid.height * grid.width), pixel % (grid.height * grid.width)
        y, x = inside // grid.width, inside % grid.width
        for m in range(len(features.weights)):
            table = features.weights[m]
            for dy in range(max(0, y - rows + 1), min(side, y + 1)):
                for dx in range(max(0, x - columns + 1), min(side, x + 1)):
                    position = (y - dy) * columns + x - dx
                    row = at(potentials, m * rows * columns + position)
                    add(row, row, at(table, (channel * side + dy) * side + dx))


@inlined
def _strongest(potentials: Array, threshold: Array, near: Array, silenced: Array) -> Any:
    """Return position and feature of the strongest neuron above its threshold, or -1 and -1."""
    best, position, feature = ZERO, -1, -1
    for p in range(len(near)):
        if not near[p]:
            potential, strongest = _strongest_at(p, potentials, threshold, silenced)
            if potential > best:
                best, position, feature = potential, p, strongest
    return position, feature


@inlined
def _strongest_at(position: int, potentials: Array, threshold: Array, silenced: Array) -> Any:
    """Return potential and feature of the strongest neuron of a place, or 0 and -1."""
    positions = len(potentials) // len(threshold)
    best, feature = ZERO, -1
    for m in range(len(threshold)):
        row = m * positions + position
        word = above(at(potentials, row), at(threshold, m)) & ~silenced[m]
        while word != 0:
            j = lowest_bit(word)
            word = drop_lowest_bit(word)
            if potentials[row, j] > best:
                best, feature = potentials[row, j], m * WIDTH + j
    return best, feature


@inlined
def _silence(
    near: Array, silenced: Array, position: int, feature: int, columns: int, radius: int
) -> None:
    silenced[feature // WIDTH] |= ONE << np.uint64(feature % WIDTH)
    y, x = position // columns, position % columns
    for p in range(len(near)):
        if abs(p // columns - y) <= radius and abs(p % columns - x) <= radius:
            near[p] = True


@inlined
def _learn(features: Features, arrived: Array, rate: Any, position: int, feature: int) -> None:
    """Change the weights of a winner: stronger where a spike has arrived, else weaker."""
    grid = features.grid
    y, x = position // grid.columns, position % grid.columns
    table, j = features.weights[feature // WIDTH], feature % WIDTH
    for channel in range(grid.channels):
        for dy in range(grid.side):
            for dx in range(grid.side):
                r = (channel * grid.side + dy) * grid.side + dx
                weight = table[r, j]
                change = rate * weight * (1 - weight)
                if not arrived[(channel * grid.height + y + dy) * grid.width + x + dx]:
                    change = -features.contest.depression * change
                table[r, j] = weight + change
