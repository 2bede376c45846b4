"""Tasks of sheet 6, learning without labels."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from spikemnist import ops
from spikemnist.plasticity import assign_classes, class_scores, pair_stdp

from .task import Task


def _trace(spikes: Tensor, decay: float) -> Tensor:
    """Return traces [T, N]: a leaky neuron without a reset keeps the same sum."""
    return ops.leaky(spikes[:, None], decay, reset_mechanism="none")[1][:, 0]


def _nearest(spikes: Tensor, decay: float) -> Tensor:
    """Return traces that a spike sets to 1."""
    since, traces = torch.zeros_like(spikes[0]), []
    for spike in spikes:
        since = torch.where(spike > 0, spike, decay * since)
        traces.append(since)
    return torch.stack(traces)


def _pair_rule(
    pre: Tensor, post: Tensor, weight: Tensor, decay: float, a_plus: float, a_minus: float
) -> Tensor:
    tau = -1 / math.log(decay)
    return pair_stdp(
        pre[:, None],
        post[:, None],
        weight,
        a_plus=a_plus,
        a_minus=a_minus,
        tau_plus=tau,
        tau_minus=tau,
    )


def _wrong_rule(
    pre: Tensor,
    post: Tensor,
    weight: Tensor,
    decay: float,
    a_plus: float,
    a_minus: float,
    *,
    same_timestep: bool = False,
    late: float | None = None,
) -> Tensor:
    """Return weights by traces that have the spike of the timestep, or another decay."""
    x, y = _trace(pre, decay), _trace(post, decay)
    if not same_timestep:
        zeros, late = torch.zeros_like, decay if late is None else late
        x = torch.cat((zeros(x[:1]), late * x[:-1]))
        y = torch.cat((zeros(y[:1]), late * y[:-1]))
    return weight + a_plus * post.T @ x - a_minus * y.T @ pre


def _means(counts: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the mean spikes of each neuron for an image of each class, [C, N]."""
    members = one_hot(labels, classes).T.double()
    return members @ counts.double() / members.sum(1, keepdim=True)


def _neuron_classes(counts: Tensor, labels: Tensor, classes: int) -> Tensor:
    return torch.from_numpy(assign_classes(_means(counts, labels, classes).numpy()))


def _members(neuron_class: Tensor, classes: int) -> Tensor:
    """Return whether each neuron is of each class, [C, N]; of none where it is silent."""
    return (neuron_class == torch.arange(classes)[:, None]).double()


def _vote(counts: Tensor, neuron_class: Tensor, classes: int) -> Tensor:
    responses = _members(neuron_class, classes).numpy()
    return torch.from_numpy(class_scores(counts.numpy(), responses, "assigned")).float()


def _sums(counts: Tensor, neuron_class: Tensor, classes: int) -> Tensor:
    return (counts.double() @ _members(neuron_class, classes).T).float()


def _draw_trains(generator: torch.Generator) -> list[tuple[Any, ...]]:
    trains = [torch.rand(steps, 4, generator=generator).lt(0.3).float() for steps in (30, 12, 1)]
    trains = [torch.tensor([[1.0], [0.0], [1.0], [1.0]]), *trains, torch.zeros(5, 2)]
    return [(spikes, decay) for spikes in trains for decay in (0.5, 0.95)]


def _draw_pairs(generator: torch.Generator) -> list[tuple[Any, ...]]:
    pre = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    post = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    cases = [(pre, post, torch.full((2, 3), 0.5), 0.5, 0.1, 0.01)]
    for steps, decay, a_plus, a_minus in ((60, 0.95, 0.003, 0.001), (20, 0.8, 0.002, 0.004)):
        pre = torch.rand(steps, 5, generator=generator).lt(0.2).float()
        post = torch.rand(steps, 3, generator=generator).lt(0.2).float()
        post[:, 0] = pre[:, 0]  # spikes of the same timestep
        weight = 0.4 + 0.2 * torch.rand(3, 5, generator=generator)
        cases.append((pre, post, weight, decay, a_plus, a_minus))
    return cases


