r"""Kernels of a competitive layer: Poisson input, adaptive thresholds, lateral inhibition, STDP.

The network of P. Diehl, M. Cook, *Unsupervised learning of digit recognition using
spike-timing-dependent plasticity*, Frontiers in Computational Neuroscience 9:99, 2015. At each
timestep, for each neuron,

.. math::

    g_e &\leftarrow g_e e^{-\Delta t / \tau_e} + \textstyle\sum_f w_f S_f \\
    V &\leftarrow \frac{V + \frac{\Delta t}{\tau} (E_{rest} + g_e E_{exc} + g_i E_{inh})}
                 {1 + \frac{\Delta t}{\tau} (1 + g_e + g_i)} \\
    g_i &\leftarrow g_i e^{-\Delta t / \tau_i}

and a neuron whose membrane V exceeds its threshold fires: V falls to the reset potential and stays
there or below for the refractory time, the threshold rises, and the inhibition :math:`g_i` of all
others does. The membrane takes the conductances at the end of the step (backward Euler), so that it
lies between the reversal potentials however strong the inhibition is.

Only spikes cost work: input spikes add a row of weights to a tile of neurons, and only neurons that
fired learn, press on the others and are normalised.

Shapes: ``T`` timesteps, ``B`` images, ``F`` input features, ``M`` tiles of neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from spikemnist.kernels.bits import above, drop_lowest_bit, lowest_bit
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.registers import WIDTH, at
from spikemnist.kernels.rowwise import rowwise, where
from spikemnist.kernels.teams import borrowed, by_team
from spikemnist.kernels.tickets import next_unit
from spikemnist.kernels.tiles import aligned_rows
from spikemnist.kernels.vector import sum_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikemnist.kernels.events import ByTimestep

    Array = NDArray[Any]


class Physics(NamedTuple):
    """What all neurons have in common, in single precision; potentials in mV.

    ``step`` is the timestep over the membrane's time constant, the decays are those of a timestep,
    and ``refractory`` counts timesteps.
    """

    step: Any
    rest: Any
    reset: Any
    threshold: Any
    excitatory: Any
    inhibitory: Any
    decay_excitation: Any
    decay_inhibition: Any
    inhibition: Any
    refractory: Any


class Plasticity(NamedTuple):
    """How weights and thresholds change: see `spikemnist.plasticity.STDPClassifier`."""

    rate: Any
    target: Any
    exponent: Any
    largest: Any
    total: Any
    trace_decay: Any
    theta_plus: Any
    theta_decay: Any


class Neurons(NamedTuple):
    """What each neuron has.

    ``weights`` ``[M, F + 1, WIDTH]`` with a last row of zeros; ``theta`` ``[M, WIDTH]``, infinite
    for a padded neuron, which so never fires; and ``threshold``, which is always what all neurons
    have in common plus theta.
    """

    weights: Array
    theta: Array
    threshold: Array


class Scratch(NamedTuple):
    """What a presentation begins anew: rows ``[M, WIDTH]``, and ``trace`` ``[F]`` of the input."""

    membrane: Array
    excitation: Array
    inhibition: Array
    blocked: Array
    inflow: Array
    trace: Array
    fired: Array


@rowwise
def _integrate(
    membrane: Any,
    excitation: Any,
    inhibition: Any,
    blocked: Any,
    inflow: Any,
    step: Any,
    rest: Any,
    excitatory: Any,
    inhibitory: Any,
    reset: Any,
    decay_excitation: Any,
    decay_inhibition: Any,
) -> Any:
    drawn = decay_excitation * excitation + inflow
    numerator = membrane + step * (rest + (drawn * excitatory + inhibition * inhibitory))
    now = numerator / (1 + step * (1 + (drawn + inhibition)))
    held = where(now > reset, reset, now)
    return (
        where(blocked > 0, held, now),
        drawn,
        decay_inhibition * inhibition,
        where(blocked > 0, blocked - 1, blocked),
    )


@rowwise
def _press(inhibition: Any, amount: Any) -> Any:
    return inhibition + amount


@kernel
def learn(
    ticket: Array,
    units: int,
    physics: Physics,
    plasticity: Plasticity,
    neurons: Neurons,
    events: ByTimestep,
    least: int,
    counts: Array,
    done: Array,
) -> None:
    """Learn from the images behind ``done[0]``, one after the other, in one unit of work.

    Fills ``counts`` ``[B, M * WIDTH]`` and moves ``done`` on. Behind an image that made fewer than
    ``least`` spikes it stops: somebody has to present it again, more strongly.
    """
    if by_team(ticket):
        return
    physics, plasticity, neurons, events, counts, done = borrowed(
        (physics, plasticity, neurons, events, counts, done)
    )
    scratch = _scratch(neurons)
    while next_unit(ticket) < units:
        enough = True
        while enough and done[0] < len(counts):
            here = counts[done[0]]
            spikes = _present(physics, plasticity, neurons, scratch, events, done[0], here)
            _normalise(neurons, here, plasticity.total)
            _forget(physics, neurons, plasticity.theta_decay)
            done[0] += 1
            enough = spikes >= least


@kernel
def respond(
    ticket: Array,
    units: int,
    physics: Physics,
    neurons: Neurons,
    events: ByTimestep,
    counts: Array,
) -> None:
    """Present an image in each unit of work, and change nothing."""
    if by_team(ticket):
        return
    physics, neurons, events, counts = borrowed((physics, neurons, events, counts))
    scratch = _scratch(neurons)
    b = next_unit(ticket)
    while b < units:
        _present(physics, None, neurons, scratch, events, b, counts[b])
        b = next_unit(ticket)


@inlined
def _scratch(neurons: Neurons) -> Scratch:
    tiles, like = len(neurons.theta), neurons.theta
    return Scratch(
        aligned_rows(tiles, like),
        aligned_rows(tiles, like),
        aligned_rows(tiles, like),
        aligned_rows(tiles, like),
        aligned_rows(1, like),
        np.empty(neurons.weights.shape[1] - 1, like.dtype),
        np.empty(tiles * WIDTH, np.int64),
    )


@inlined
def _present(
    physics: Physics,
    plasticity: Plasticity | None,
    neurons: Neurons,
    scratch: Scratch,
    events: ByTimestep,
    b: int,
    counts: Array,
) -> int:
    """Present image b to neurons at rest; fill ``counts`` and return their sum.

    Without plasticity nothing is learned: which branch there is depends on the type alone.
    """
    features, trace = len(scratch.trace), scratch.trace
    scratch.membrane[:] = physics.rest
    scratch.excitation[:] = 0
    scratch.inhibition[:] = 0
    scratch.blocked[:] = 0
    trace[:] = 0
    counts[:] = 0
    total = 0
    for t in range(events.starts.shape[1] - 1):
        begin, end = events.starts[b, t], events.starts[b, t + 1]
        if plasticity is not None:
            for f in range(features):
                trace[f] *= plasticity.trace_decay
            for event in range(begin, end):
                trace[events.neurons[event]] += 1
        fired = _step(physics, neurons, scratch, events, begin, end)
        for i in range(fired):
            n = scratch.fired[i]
            scratch.membrane[n // WIDTH, n % WIDTH] = physics.reset
            scratch.blocked[n // WIDTH, n % WIDTH] = physics.refractory
            counts[n] += 1
            if plasticity is not None:
                _learn(physics, plasticity, neurons, n, trace)
        if fired:
            _inhibit(scratch, fired, physics.inhibition)
        total += fired
    return total


@inlined
def _step(
    physics: Physics, neurons: Neurons, scratch: Scratch, events: ByTimestep, begin: int, end: int
) -> int:
    """Run all neurons for a timestep; list those that fired and return how many they are."""
    inflow, fired = at(scratch.inflow, 0), 0
    for m in range(len(neurons.theta)):
        table = neurons.weights[m]
        sum_rows(inflow, table, events.neurons, begin, end, len(table) - 1)
        membrane, excitation = at(scratch.membrane, m), at(scratch.excitation, m)
        inhibition, blocked = at(scratch.inhibition, m), at(scratch.blocked, m)
        _integrate(
            membrane,
            excitation,
            inhibition,
            blocked,
            membrane,
            excitation,
            inhibition,
            blocked,
            inflow,
            physics.step,
            physics.rest,
            physics.excitatory,
            physics.inhibitory,
            physics.reset,
            physics.decay_excitation,
            physics.decay_inhibition,
        )
        word = above(membrane, at(neurons.threshold, m))
        while word != 0:
            scratch.fired[fired] = m * WIDTH + lowest_bit(word)
            word = drop_lowest_bit(word)
            fired += 1
    return fired


@inlined
def _inhibit(scratch: Scratch, fired: int, strength: Any) -> None:
    """Let each neuron that fired inhibit all the others."""
    pressure = strength
    for _ in range(1, fired):
        pressure += strength  # a product with an integer would be one in double precision
    for m in range(len(scratch.inhibition)):
        row = at(scratch.inhibition, m)
        _press(row, row, pressure)
    for i in range(fired):
        n = scratch.fired[i]
        scratch.inhibition[n // WIDTH, n % WIDTH] -= strength


@inlined
def _learn(
    physics: Physics, plasticity: Plasticity, neurons: Neurons, n: int, trace: Array
) -> None:
    """Change the weights of a neuron that fired, and raise its threshold."""
    m, j = n // WIDTH, n % WIDTH
    weights = neurons.weights[m]
    rate, target, largest = plasticity.rate, plasticity.target, plasticity.largest
    for f in range(len(trace)):
        weight = weights[f, j]
        room = largest - weight
        if plasticity.exponent != 1:
            # Scaling to the total may have brought it above the largest: no root of less than 0.
            room = max(room, room - room) ** plasticity.exponent
        weight += rate * (trace[f] - target) * room
        weights[f, j] = min(max(weight, largest - largest), largest)
    neurons.theta[m, j] += plasticity.theta_plus
    neurons.threshold[m, j] = physics.threshold + neurons.theta[m, j]


@inlined
def _normalise(neurons: Neurons, counts: Array, total: Any) -> None:
    """Scale the weights of each neuron that fired, and so learned, to their total."""
    for n in range(len(counts)):
        if counts[n] > 0:
            weights, j = neurons.weights[n // WIDTH], n % WIDTH
            found = 0.0
            for f in range(len(weights)):
                found += weights[f, j]
            if found > 0:
                factor = total / found
                for f in range(len(weights)):
                    weights[f, j] *= factor


@inlined
def _forget(physics: Physics, neurons: Neurons, decay: Any) -> None:
    """Let the adaptation of the thresholds decay over a presentation."""
    for m in range(len(neurons.theta)):
        for j in range(WIDTH):
            neurons.theta[m, j] *= decay
            neurons.threshold[m, j] = physics.threshold + neurons.theta[m, j]
