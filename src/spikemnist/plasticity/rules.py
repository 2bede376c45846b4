r"""Spike-timing-dependent plasticity as pure functions of two spike trains.

All functions apply one rule, which uses the traces

.. math::

    x_t = e^{-\Delta t / \tau_+} x_{t-1} + S^{pre}_t \qquad
    y_t = e^{-\Delta t / \tau_-} y_{t-1} + S^{post}_t

A spike sees the trace of the spikes before it. A weight changes when either of its neurons fires,
first by the presynaptic spikes of a timestep and then by the postsynaptic ones:

.. math::

    w &\leftarrow w - A_- (w - w_{min})^\mu \sum_b S^{pre}_{tb}\, y_{t-1,b} e^{-\Delta t/\tau_-} \\
    w &\leftarrow w + A_+ (w_{max} - w)^\mu \sum_b S^{post}_{tb}\, x_{t-1,b} e^{-\Delta t/\tau_+}

It remains between its bounds. The samples of a batch share the weights, and their changes in a
timestep are summed. The weight dependence :math:`\mu` is 0 for the additive rule, 1 for the
multiplicative one, and in between for the power law.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` presynaptic and ``J`` postsynaptic neurons.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def pair_stdp(
    pre: Tensor,
    post: Tensor,
    weight: Tensor,
    *,
    a_plus: float = 0.01,
    a_minus: float = 0.0105,
    tau_plus: float = 20.0,
    tau_minus: float = 20.0,
    weight_dependence: float = 0.0,
    w_min: float = 0.0,
    w_max: float = 1.0,
    timestep: float = 1.0,
) -> Tensor:
    r"""Return the weights after pair-based STDP.

    A presynaptic spike ``lag`` ms before a postsynaptic spike makes the weight stronger, by
    :math:`A_+ (w_{max} - w)^\mu e^{-lag / \tau_+}`. A presynaptic spike after it makes the weight
    weaker: see `stdp_window`. Two spikes in the same timestep do not interact.

    Parameters
    ----------
    pre, post : torch.Tensor
        Spikes ``[T, B, I]`` and ``[T, B, J]``, any dtype, on any device.
    weight : torch.Tensor
        Weights ``[J, I]``, floating, between the bounds; not changed.
    a_plus, a_minus : float, default 0.01 and 0.0105
        Amplitudes :math:`A_+` and :math:`A_-`.
    tau_plus, tau_minus : float, default 20.0
        Time constants of the traces, in ms.
    weight_dependence : float, default 0.0
        Exponent :math:`\mu`.
    w_min, w_max : float, default 0.0 and 1.0
        Bounds of the weights.
    timestep : float, default 1.0
        Duration of a timestep, in ms.

    Returns
    -------
    torch.Tensor
        The new weights, ``[J, I]``.

    Raises
    ------
    ValueError
        For incompatible shapes, a weight outside the bounds, or constants out of range.

    Notes
    -----
    The page of `spikemnist.plasticity` has the equations.

    Song, Miller, Abbott, *Competitive Hebbian learning through spike-timing-dependent synaptic
    plasticity*, Nature Neuroscience 3, 2000, for the additive rule; Gütig, Aharonov, Rotter,
    Sompolinsky, *Learning input correlations through nonlinear temporally asymmetric Hebbian
    plasticity*, Journal of Neuroscience 23, 2003, for the weight dependence; Morrison, Diesmann,
    Gerstner, *Phenomenological models of synaptic plasticity based on spike timing*, Biological
    Cybernetics 98, 2008, for the traces.

    Examples
    --------
    >>> import math, torch
    >>> pre, post = torch.zeros(30, 1, 1), torch.zeros(30, 1, 1)
    >>> pre[5], post[15] = 1, 1  # 10 ms before
    >>> change = pair_stdp(pre, post, torch.full((1, 1), 0.5)) - 0.5
    >>> round(change.item(), 5), round(0.01 * math.exp(-10 / 20), 5)
    (0.00607, 0.00607)
    """
    rule = _Rule(a_plus, a_minus, tau_plus, tau_minus, weight_dependence, w_min, w_max, timestep)
    return _apply(rule, pre, post, weight)


def post_stdp(
    pre: Tensor,
    post: Tensor,
    weight: Tensor,
    *,
    learning_rate: float = 0.005,
    target_trace: float = 0.3,
    tau_trace: float = 20.0,
    weight_dependence: float = 1.0,
    w_min: float = 0.0,
    w_max: float = 1.0,
    timestep: float = 1.0,
) -> Tensor:
    r"""Return the weights after the postsynaptic rule of Diehl and Cook.

    A weight changes only when its postsynaptic neuron fires:

    .. math:: w \leftarrow w + \eta \sum_b S^{post}_{tb} (x_{tb} - x_{tar}) (w_{max} - w)^\mu

    Inputs that fired lately become stronger and all others weaker. The trace includes the
    presynaptic spikes of the same timestep: they may have caused the postsynaptic one.

    Parameters
    ----------
    pre, post, weight : torch.Tensor
        Spikes and weights, as for `pair_stdp`.
    learning_rate, target_trace : float, default 0.005 and 0.3
        :math:`\eta` and :math:`x_{tar}`.
    tau_trace : float, default 20.0
        Time constant of the trace, in ms.
    weight_dependence : float, default 1.0
        Exponent :math:`\mu`.
    w_min, w_max, timestep : float, default 0.0, 1.0 and 1.0
        Bounds of the weights and timestep, as for `pair_stdp`.

    Returns
    -------
    torch.Tensor
        The new weights, ``[J, I]``.

    Raises
    ------
    ValueError
        As for `pair_stdp`.

    Notes
    -----
    P. Diehl, M. Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
    plasticity*, Frontiers in Computational Neuroscience 9:99, 2015.

    Examples
    --------
    >>> import torch
    >>> pre, post = torch.zeros(9, 1, 2), torch.zeros(9, 1, 1)
    >>> pre[2, 0, 0], post[2] = 1, 1
    >>> post_stdp(pre, post, torch.full((1, 2), 0.5), learning_rate=0.1)
    tensor([[0.5350, 0.4850]])
    """
    rule = _Rule(
        learning_rate, 0.0, tau_trace, tau_trace, weight_dependence, w_min, w_max, timestep
    )._replace(target=target_trace, at_once=True)
    return _apply(rule, pre, post, weight)


def stdp_window(
    lag: Tensor,
    *,
    a_plus: float = 0.01,
    a_minus: float = 0.0105,
    tau_plus: float = 20.0,
    tau_minus: float = 20.0,
) -> Tensor:
    r"""Return the change of a weight by one pair of spikes, for the additive rule.

    .. math::

        \Delta w = A_+ e^{-lag / \tau_+} \text{ for } lag > 0, \quad
        -A_- e^{lag / \tau_-} \text{ for } lag < 0, \quad 0 \text{ for } lag = 0

    Parameters
    ----------
    lag : torch.Tensor
        Time from the presynaptic spike to the postsynaptic one, in ms, ``[...]`` of any shape,
        floating.
    a_plus, a_minus, tau_plus, tau_minus : float, default 0.01, 0.0105, 20.0 and 20.0
        Amplitudes and time constants, as for `pair_stdp`.

    Returns
    -------
    torch.Tensor
        ``[...]``, above 0 where the weight becomes stronger.

    Raises
    ------
    ValueError
        If a time constant is not positive.

    Examples
    --------
    >>> import torch
    >>> stdp_window(torch.tensor([-20.0, 0.0, 20.0]))
    tensor([-0.0039,  0.0000,  0.0037])
    """
    for tau in (tau_plus, tau_minus):
        _decay(tau, 1.0)
    stronger, weaker = a_plus * (-lag / tau_plus).exp(), -a_minus * (lag / tau_minus).exp()
    return torch.where(lag == 0, torch.zeros_like(weaker), torch.where(lag > 0, stronger, weaker))


class _Rule(NamedTuple):
    """Arguments of `pair_stdp` in their order; ``target`` is subtracted from a presynaptic trace.

    With ``at_once``, a postsynaptic spike also sees the presynaptic spikes of its timestep.
    """

    a_plus: float
    a_minus: float
    tau_plus: float
    tau_minus: float
    weight_dependence: float
    w_min: float
    w_max: float
    timestep: float
    target: float = 0.0
    at_once: bool = False


def _apply(rule: _Rule, pre: Tensor, post: Tensor, weight: Tensor) -> Tensor:
    """Return the new weights ``[J, I]``."""
    _check(rule, pre, post, weight)
    decay_plus = _decay(rule.tau_plus, rule.timestep)
    decay_minus = _decay(rule.tau_minus, rule.timestep)
    low, high = rule.w_min, rule.w_max
    pre, post, weight = pre.to(weight.dtype), post.to(weight.dtype), weight.detach().clone()
    x, y = pre.new_zeros(pre.shape[1:]), post.new_zeros(post.shape[1:])
    for t in range(len(pre)):
        x, y = decay_plus * x, decay_minus * y
        x_now, y_now = x + pre[t], y + post[t]
        headroom = (weight - low) ** rule.weight_dependence
        weight = (weight - rule.a_minus * headroom * (y.T @ pre[t])).clamp(low, high)
        headroom = (high - weight) ** rule.weight_dependence
        seen = (x_now if rule.at_once else x) - rule.target
        weight = (weight + rule.a_plus * headroom * (post[t].T @ seen)).clamp(low, high)
        x, y = x_now, y_now
    return weight


def _check(rule: _Rule, pre: Tensor, post: Tensor, weight: Tensor) -> None:
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
    for name in ("a_plus", "a_minus", "target", "weight_dependence", "w_min", "w_max"):
        if not math.isfinite(getattr(rule, name)):
            raise ValueError(f"the constants of a rule must be finite; got {getattr(rule, name)}")
    if not rule.w_min < rule.w_max:
        raise ValueError(f"w_min must be less than w_max; got {rule.w_min} and {rule.w_max}")
    if not bool(((weight >= rule.w_min) & (weight <= rule.w_max)).all()):  # False for NaN
        raise ValueError(
            f"weights must lie between w_min {rule.w_min} and w_max {rule.w_max}; "
            f"got {float(weight.min())} to {float(weight.max())}"
        )
    if not rule.weight_dependence >= 0:
        raise ValueError(f"weight_dependence must be at least 0; got {rule.weight_dependence}")


def _decay(tau: float, timestep: float) -> float:
    """Return the factor by which a trace decays in a timestep; both times are in ms."""
    if not (tau > 0 and timestep > 0):
        raise ValueError(
            f"time constants and the timestep must be positive; got {tau} and {timestep} ms"
        )
    return math.exp(-timestep / tau)