def _draw_responses(generator: torch.Generator) -> list[tuple[Any, ...]]:
    small = torch.tensor([[4, 0, 0], [0, 2, 0], [1, 4, 0], [0, 0, 0]])
    cases = [(small, torch.tensor([0, 1, 1, 0]), 2)]
    for images, neurons, classes in ((40, 12, 3), (60, 9, 5)):
        # Most images are of class 0, and each neuron prefers another class.
        labels = torch.randint(classes, (images,), generator=generator)
        labels[: images // 2] = 0
        labels[-classes:] = torch.arange(classes)
        counts = torch.randint(4, (images, neurons), generator=generator)
        counts += 3 * one_hot(labels, classes)[:, torch.arange(neurons) % classes]
        counts[0] = 9  # one image that all respond to
        counts[:, 4] = 0  # never fires
        cases.append((counts, labels, classes))
    return cases


def _draw_votes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    counts = torch.randint(9, (6, 10), generator=generator)
    small = torch.tensor([[4, 2, 1, 8], [0, 0, 3, 0]]), torch.tensor([0, 0, 1, -1]), 2
    return [
        small,
        (counts, torch.tensor([0, 0, 0, 0, 1, 1, 2, -1, 2, 0]), 3),
        (counts[:1], torch.tensor([3, 3, 0, 1, 1, 1, -1, -1, 0, 3]), 5),  # none of class 2 or 4
    ]


TASKS = {
    "trace": Task(
        right=_trace,
        draw=_draw_trains,
        mistakes={
            "The trace decays after the spike is added, so that a new spike counts less than 1. "
            "Decay what is there, then add the spike.": (
                lambda spikes, decay: decay * _trace(spikes, decay)
            ),
            "It returns the trace before the spike of the timestep is added: add it first, then "
            "store the trace.": lambda spikes, decay: _trace(spikes, decay) - spikes,
            "It is one timestep late: the trace of a timestep has the spike of this timestep.": (
                lambda spikes, decay: torch.cat((0 * spikes[:1], _trace(spikes, decay)[:-1]))
            ),
            "The first timestep is left out: its trace is 0, decayed, plus its spike.": (
                lambda spikes, decay: _trace(torch.cat((0 * spikes[:1], spikes[1:])), decay)
            ),
            "The trace never decays: multiply it by decay at each timestep.": (
                lambda spikes, decay: spikes.cumsum(0)
            ),
            "A spike sets the trace to 1. Here it adds 1 to what is left.": _nearest,
            "It has only the spikes: keep the trace from one timestep to the next.": (
                lambda spikes, decay: spikes
            ),
        },
    ),
    "pair_rule": Task(
        right=_pair_rule,
        draw=_draw_pairs,
        mistakes={
            "Stronger and weaker are exchanged. If pre fires before post, the weight grows: at a "
            "spike of post, add a_plus times the trace of pre.": (
                lambda pre, post, weight, decay, a_plus, a_minus: _pair_rule(
                    pre, post, weight, decay, -a_minus, -a_plus
                )
            ),
            "The signs are exchanged: add what has a_plus, subtract what has a_minus.": (
                lambda pre, post, weight, *rest: 2 * weight - _pair_rule(pre, post, weight, *rest)
            ),
            "Two spikes of the same timestep count as a pair. A spike reads the trace of earlier "
            "spikes alone: decay * the trace of the timestep before.": (
                lambda *case: _wrong_rule(*case, same_timestep=True)
            ),
            "A spike reads the trace of the timestep before as it was then: let it decay once "
            "more, up to this timestep.": lambda *case: _wrong_rule(*case, late=1.0),
            "Both changes are added: a spike of pre makes a weight weaker, so subtract a_minus.": (
                lambda *case: _pair_rule(*case[:-1], -case[-1])
            ),
            "Weights grow, and never shrink: subtract a_minus at a spike of pre, times the trace "
            "of post.": lambda *case: _pair_rule(*case[:-1], 0.0),
            "Weights shrink, and never grow: add a_plus at a spike of post, times the trace of "
            "pre.": lambda *case: _pair_rule(*case[:-2], 0.0, case[-1]),
            "It returns the change: add it to the weight.": (
                lambda pre, post, weight, *rest: _pair_rule(pre, post, weight, *rest) - weight
            ),
        },
    ),
    "neuron_classes": Task(
        right=_neuron_classes,
        draw=_draw_responses,
        mistakes={
            "It compares sums. A class with many images then gets too many neurons: take the mean "
            "over the images of each class.": lambda counts, labels, classes: torch.where(
                counts.sum(0) > 0, (one_hot(labels, classes).T @ counts).argmax(0), -1
            ),
            "A neuron that never fires gets class 0, by argmax of nothing but zeros: it belongs to "
            "no class, -1.": lambda *case: _means(*case).argmax(0),
            "It takes the label of the one image with most spikes. Take the mean over all images "
            "of a class.": lambda counts, labels, classes: torch.where(
                counts.sum(0) > 0, labels[counts.argmax(0)], -1
            ),
        },
    ),
    "vote": Task(
        right=_vote,
        draw=_draw_votes,
        mistakes={
            "It adds up spikes, so the class with most neurons wins: divide by the number of "
            "neurons of the class.": _sums,
            "It divides by the number of all neurons: divide by the number of neurons of the "
            "class.": lambda counts, *rest: _sums(counts, *rest) / counts.shape[1],
            "A class without a neuron gives 0 / 0: its score is 0.": (
                lambda counts, neuron_class, classes: (
                    _sums(counts, neuron_class, classes) / _members(neuron_class, classes).sum(1)
                ).float()
            ),
            "Neurons of class -1 vote for the last class, as -1 is the last index: leave them "
            "out.": lambda counts, neuron_class, classes: _vote(
                counts, neuron_class % classes, classes
            ),
        },
    ),
}
