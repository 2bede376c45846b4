r"""The dynamics in plain torch: easy to read, and the standard that faster kernels must match.

Runs on cpu, cuda and mps. The loop over time works in place on the memory of one timestep, which
stays in the cache. Autograd sees one node for a whole layer.

Shapes: ``T`` timesteps, ``B`` batch, ``...`` one layer's neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikemnist.ops.once import once_differentiable
from spikemnist.ops.surrogate import Surrogate

SpikeGrad = Callable[[Tensor], Tensor]


class LeakyNeurons(NamedTuple):
    """The neurons of a layer: beta lies in [0, 1], and ``initial`` is the membrane at first."""

    beta: Tensor
    threshold: Tensor
    initial: Tensor
    reset_mechanism: str
    spike_grad: SpikeGrad


class LeakyScan(torch.autograd.Function):
    """A layer of leaky neurons over all timesteps: see `spikemnist.ops.leaky`.

    ``apply`` takes the current ``[T, B, ...]``; beta and threshold, which broadcast against
    ``[B, ...]``, and the membrane ``[B, ...]`` before the first timestep, all in its dtype; the
    reset mechanism; and the function from membrane - threshold to spikes. It returns spikes and
    membranes, ``[T, B, ...]`` each.
    """

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        beta: Tensor,
        threshold: Tensor,
        initial: Tensor,
        reset_mechanism: str,
        spike_grad: SpikeGrad,
    ) -> tuple[Tensor, Tensor]:
        """Run the timesteps from first to last."""
        neurons = LeakyNeurons(beta.clamp(0, 1), threshold, initial, reset_mechanism, spike_grad)
        spikes, membrane = _forward(current, neurons)
        ctx.save_for_backward(spikes, membrane, beta, threshold, initial)
        ctx.reset_mechanism, ctx.spike_grad = reset_mechanism, spike_grad
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_membrane: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients, from the last timestep to the first."""
        spikes, membrane, beta, threshold, initial = ctx.saved_tensors
        if grad_spikes is None and grad_membrane is None:
            return None, None, None, None, None, None
        neurons = LeakyNeurons(
            beta.clamp(0, 1), threshold, initial, ctx.reset_mechanism, ctx.spike_grad
        )
        current, beta_sum, threshold_sum, carried = _backward(
            grad_spikes, grad_membrane, spikes, membrane, neurons, ctx.needs_input_grad
        )
        if beta_sum is not None:
            beta_sum = through_clamp(beta_sum, beta)
        if threshold_sum is not None:
            threshold_sum = threshold_sum.sum_to_size(threshold.shape)
        return current, beta_sum, threshold_sum, carried, None, None


def through_clamp(total: Tensor, beta: Tensor) -> Tensor:
    """Return the gradient of beta from each neuron's gradient of clamp(beta, 0, 1).

    snnTorch differentiates the clamp itself. So the installed torch decides whether a beta on a
    bound learns: in torch 2.13 it does, in torch 2.15 it does not.
    """
    inside = (beta >= 0) & (beta <= 1) if CLAMP_PASSES_ON_BOUNDS else (beta > 0) & (beta < 1)
    return total.sum_to_size(beta.shape) * inside


def _passes_on_bounds() -> bool:
    """Return whether torch's clamp passes a gradient to a number on its bounds."""
    with torch.inference_mode(False), torch.enable_grad():
        beta = torch.tensor([0.0, 1.0], device="cpu", requires_grad=True)
        (gradient,) = torch.autograd.grad(beta.clamp(0, 1).sum(), beta)
    return bool(gradient.all())


CLAMP_PASSES_ON_BOUNDS = _passes_on_bounds()
"""Result of `_passes_on_bounds` for the installed torch."""


