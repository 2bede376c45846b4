r"""Kernels of a competitive layer: Poisson input, adaptive thresholds, lateral inhibition, STDP.

The network of P. Diehl, M. Cook, *Unsupervised learning of digit recognition using
spike-timing-dependent plasticity*, Frontiers in Computational Neuroscience 9:99, 2015. At each
timestep, for each neuron,

.. math::

    g_e &\leftarrow g_e e^{-\Delta t / \tau_e} + \textstyle\sum_f w_f S_f \\
    V &\leftarrow \frac{V + \frac{\Delta t}{\tau} (E_{rest} + g_e E_{exc} + g_i E_{inh})}
                 {1 + \frac{\Delta t}{\tau} (1 + g_e + g_i)} \\
    g_i &\leftarrow g_i e^{-\Delta t / \tau_i}

A neuron fires when its membrane V exceeds its threshold. V then falls to the reset potential and
stays there or below for the refractory time, the threshold rises, and so does the inhibition
:math:`g_i` of all other neurons. The membrane equation uses the conductances at the end of the step
(backward Euler), so V lies between the reversal potentials however strong the inhibition is.

Each input spike adds a row of weights to a block of `WIDTH` neurons. Only neurons that fired learn,
inhibit the others and are normalised.

Shapes: ``T`` timesteps, ``B`` images, ``F`` input features, ``M`` blocks of neurons.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spikemnist._tensors import Array
from spikemnist.kernels.bits import above, drop_lowest_bit, lowest_bit
from spikemnist.kernels.blocks import aligned_rows
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.elementwise import add, elementwise, where
from spikemnist.kernels.registers import WIDTH, at
from spikemnist.kernels.scheduler import borrowed, by_team, units_of
from spikemnist.kernels.spike_lists import ByTimestep
from spikemnist.kernels.vector import sum_rows

ZERO = np.float32(0)
"""A 0 in single precision: with the integer 0, compiled code would continue in double precision."""


class Constants(NamedTuple):
    """Constants of all neurons, in single precision, named like the parameters of `STDPClassifier`.

    ``step`` is the timestep divided by the membrane time constant. Decays are factors per timestep,
    except ``decay_theta``, which is per presentation. ``refractory_steps`` is in timesteps.
    """

    step: Any
    rest_potential: Any
    reset_potential: Any
    threshold: Any
    excitatory_potential: Any
    inhibitory_potential: Any
    decay_excitation: Any
    decay_inhibition: Any
    inhibition: Any
    refractory_steps: Any
    learning_rate: Any
    target_trace: Any
    weight_dependence: Any
    max_weight: Any
    total_weight: Any
    decay_trace: Any
    theta_plus: Any
    decay_theta: Any


class CompetitiveNeurons(NamedTuple):
    """A layer of neurons.

    ``weights`` ``[M, F + 1, WIDTH]`` has a last row of zeros. ``theta`` ``[M, WIDTH]`` is infinite
    for padding neurons, which therefore never fire. ``threshold`` is always the common threshold
    plus theta.
    """

    constants: Constants
    min_spikes: int
    weights: Array
    theta: Array
    threshold: Array


class Scratch(NamedTuple):
    """State of a presentation: rows ``[M, WIDTH]``, a row of input, and neurons that fired."""

    membrane: Array
    excitation: Array
    inhibition: Array
    blocked: Array
    inflow: Array
    active: Array


@elementwise
def _excite(excitation: Any, inflow: Any, decay: Any) -> Any:
    """Return the excitatory conductance after a timestep."""
    return decay * excitation + inflow


@elementwise
def _integrate(
    membrane: Any,
    excitation: Any,
    inhibition: Any,
    step: Any,
    rest: Any,
    excitatory: Any,
    inhibitory: Any,
) -> Any:
    """Return the membrane after a timestep."""
    drive = rest + (excitation * excitatory + inhibition * inhibitory)
    return (membrane + step * drive) / (1 + step * (1 + (excitation + inhibition)))


@elementwise
def _refract(membrane: Any, blocked: Any, inhibition: Any, reset: Any, decay: Any) -> Any:
    """Hold refractory membranes, count down their timesteps, and let the inhibition decay."""
    held = where(membrane > reset, reset, membrane)
    return (
        where(blocked > 0, held, membrane),
        where(blocked > 0, blocked - 1, blocked),
        decay * inhibition,
    )


@kernel
def learn(
    queue: Array,
    neurons: CompetitiveNeurons,
    events: ByTimestep,
    counts: Array,
    done: Array,
) -> None:
    """Learn from the images from index ``done[0]`` on, in order, in one unit of work.

    Fills ``counts`` ``[B, M * WIDTH]`` and advances ``done``. Stops after an image with fewer than
    ``min_spikes`` spikes, which the caller presents again at higher rates.
    """
    if by_team(queue):
        return
    neurons, events, counts, done = borrowed((neurons, events, counts, done))
    scratch = _scratch(neurons)
    trace = np.empty(neurons.weights.shape[1] - 1, neurons.weights.dtype)
    for _ in units_of(queue):
        enough = True
        while enough and done[0] < len(counts):
            row = counts[done[0]]
            spikes = _present(neurons, trace, scratch, events, done[0], row)
            _normalise(neurons, row)
            _decay_thresholds(neurons)
            done[0] += 1
            enough = spikes >= neurons.min_spikes


@kernel
def respond(queue: Array, neurons: CompetitiveNeurons, events: ByTimestep, counts: Array) -> None:
    """Present one image in each unit of work, without learning."""
    if by_team(queue):
        return
    neurons, events, counts = borrowed((neurons, events, counts))
    scratch = _scratch(neurons)
    for b in units_of(queue):
        _present(neurons, None, scratch, events, b, counts[b])


@inlined
def _scratch(neurons: CompetitiveNeurons) -> Scratch:
    blocks, like = len(neurons.theta), neurons.theta
    return Scratch(
        aligned_rows(blocks, like),
        aligned_rows(blocks, like),
        aligned_rows(blocks, like),
        aligned_rows(blocks, like),
        aligned_rows(1, like),
        np.empty(blocks * WIDTH, np.int64),
    )


@inlined
def _present(
    neurons: CompetitiveNeurons,
    trace: Array | None,
    scratch: Scratch,
    events: ByTimestep,
    b: int,
    counts: Array,
) -> int:
    """Present image b to neurons at rest; fill ``counts`` and return their sum.

    ``trace`` ``[F]`` is scratch memory for the traces of the input. Without it nothing is learned:
    the compiler drops a branch by the type of an argument.
    """
    constants = neurons.constants
    scratch.membrane[:] = constants.rest_potential
    scratch.excitation[:] = 0
    scratch.inhibition[:] = 0
    scratch.blocked[:] = 0
    counts[:] = 0
    if trace is not None:
        trace[:] = 0
    total = 0
    for t in range(events.starts.shape[1] - 1):
        begin, end = events.starts[b, t], events.starts[b, t + 1]
        if trace is not None:
            for f in range(len(trace)):
                trace[f] *= constants.decay_trace
            for event in range(begin, end):
                trace[events.neurons[event]] += 1
        active = _step(neurons, scratch, events, begin, end)
        for i in range(active):
            n = scratch.active[i]
            scratch.membrane[n // WIDTH, n % WIDTH] = constants.reset_potential
            scratch.blocked[n // WIDTH, n % WIDTH] = constants.refractory_steps
            counts[n] += 1
            if trace is not None:
                _learn(neurons, n, trace)
        if active:
            _inhibit(scratch, active, constants.inhibition)
        total += active
    return total


@inlined
def _step(
    neurons: CompetitiveNeurons, scratch: Scratch, events: ByTimestep, begin: int, end: int
) -> int:
    """Run all neurons for a timestep; list the neurons that fired and return their number."""
    constants, inflow, active = neurons.constants, at(scratch.inflow, 0), 0
    for m in range(len(neurons.theta)):
        table = neurons.weights[m]
        sum_rows(inflow, table, events.neurons, begin, end, len(table) - 1)
        membrane, excitation = at(scratch.membrane, m), at(scratch.excitation, m)
        inhibition, blocked = at(scratch.inhibition, m), at(scratch.blocked, m)
        _excite(excitation, excitation, inflow, constants.decay_excitation)
        _integrate(
            membrane,
            membrane,
            excitation,
            inhibition,
            constants.step,
            constants.rest_potential,
            constants.excitatory_potential,
            constants.inhibitory_potential,
        )
        state = membrane, blocked, inhibition
        _refract(*state, *state, constants.reset_potential, constants.decay_inhibition)
        word = above(membrane, at(neurons.threshold, m))
        while word != 0:
            scratch.active[active] = m * WIDTH + lowest_bit(word)
            word = drop_lowest_bit(word)
            active += 1
    return active


@inlined
def _inhibit(scratch: Scratch, active: int, strength: Any) -> None:
    """Let each neuron that fired inhibit all the others."""
    pressure = strength
    for _ in range(1, active):
        pressure += strength  # a product with an integer would be in double precision
    for m in range(len(scratch.inhibition)):
        row = at(scratch.inhibition, m)
        add(row, row, pressure)
    for i in range(active):
        n = scratch.active[i]
        scratch.inhibition[n // WIDTH, n % WIDTH] -= strength


@inlined
def _learn(neurons: CompetitiveNeurons, n: int, trace: Array) -> None:
    """Change the weights of a neuron that fired, and raise its threshold."""
    m, j = n // WIDTH, n % WIDTH
    constants, weights = neurons.constants, neurons.weights[m]
    largest = constants.max_weight
    for f in range(len(trace)):
        weight = weights[f, j]
        headroom = largest - weight
        if constants.weight_dependence != 1:
            # Normalisation may have raised it above the largest; a negative number has no root.
            headroom = max(headroom, ZERO) ** constants.weight_dependence
        weight += constants.learning_rate * (trace[f] - constants.target_trace) * headroom
        weights[f, j] = min(max(weight, ZERO), largest)
    neurons.theta[m, j] += constants.theta_plus
    neurons.threshold[m, j] = constants.threshold + neurons.theta[m, j]


@inlined
def _normalise(neurons: CompetitiveNeurons, counts: Array) -> None:
    """Scale the weights of each neuron that fired, and so learned, to ``total_weight``."""
    for n in range(len(counts)):
        if counts[n] > 0:
            weights, j = neurons.weights[n // WIDTH], n % WIDTH
            total = 0.0
            for f in range(len(weights)):
                total += weights[f, j]
            if total > 0:
                factor = neurons.constants.total_weight / total
                for f in range(len(weights)):
                    weights[f, j] *= factor


@inlined
def _decay_thresholds(neurons: CompetitiveNeurons) -> None:
    """Let the adaptation of the thresholds decay over a presentation."""
    for m in range(len(neurons.theta)):
        for j in range(WIDTH):
            neurons.theta[m, j] *= neurons.constants.decay_theta
            neurons.threshold[m, j] = neurons.constants.threshold + neurons.theta[m, j]
