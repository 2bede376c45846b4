"""What all rules of plasticity have in common: their numbers, their checks, who computes them.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` presynaptic and ``J`` postsynaptic neurons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from spikemnist.kernels import compiler
from spikemnist.plasticity import reference

if TYPE_CHECKING:
    from torch import Tensor


class Rule(NamedTuple):
    """The numbers of a rule; ``target`` is subtracted from the presynaptic trace.

    ``at_once`` says whether a postsynaptic spike also sees the presynaptic ones of its timestep.
    """

    a_plus: float
    a_minus: float
    decay_plus: float
    decay_minus: float
    weight_dependence: float
    w_min: float
    w_max: float
    target: float = 0.0
    nearest: bool = False
    at_once: bool = False


def apply(
    rule: Rule, pre: Tensor, post: Tensor, weight: Tensor, gain: Tensor | None, backend: str
) -> Tensor:
    """Return what a rule makes of weights: see `spikemnist.plasticity.pair_stdp`.

    Parameters
    ----------
    rule, pre, post, weight, backend
        As there.
    gain
        What the changes of a timestep are multiplied by, ``[T, B]``; with it, the weights are
        brought between their bounds only at the end.
    """
    _check(rule, pre, post, weight)
    if backend not in ("auto", "reference", "event_driven"):
        raise ValueError(f"backend must be 'auto', 'reference' or 'event_driven'; got {backend!r}")
    if backend != "reference":
        changed = _event_driven(rule, pre, post, weight, gain)
        if changed is not None:
            return changed
        if backend == "event_driven":
            raise ValueError(
                "the event-driven form needs spikes of 0 and 1, float32 or float64 weights, the "
                f"CPU and Numba; got {pre.dtype} and {post.dtype} spikes, {weight.dtype} weights "
                f"on {weight.device}. Use backend='reference'"
            )
    return reference.change(rule, pre, post, weight.detach(), gain)


def _event_driven(
    rule: Rule, pre: Tensor, post: Tensor, weight: Tensor, gain: Tensor | None
) -> Tensor | None:
    on_cpu = {pre.device.type, post.device.type, weight.device.type} == {"cpu"}
    floating = weight.dtype in (torch.float32, torch.float64)
    if not (on_cpu and floating and compiler.is_available()):
        return None
    from spikemnist.plasticity import rule_kernels

    return rule_kernels.change(rule, pre, post, weight.detach(), gain)


def _check(rule: Rule, pre: Tensor, post: Tensor, weight: Tensor) -> None:
    if pre.dim() != 3 or post.dim() != 3 or pre.shape[:2] != post.shape[:2]:
        raise ValueError(
            "pre must be [T, B, I] and post [T, B, J] with the same T and B; "
            f"got {tuple(pre.shape)} and {tuple(post.shape)}"
        )
    if weight.shape != (post.shape[2], pre.shape[2]) or not weight.is_floating_point():
        raise ValueError(
            f"weight must be floating, [J, I] = [{post.shape[2]}, {pre.shape[2]}]; "
            f"got {weight.dtype} of shape {tuple(weight.shape)}"
        )
    if not rule.w_min < rule.w_max:
        raise ValueError(f"w_min must be less than w_max; got {rule.w_min} and {rule.w_max}")
    if not bool(((weight >= rule.w_min) & (weight <= rule.w_max)).all()):  # NaN is not
        raise ValueError(
            f"weights must lie between w_min {rule.w_min} and w_max {rule.w_max}; "
            f"got {float(weight.min())} to {float(weight.max())}"
        )
    if not rule.weight_dependence >= 0:
        raise ValueError(f"weight_dependence must be at least 0; got {rule.weight_dependence}")


def decay(tau: float, timestep: float) -> float:
    """Return what is left of a trace after a timestep, both in ms."""
    if not (tau > 0 and timestep > 0):
        raise ValueError(
            f"time constants and the timestep must be positive; got {tau} and {timestep} ms"
        )
    return math.exp(-timestep / tau)


def is_nearest(traces: str) -> bool:
    """Return whether a spike pairs with the nearest one alone."""
    if traces not in ("all", "nearest"):
        raise ValueError(f"traces must be 'all' or 'nearest'; got {traces!r}")
    return traces == "nearest"


def worth(reward: Tensor, pre: Tensor, left: float, dtype: torch.dtype) -> Tensor:
    """Return what a change at each timestep is worth, ``[T, B]``, by the rewards from there on."""
    steps, batch = pre.shape[:2]
    if reward.shape not in ((steps,), (steps, batch)):
        raise ValueError(
            f"reward must be [T] or [T, B] = [{steps}, {batch}]; got {tuple(reward.shape)}"
        )
    each = reward.detach().to(dtype)
    each = (each[:, None] if each.dim() == 1 else each).expand(steps, batch)
    values, later = torch.empty_like(each), torch.zeros_like(each[0]) if steps else None
    for t in range(steps - 1, -1, -1):
        values[t] = later = each[t] + left * later  # type: ignore[operator]
    return values
