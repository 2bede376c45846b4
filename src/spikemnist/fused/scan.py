"""Autograd around the two kernels of a device, which scan all timesteps of a layer.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from spikemnist.ops.reference import through_clamp
from spikemnist.ops.surrogate import ATan, Surrogate

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from spikemnist.ops.layer import LayerParams


class Gradients(NamedTuple):
    """Tensors into which kernels write gradients; None for a gradient that is not needed.

    Attributes
    ----------
    current : torch.Tensor
        ``[T, B, N]``.
    initial, beta, threshold : torch.Tensor or None
        ``[B, N]``: beta and threshold per sample, to be summed in a fixed order.
    """

    current: Tensor
    initial: Tensor | None
    beta: Tensor | None
    threshold: Tensor | None


class Kernels(Protocol):
    """Kernels of a device: a module with these two functions."""

    def forward(
        self, current: Tensor, layer: LayerParams, spikes: Tensor, membrane: Tensor | None
    ) -> None:
        """Write the spikes ``[T, B, N]``, and the membranes unless None.

        Each timestep of the current is contiguous; the stride along T may be 0. The tensors of the
        layer are contiguous.
        """
        ...

    def backward(
        self,
        grad_spikes: Tensor | None,
        grad_membrane: Tensor | None,
        membrane: Tensor,
        layer: LayerParams,
        gradients: Gradients,
    ) -> None:
        """Write the gradients; ``grad_spikes`` and ``grad_membrane`` are contiguous."""
        ...


def scan(
    kernels: Kernels, current: Tensor, layer: LayerParams, *, membrane: bool
) -> tuple[Tensor, Tensor | None]:
    """Run the neurons of a layer over all timesteps: see `spikemnist.fused.run`."""
    initial = layer.initial
    layer = replace(
        layer,
        weight=None,
        bias=None,
        beta=layer.beta.contiguous(),
        threshold=layer.threshold.contiguous(),
        initial=None if initial is None else initial.contiguous(),
    )
    if not current[0].is_contiguous() or current.stride(0) not in (0, current[0].numel()):
        current = current.contiguous()
    inputs = [each for each in (current, *layer.tensors) if each is not None]
    if not torch.is_grad_enabled() or not any(each.requires_grad for each in inputs):
        return _forward(kernels, current, layer, membrane=membrane)
    spikes, membranes = _Scan.apply(  # type: ignore[no-untyped-call]
        kernels, layer, current, layer.beta, layer.threshold, layer.initial
    )
    return spikes, membranes if membrane else None


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, kernels: Kernels, layer: LayerParams, current: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        spikes, membrane = _forward(kernels, current, layer, membrane=True)
        # Spikes need not be saved: a neuron has fired where its membrane is above the threshold.
        ctx.save_for_backward(membrane, *tensors)
        ctx.kernels, ctx.layer, ctx.dtype = kernels, layer, current.dtype
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_membrane: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if grad_spikes is None and grad_membrane is None:
            return (None,) * 6
        membrane, beta, threshold, initial = ctx.saved_tensors
        of_beta, of_threshold, of_initial = (
            torch.empty_like(membrane[0]) if needed else None for needed in ctx.needs_input_grad[3:]
        )
        of_current = torch.empty(membrane.shape, dtype=ctx.dtype, device=membrane.device)
        if membrane.numel():
            ctx.kernels.backward(
                None if grad_spikes is None else grad_spikes.contiguous(),
                None if grad_membrane is None else grad_membrane.contiguous(),
                membrane,
                replace(ctx.layer, beta=beta, threshold=threshold, initial=initial),
                Gradients(of_current, of_initial, of_beta, of_threshold),
            )
        if of_beta is not None:
            of_beta = through_clamp(of_beta, beta).to(beta.dtype)
        if of_threshold is not None:
            of_threshold = of_threshold.sum_to_size(threshold.shape).to(threshold.dtype)
        if of_initial is not None:
            of_initial = of_initial.to(initial.dtype)
        return None, None, of_current, of_beta, of_threshold, of_initial


def _forward(
    kernels: Kernels, current: Tensor, layer: LayerParams, *, membrane: bool
) -> tuple[Tensor, Tensor | None]:
    spikes = torch.empty(current.shape, dtype=current.dtype, device=current.device)
    number = torch.promote_types(current.dtype, torch.float32)
    membranes = torch.empty_like(spikes, dtype=number) if membrane else None
    if spikes.numel():
        kernels.forward(current, layer, spikes, membranes)
    return spikes, membranes


def surrogate_constants(surrogate: Callable[[Tensor], Tensor]) -> tuple[str, float, float]:
    """Return the name of a named surrogate, and the two constants of its derivative."""
    assert isinstance(surrogate, Surrogate)  # ensured by `execution.obstacle`
    if isinstance(surrogate, ATan):
        return surrogate.name, math.pi / 2 * surrogate.alpha, surrogate.alpha / 2
    first, second = (*vars(surrogate).values(), 0.0, 0.0)[:2]
    return surrogate.name, first, second
