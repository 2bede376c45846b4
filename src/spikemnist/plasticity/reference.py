"""The rules of plasticity, timestep by timestep in plain torch: slow, readable, on any device.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` presynaptic and ``J`` postsynaptic neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.plasticity.rule import Rule


def change(rule: Rule, pre: Tensor, post: Tensor, weight: Tensor, gain: Tensor | None) -> Tensor:
    """Return new weights ``[J, I]``.

    Parameters
    ----------
    rule, pre, post, weight
        As `spikemnist.plasticity.rules` has them.
    gain
        What the changes of a timestep are multiplied by, ``[T, B]``. With it, the weights are kept
        between their bounds only at the end, and without it, always.
    """
    pre, post = pre.to(weight.dtype), post.to(weight.dtype)
    x, y = torch.zeros_like(pre[:1].sum(0)), torch.zeros_like(post[:1].sum(0))
    for t in range(len(pre)):
        worth = 1.0 if gain is None else gain[t][:, None]
        x, y = rule.decay_plus * x, rule.decay_minus * y
        seen = _after(x, pre[t], nearest=rule.nearest) if rule.at_once else x
        room = (weight - rule.w_min) ** rule.weight_dependence
        weight = weight - rule.a_minus * room * ((y * worth).T @ pre[t])
        if gain is None:
            weight = weight.clamp(rule.w_min, rule.w_max)
        room = (rule.w_max - weight) ** rule.weight_dependence
        weight = weight + rule.a_plus * room * ((post[t] * worth).T @ (seen - rule.target))
        if gain is None:
            weight = weight.clamp(rule.w_min, rule.w_max)
        x = _after(x, pre[t], nearest=rule.nearest)
        y = _after(y, post[t], nearest=rule.nearest)
    return weight.clamp(rule.w_min, rule.w_max)


def _after(trace: Tensor, spikes: Tensor, *, nearest: bool) -> Tensor:
    """Return a trace after the spikes of a timestep."""
    return torch.where(spikes != 0, spikes, trace) if nearest else trace + spikes