def _forward(current: Tensor, neurons: LeakyNeurons) -> tuple[Tensor, Tensor]:
    beta, threshold, initial, reset_mechanism, spike_grad = neurons
    membrane = torch.empty(current.shape, dtype=current.dtype, device=current.device)
    spikes = torch.empty_like(membrane)
    previous, last_spikes = (
        initial,
        _fire(initial, threshold, spike_grad, torch.empty_like(initial)),
    )
    for now, spike, inflow in zip(membrane, spikes, current, strict=True):
        # A product with a spike is exact (0 or the factor). The other roundings come in snnTorch's
        # order, so the results have the same bits.
        if reset_mechanism == "zero":
            torch.addcmul(previous, previous, last_spikes, value=-1, out=now)
            now.mul_(beta).add_(inflow)
        else:
            torch.mul(previous, beta, out=now).add_(inflow)
            if reset_mechanism == "subtract":
                now.addcmul_(last_spikes, threshold, value=-1)
        previous, last_spikes = now, _fire(now, threshold, spike_grad, spike)
    return spikes, membrane


def _fire(membrane: Tensor, threshold: Tensor, spike_grad: SpikeGrad, out: Tensor) -> Tensor:
    if isinstance(spike_grad, Surrogate):
        return torch.gt(membrane, threshold, out=out)
    return out.copy_(spike_grad(membrane - threshold))


def _backward(
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    spikes: Tensor,
    membrane: Tensor,
    neurons: LeakyNeurons,
    needs: Sequence[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor]:
    r"""Return the gradients of current, beta, threshold and initial.

    Beta and threshold have one gradient per neuron and sample, not yet summed, or None where
    ``needs``, one for each in this order, says that it is not needed. The gradient treats
    the reset as a constant, as snnTorch does, so the adjoint is linear in time:

    .. math:: \delta_t = \frac{\partial L}{\partial U_t}
              + \sigma'(U_t - \theta) \frac{\partial L}{\partial S_t}
              + \beta k_t \delta_{t+1}

    with :math:`k_t = 1 - S_t` for ``"zero"`` and 1 otherwise.
    """
    beta, threshold, initial, reset_mechanism, spike_grad = neurons
    grad_current = torch.empty_like(membrane)
    through_spike = torch.empty_like(initial)
    beta_sum = torch.zeros_like(initial) if needs[1] else None
    threshold_sum = torch.zeros_like(initial) if needs[2] else None
    initial_spike = _fire(initial, threshold, spike_grad, torch.empty_like(initial))
    carried = torch.zeros_like(initial)
    for t in reversed(range(len(membrane))):
        delta = grad_current[t].copy_(carried)
        if grad_membrane is not None:
            delta.add_(grad_membrane[t])
        if grad_spikes is not None:
            _surrogate_gradient(grad_spikes[t], membrane[t], threshold, spike_grad, through_spike)
            delta.add_(through_spike)
        previous, last_spikes = (membrane[t - 1], spikes[t - 1]) if t else (initial, initial_spike)
        if threshold_sum is not None:
            if grad_spikes is not None:
                threshold_sum.sub_(through_spike)
            if reset_mechanism == "subtract":
                threshold_sum.addcmul_(delta, last_spikes, value=-1)
        torch.mul(delta, beta, out=carried)
        if reset_mechanism == "zero":
            previous = previous - previous * last_spikes
            carried.addcmul_(carried, last_spikes, value=-1)
        if beta_sum is not None:
            beta_sum.addcmul_(delta, previous)
    return grad_current, beta_sum, threshold_sum, carried


def _surrogate_gradient(
    grad: Tensor, membrane: Tensor, threshold: Tensor, spike_grad: SpikeGrad, out: Tensor
) -> Tensor:
    torch.sub(membrane, threshold, out=out)
    if isinstance(spike_grad, Surrogate):
        return torch.mul(spike_grad.derivative_(out), grad, out=out)
    with torch.enable_grad():
        x = out.detach().requires_grad_()
        spikes = spike_grad(x)
    if not spikes.requires_grad:
        return out.zero_()
    return out.copy_(torch.autograd.grad(spikes, x, grad.to(spikes.dtype))[0])
