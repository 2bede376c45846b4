"""Kernels of convolutional features that compete, image by image, for who learns.

Integrate-and-fire neurons without leak see a square of the input each, with the weights of their
feature. Where weights are learned, the first neurons to pass the threshold win, the strongest first
among those of a timestep: a winner silences its feature everywhere, and every feature near it, and
its weights learn.

Shapes: ``T`` timesteps, ``B`` images, ``C`` channels, ``K`` side of a kernel, ``P`` places of a
kernel, ``Q`` cells of the pooling, ``M`` tiles of features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spikemnist.kernels.bits import above, drop_lowest_bit, lowest_bit
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.registers import WIDTH, at
from spikemnist.kernels.rowwise import rowwise
from spikemnist.kernels.teams import borrowed, by_team
from spikemnist.kernels.tickets import next_unit
from spikemnist.kernels.tiles import aligned_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikemnist.kernels.events import ByTimestep

    Array = NDArray[Any]

ONE = np.uint64(1)


class Grid(NamedTuple):
    """Sizes: of the input, of a kernel, and of a cell of the pooling."""

    channels: int
    height: int
    width: int
    side: int
    cell: int


class Contest(NamedTuple):
    """How many win, how far a winner silences others, and how the learning rate rises."""

    winners: int
    radius: int
    rate: Any
    largest_rate: Any
    depression: Any
    doubling: int


@rowwise
def _add(left: Any, right: Any) -> Any:
    return left + right


@kernel
def learn_features(
    ticket: Array,
    units: int,
    grid: Grid,
    contest: Contest,
    weights: Array,
    threshold: Array,
    events: ByTimestep,
    seen: int,
    wins: Array,
) -> None:
    """Learn from images, one after the other, in one unit of work.

    ``weights`` ``[M, C * K * K, WIDTH]`` change; ``threshold`` ``[M, WIDTH]`` is infinite for
    padded features; ``wins`` ``[M * WIDTH]`` counts; ``seen`` images came before.
    """
    if by_team(ticket):
        return
    weights, threshold, events, wins = borrowed((weights, threshold, events, wins))
    tiles, rows = len(weights), grid.height - grid.side + 1
    columns = grid.width - grid.side + 1
    potentials = aligned_rows(tiles * rows * columns, weights)
    arrived = np.empty(grid.channels * grid.height * grid.width, np.bool_)
    near, silenced = np.empty(rows * columns, np.bool_), np.empty(tiles, np.uint64)
    while next_unit(ticket) < units:
        for b in range(len(events.starts)):
            rate = contest.rate
            for _ in range((seen + b) // contest.doubling):
                rate = min(rate + rate, contest.largest_rate)
            potentials[:], arrived[:], near[:], silenced[:] = 0, False, False, 0
            won = 0
            for t in range(events.starts.shape[1] - 1):
                begin, end = events.starts[b, t], events.starts[b, t + 1]
                _integrate(grid, weights, events.neurons, begin, end, potentials)
                for event in range(begin, end):
                    arrived[events.neurons[event]] = True
                while begin < end and won < contest.winners:
                    place, feature = _strongest(potentials, threshold, near, silenced)
                    if place < 0:
                        break
                    won += 1
                    wins[feature] += 1
                    _silence(near, silenced, place, feature, columns, contest.radius)
                    _learn(grid, contest, weights, arrived, rate, place, feature)
                if won == contest.winners:
                    break


@kernel
def see_features(
    ticket: Array,
    units: int,
    grid: Grid,
    weights: Array,
    threshold: Array,
    events: ByTimestep,
    earliness: Array,
) -> None:
    """See how early each feature appears in each cell of an image, in each unit of work.

    Fills ``earliness`` ``[B, Q, M * WIDTH]``: T for the first timestep, 1 for the last one, 0 where
    the feature does not appear.
    """
    if by_team(ticket):
        return
    weights, threshold, events, earliness = borrowed((weights, threshold, events, earliness))
    tiles, rows = len(weights), grid.height - grid.side + 1
    columns = grid.width - grid.side + 1
    across = -(-columns // grid.cell)
    steps = events.starts.shape[1] - 1
    potentials = aligned_rows(tiles * rows * columns, weights)
    appeared = np.empty((earliness.shape[1], tiles), np.uint64)
    b = next_unit(ticket)
    while b < units:
        potentials[:], appeared[:] = 0, 0
        earliness[b] = 0
        for t in range(steps):
            begin, end = events.starts[b, t], events.starts[b, t + 1]
            _integrate(grid, weights, events.neurons, begin, end, potentials)
            for place in range(rows * columns if begin < end else 0):
                cell = place // columns // grid.cell * across + place % columns // grid.cell
                for m in range(tiles):
                    row = at(potentials, m * rows * columns + place)
                    new = above(row, at(threshold, m)) & ~appeared[cell, m]
                    appeared[cell, m] |= new
                    while new != 0:
                        earliness[b, cell, m * WIDTH + lowest_bit(new)] = steps - t
                        new = drop_lowest_bit(new)
        b = next_unit(ticket)


@inlined
def _integrate(
    grid: Grid, weights: Array, neurons: Array, begin: int, end: int, potentials: Array
) -> None:
    """Add the weights of spikes to the potentials ``[M * P, WIDTH]`` of all that see them."""
    side = grid.side
    rows, columns = grid.height - side + 1, grid.width - side + 1
    for event in range(begin, end):
        pixel = np.int64(neurons[event])
        channel, inside = pixel // (grid.height * grid.width), pixel % (grid.height * grid.width)
        y, x = inside // grid.width, inside % grid.width
        for m in range(len(weights)):
            table = weights[m]
            for dy in range(max(0, y - rows + 1), min(side, y + 1)):
                for dx in range(max(0, x - columns + 1), min(side, x + 1)):
                    place = (y - dy) * columns + x - dx
                    row = at(potentials, m * rows * columns + place)
                    _add(row, row, at(table, (channel * side + dy) * side + dx))


@inlined
def _strongest(potentials: Array, threshold: Array, near: Array, silenced: Array) -> Any:
    """Return place and feature of the strongest neuron above its threshold, or -1 and -1."""
    best, place, feature = threshold[0, 0] - threshold[0, 0], -1, -1
    for p in range(len(near)):
        if not near[p]:
            for m in range(len(threshold)):
                row = m * len(near) + p
                word = above(at(potentials, row), at(threshold, m)) & ~silenced[m]
                while word != 0:
                    j = lowest_bit(word)
                    word = drop_lowest_bit(word)
                    if potentials[row, j] > best:
                        best, place, feature = potentials[row, j], p, m * WIDTH + j
    return place, feature


@inlined
def _silence(
    near: Array, silenced: Array, place: int, feature: int, columns: int, radius: int
) -> None:
    silenced[feature // WIDTH] |= ONE << np.uint64(feature % WIDTH)
    y, x = place // columns, place % columns
    for p in range(len(near)):
        if abs(p // columns - y) <= radius and abs(p % columns - x) <= radius:
            near[p] = True


@inlined
def _learn(
    grid: Grid,
    contest: Contest,
    weights: Array,
    arrived: Array,
    rate: Any,
    place: int,
    feature: int,
) -> None:
    """Change the weights of a winner: stronger where a spike has arrived, else weaker."""
    side, columns = grid.side, grid.width - grid.side + 1
    y, x = place // columns, place % columns
    table, j = weights[feature // WIDTH], feature % WIDTH
    for channel in range(grid.channels):
        for dy in range(side):
            for dx in range(side):
                r = (channel * side + dy) * side + dx
                weight = table[r, j]
                change = rate * weight * (1 - weight)
                pixel = (channel * grid.height + y + dy) * grid.width + x + dx
                table[r, j] = weight + (change if arrived[pixel] else -contest.depression * change)
