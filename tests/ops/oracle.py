"""`snntorch.Leaky` stepped in a loop: what `spikemnist.ops.leaky` must equal.

Shapes: ``T`` timesteps, ``B`` batch, ``...`` neurons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import snntorch
import torch

from spikemnist import ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from tests.strategies import LeakyProblem

LEAVES = ("current", "beta", "threshold", "initial")


@dataclass
class Answer:
    """Spikes and membranes ``[T, B, ...]``, and the gradients of a loss by the input's name."""

    spikes: Tensor
    membrane: Tensor
    gradients: dict[str, Tensor | None]


def snntorch_leaky(
    current: Tensor,
    beta: Tensor,
    threshold: Tensor,
    initial: Tensor | None,
    reset_mechanism: str,
    spike_grad: str | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Step a real `snntorch.Leaky`."""
    neuron = snntorch.Leaky(
        beta=beta,
        threshold=threshold,
        reset_mechanism=reset_mechanism,
        spike_grad=ops.get_surrogate(spike_grad) if isinstance(spike_grad, str) else spike_grad,
    )
    snntorch.SpikingNeuron.instances.pop()
    membrane = torch.zeros_like(current[0]) if initial is None else initial
    spikes, membranes = [], []
    for inflow in current:
        spike, membrane = neuron(inflow, membrane)
        # snnTorch's surrogates return float32 whatever the membrane is.
        spikes.append(spike.to(current.dtype))
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)


def our_leaky(
    current: Tensor,
    beta: Tensor,
    threshold: Tensor,
    initial: Tensor | None,
    reset_mechanism: str,
    spike_grad: str | Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    return ops.leaky(
        current,
        beta,
        threshold,
        reset_mechanism=reset_mechanism,
        spike_grad=spike_grad,
        initial=initial,
    )


def answer(
    leaky: Callable[..., tuple[Tensor, Tensor]],
    problem: LeakyProblem,
    loss_on: tuple[str, ...] = ("spikes", "membrane"),
) -> Answer:
    """Run ``leaky`` on fresh leaves and differentiate a weighted sum of what it returns."""
    given = {name: getattr(problem, name) for name in LEAVES}
    leaves = {
        name: None if value is None else value.detach().clone().requires_grad_()
        for name, value in given.items()
    }
    spikes, membrane = leaky(
        *leaves.values(), reset_mechanism=problem.reset_mechanism, spike_grad=problem.spike_grad
    )
    random = torch.Generator().manual_seed(1)
    loss = torch.zeros((), dtype=membrane.dtype)
    for name, values in (("spikes", spikes), ("membrane", membrane)):
        weights = torch.randn(values.shape, generator=random, dtype=torch.float64).to(values.dtype)
        if name in loss_on:
            loss = loss + (values * weights).sum()
    wanted = {name: leaf for name, leaf in leaves.items() if leaf is not None}
    gradients = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return Answer(spikes.detach(), membrane.detach(), dict(zip(wanted, gradients, strict=True)))


def assert_same(result: Answer, expected: Answer, *, tolerance: float) -> None:
    """Assert equal bits of the run, and gradients equal relative to the largest of each kind.

    In single precision the gradients of beta and threshold are compared relative to the terms
    that they are sums of, which may cancel: at most the current's gradient times a membrane.
    """
    assert result.spikes.dtype == result.membrane.dtype == expected.spikes.dtype
    assert torch.equal(result.spikes, expected.spikes)
    assert torch.equal(result.membrane, expected.membrane)
    terms = 0.0
    if result.membrane.dtype == torch.float32 and result.membrane.numel():
        adjoint = result.gradients["current"].abs().sum(dtype=torch.float64)
        terms = float(adjoint * result.membrane.abs().max().clamp_min(1))
    for name, gradient in expected.gradients.items():
        if gradient is None:
            gradient = torch.zeros_like(result.gradients[name])
        scale = float(gradient.abs().max()) if gradient.numel() else 0.0
        if name in ("beta", "threshold"):
            scale = max(scale, terms)
        torch.testing.assert_close(
            result.gradients[name],
            gradient,
            rtol=0,
            atol=tolerance * scale,
            msg=lambda text, name=name: f"gradient of {name}: {text}",
        )
