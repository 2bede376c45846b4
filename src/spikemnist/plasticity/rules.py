r"""Spike-timing-dependent plasticity as pure functions.

The rule of pairs uses the traces

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

import torch
from torch import Tensor

from spikemnist._arguments import check_number, must_be


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
    check_number("weight_dependence", weight_dependence, "[0, inf)")
    if not w_min < w_max:
        raise must_be("w_min", f"less than w_max, {w_max}", w_min)
    _check_tensors(pre, post, weight, w_min, w_max)
    decay_plus, decay_minus = _decay(tau_plus, timestep), _decay(tau_minus, timestep)
    pre, post, weight = pre.to(weight.dtype), post.to(weight.dtype), weight.detach().clone()
    x, y = pre.new_zeros(pre.shape[1:]), post.new_zeros(post.shape[1:])
    for t in range(len(pre)):
        x, y = decay_plus * x, decay_minus * y
        headroom = (weight - w_min) ** weight_dependence
        weight = (weight - a_minus * headroom * (y.T @ pre[t])).clamp(w_min, w_max)
        headroom = (w_max - weight) ** weight_dependence
        weight = (weight + a_plus * headroom * (post[t].T @ x)).clamp(w_min, w_max)
        x, y = x + pre[t], y + post[t]
    return weight


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


def _check_tensors(pre: Tensor, post: Tensor, weight: Tensor, low: float, high: float) -> None:
    if pre.dim() != 3 or post.dim() != 3 or pre.shape[:2] != post.shape[:2]:
        raise ValueError(
            "pre must be [T, B, I] and post [T, B, J] with the same T and B; "
            f"got {tuple(pre.shape)} and {tuple(post.shape)}"
        )
    if weight.shape != (post.shape[2], pre.shape[2]) or not weight.is_floating_point():
        raise must_be("weight", f"floating, [J, I] = [{post.shape[2]}, {pre.shape[2]}]", weight)
    if not bool(((weight >= low) & (weight <= high)).all()):  # False for NaN
        raise ValueError(
            f"weights must lie between w_min {low} and w_max {high}; "
            f"got {float(weight.min())} to {float(weight.max())}"
        )


def _decay(tau: float, timestep: float) -> float:
    """Return the factor by which a trace decays in a timestep; both times are in ms."""
    check_number("a time constant in ms", tau, "(0, inf]")
    check_number("the timestep in ms", timestep, "(0, inf]")
    return math.exp(-timestep / tau)
