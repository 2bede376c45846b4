"""Tasks of sheet 5, a network for a chip."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from spikemnist import Classifier, load, measure_energy
from spikemnist.data import ImageDataset, load_images

from .digits import own_digits
from .task import Task


class Chip(NamedTuple):
    """Limits of a chip, and picojoules of a membrane update and of a spike at a synapse."""

    neurons: int = 1024
    synapses: int = 131072
    update: float = 100.0
    event: float = 0.5


CHIP = Chip()
"""The chip of *Neuroscience for machine learners*, a course of Imperial College London, week 8."""


class Result(NamedTuple):
    """What a network does on the chip: energies in nJ for an image, and its score."""

    accuracy: float
    neurons: int
    synapses: int
    updates: float
    events: float
    nanojoules: float
    score: float


def on_chip(classifier: Classifier, data: ImageDataset) -> Result:
    """Return accuracy, energy and score of a network on the chip.

    Raises
    ------
    ValueError
        If the network does not fit the chip: the message names each reason.
    """
    energy = measure_energy(classifier, data, progress=False)
    total, reasons = energy.total, []
    for name, number in {"neurons": total.neurons, "synapses": energy.synapses}.items():
        if number > getattr(CHIP, name):
            reasons.append(f"{number:,} {name}, but the chip has {getattr(CHIP, name):,}")
    for layer in energy.layers:
        if layer.macs:
            reasons.append(f"{layer.name} receives values other than spikes; the chip adds spikes")
    if reasons:
        raise ValueError(f"the network does not fit the chip: {'; '.join(reasons)}")
    updates = CHIP.update * total.neurons * energy.num_steps / 1000
    events = CHIP.event * total.acs / 1000
    nanojoules = updates + events
    score = _score(energy.accuracy, 1000 * nanojoules)
    limited = total.neurons, energy.synapses
    return Result(energy.accuracy, *limited, updates, events, nanojoules, score)


def hand_in(model: str | os.PathLike[str], student_number: int | str) -> str:
    """Measure a model file on the test digits of a student, and return a line of JSON."""
    _, test = load_images(own_digits(student_number))
    result = on_chip(load(model), test)
    return json.dumps(
        {"student": str(student_number), "model": Path(model).name} | result._asdict()
    )


def _synapses(sizes: Sequence[int], *, biases: bool = False) -> int:
    """Return the weights between layers of these sizes, and the biases if they count."""
    return sum((inputs + biases) * neurons for inputs, neurons in pairwise(sizes))


def _largest_hidden(
    inputs: int,
    classes: int,
    neurons: int,
    synapses: int,
    *,
    pixels: bool = False,
    output_neurons: bool = True,
    output_synapses: bool = True,
    bias: bool = False,
) -> int:
    """Return the neurons of the largest hidden layer, with what a mistaken student counts."""
    free = neurons - classes * output_neurons - inputs * pixels
    return min(free, (synapses - classes * bias) // (inputs + classes * output_synapses + bias))


def _energy(
    spikes: Sequence[float],
    sizes: Sequence[int],
    timesteps: int,
    *,
    updated: Sequence[int] | None = None,
    fan_out: Sequence[int] | None = None,
    costs: tuple[float, float] = (CHIP.update, CHIP.event),
) -> float:
    """Return the picojoules for an image; a mistaken student has other neurons or fan-outs."""
    update, event = costs
    fan_out = sizes[1:] if fan_out is None else fan_out
    events = sum(sent * reached for sent, reached in zip(spikes, fan_out, strict=True))
    return update * sum(sizes[1:] if updated is None else updated) * timesteps + event * events


def _score(accuracy: float, picojoules: float) -> float:
    return 100 * accuracy - math.log(picojoules / 1000, 4)


def _draw_sizes(_: Any) -> list[tuple[Any, ...]]:
    return [((3, 2, 4),), ((784, 100, 10),), ((784, 10),), ((20, 30, 40, 5),), ((1, 2, 3, 4, 5),)]


def _draw_limits(_: Any) -> list[tuple[Any, ...]]:
    return [
        (784, 10, CHIP.neurons, CHIP.synapses),
        (49, 10, CHIP.neurons, CHIP.synapses),  # the neurons are the narrower limit
        (100, 2, 300, 20_000),
        (3, 5, 40, 80),  # to the last synapse
        (8, 2, 300, 97),
    ]


def _draw_counts(_: Any) -> list[tuple[Any, ...]]:
    return [
        ((100.5, 12.0), (784, 100, 10), 8),
        ((90.0,), (784, 10), 1),
        ((103.2, 40.0, 7.5), (784, 64, 32, 10), 4),
        ((0.0, 0.0), (784, 100, 10), 2),
    ]


def _draw_results(_: Any) -> list[tuple[Any, ...]]:
    return [(0.93, 8e4), (0.884, 1e3), (1.0, 1.2e6), (0.1, 400.0)]


TASKS = {
    "synapses": Task(
        right=_synapses,
        draw=_draw_sizes,
        mistakes={
            "It counts the biases. On the chip a bias belongs to its neuron: count weights only.": (
                lambda sizes: _synapses(sizes, biases=True)
            ),
            "It multiplies all sizes. Each layer is connected with the next alone: multiply "
            "neighbours, and add up.": math.prod,
            "It counts neurons. Each neuron has a synapse for each neuron of the layer before: "
            "multiply neighbours.": sum,
            "It counts only the first two layers: add up all pairs of neighbours.": (
                lambda sizes: sizes[0] * sizes[1]
            ),
        },
    ),
    "largest_hidden": Task(
        right=_largest_hidden,
        draw=_draw_limits,
        mistakes={
            "It forgets the synapses to the output: each hidden neuron has one from each input "
            "and one to each class.": lambda *case: _largest_hidden(*case, output_synapses=False),
            "The output neurons need room, too: neurons - classes are left.": (
                lambda *case: _largest_hidden(*case, output_neurons=False)
            ),
            "It counts the pixels as neurons. Input spikes come from outside the chip.": (
                lambda *case: _largest_hidden(*case, pixels=True)
            ),
            "It counts the biases as synapses. On the chip a bias belongs to its neuron.": (
                lambda *case: _largest_hidden(*case, bias=True)
            ),
            "It looks at the synapses alone. The chip has two limits: take the smaller number.": (
                lambda inputs, classes, neurons, synapses: synapses // (inputs + classes)
            ),
            "It looks at the neurons alone. The chip has two limits: take the smaller number.": (
                lambda inputs, classes, neurons, synapses: neurons - classes
            ),
            "It takes the larger of the two limits. Both must hold: take the smaller number.": (
                lambda inputs, classes, neurons, synapses: max(
                    neurons - classes, synapses // (inputs + classes)
                )
            ),
            "There is no part of a neuron: round down, with // in place of /.": (
                lambda inputs, classes, neurons, synapses: min(
                    neurons - classes, synapses / (inputs + classes)
                )
            ),
            "It rounds to the nearest number, which may not fit: round down, with //.": (
                lambda inputs, classes, neurons, synapses: min(
                    neurons - classes, round(synapses / (inputs + classes))
                )
            ),
        },
    ),
    "chip_energy": Task(
        right=_energy,
        draw=_draw_counts,
        mistakes={
            "Each membrane is updated at each timestep, with or without a spike: multiply the "
            "updates by T.": lambda spikes, sizes, timesteps: _energy(spikes, sizes, 1),
            "It multiplies the events by T. The spikes are those of all timesteps already.": (
                lambda spikes, sizes, timesteps: timesteps * _energy(spikes, sizes, 1)
            ),
            "It counts events alone. Each membrane is updated at each timestep, for 100 pJ.": (
                lambda spikes, sizes, timesteps: _energy(spikes, sizes, 0)
            ),
            "It counts updates alone. Each spike that arrives at a synapse costs 0.5 pJ.": (
                lambda *case: _energy(*case, costs=(CHIP.update, 0.0))
            ),
            "It updates the pixels. Input spikes come from outside: leave sizes[0] out of the "
            "updates.": lambda spikes, sizes, timesteps: _energy(
                spikes, sizes, timesteps, updated=sizes
            ),
            "It forgets the output neurons, which are updated as well.": (
                lambda spikes, sizes, timesteps: _energy(
                    spikes, sizes, timesteps, updated=sizes[1:-1]
                )
            ),
            "A spike goes to each neuron of the next layer, and each arrival is an event: "
            "multiply by the size of the next layer.": lambda spikes, sizes, timesteps: _energy(
                spikes, sizes, timesteps, fan_out=[1] * len(spikes)
            ),
            "It multiplies the spikes by the size of their own layer. They go to the next one: "
            "sizes[i + 1].": lambda spikes, sizes, timesteps: _energy(
                spikes, sizes, timesteps, fan_out=sizes[:-1]
            ),
            "The two costs are exchanged: 100 pJ for an update, 0.5 pJ for an event.": (
                lambda *case: _energy(*case, costs=(CHIP.event, CHIP.update))
            ),
            "It returns nanojoules. The costs are in picojoules, and so is the result.": (
                lambda *case: _energy(*case) / 1000
            ),
        },
    ),
    "score": Task(
        right=_score,
        draw=_draw_results,
        mistakes={
            "It takes the natural logarithm. Four times the energy costs one point: take base 4, "
            "math.log(x, 4).": lambda accuracy, picojoules: (
                100 * accuracy - math.log(picojoules / 1000)
            ),
            "It takes the logarithm of base 10. Four times the energy costs one point: take base "
            "4, math.log(x, 4).": lambda accuracy, picojoules: (
                100 * accuracy - math.log10(picojoules / 1000)
            ),
            "It takes the logarithm of base 2. Four times the energy costs one point: take base "
            "4, math.log(x, 4).": lambda accuracy, picojoules: (
                100 * accuracy - math.log2(picojoules / 1000)
            ),
            "The energy is in picojoules, and the score counts from 1 nJ: divide by 1000.": (
                lambda accuracy, picojoules: 100 * accuracy - math.log(picojoules, 4)
            ),
            "The accuracy counts in percent: multiply it by 100.": (
                lambda accuracy, picojoules: accuracy - math.log(picojoules / 1000, 4)
            ),
            "Energy costs points: subtract the logarithm.": (
                lambda accuracy, picojoules: 100 * accuracy + math.log(picojoules / 1000, 4)
            ),
        },
    ),
}
