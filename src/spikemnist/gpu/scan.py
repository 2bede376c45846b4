"""Autograd around the two Triton kernels, which scan all timesteps of a layer.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikemnist.gpu import triton_kernels
from spikemnist.ops.layer import LayerParams
from spikemnist.ops.once import once_differentiable
from spikemnist.ops.reference import through_clamp
from spikemnist.ops.surrogate import Surrogate

NEURONS_PER_PROGRAM = 256
"""Number of neurons of one Triton program."""


def scan(
    current: Tensor, layer: LayerParams, *, membrane: bool = True
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Run the neurons of a layer.

    Parameters
    ----------
    current : torch.Tensor
        Input current ``[T, B, N]``, floating, on CUDA.
    layer : LayerParams
        Layer with a named surrogate; its weights are not used.
    membrane : bool, default True
        Whether to return membranes.

    Returns
    -------
    spikes : torch.Tensor
        Spikes ``[T, B, N]``, zeros and ones in the dtype of the current.
    membrane : torch.Tensor or None
        Membranes ``[T, B, N]``, float64 for a float64 current, else float32.
    last : torch.Tensor
        Membranes after the last timestep, ``[B, N]``.
    """
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
    inputs = [tensor for tensor in (current, *layer.tensors) if tensor is not None]
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in inputs):
        return forward(current, layer, membrane=membrane)
    spikes, membranes = _Scan.apply(  # type: ignore[no-untyped-call]
        layer, current, layer.beta, layer.threshold, layer.initial
    )
    return spikes, membranes if membrane else None, membranes[-1].clone()


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layer: LayerParams, current: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        spikes, membrane, _ = forward(current, layer, membrane=True)
        # Spikes need not be saved: a neuron has fired where its membrane is above the threshold.
        ctx.save_for_backward(membrane, *tensors)
        ctx.layer, ctx.dtype = layer, current.dtype
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_membrane: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if grad_spikes is None and grad_membrane is None:
            return (None,) * 5
        membrane, beta, threshold, initial = ctx.saved_tensors
        beta_gradient, threshold_gradient, initial_gradient = (
            torch.empty_like(membrane[0]) if needed else None for needed in ctx.needs_input_grad[2:]
        )
        current_gradient = torch.empty(membrane.shape, dtype=ctx.dtype, device=membrane.device)
        backward(
            None if grad_spikes is None else grad_spikes.contiguous(),
            None if grad_membrane is None else grad_membrane.contiguous(),
            membrane,
            replace(ctx.layer, beta=beta, threshold=threshold, initial=initial),
            (current_gradient, initial_gradient, beta_gradient, threshold_gradient),
        )
        if beta_gradient is not None:
            beta_gradient = through_clamp(beta_gradient, beta).to(beta.dtype)
        if threshold_gradient is not None:
            threshold_gradient = threshold_gradient.sum_to_size(threshold.shape).to(threshold.dtype)
        if initial_gradient is not None:
            initial_gradient = initial_gradient.to(initial.dtype)
        return None, current_gradient, beta_gradient, threshold_gradient, initial_gradient


def forward(
    current: Tensor, layer: LayerParams, *, membrane: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return spikes and, if needed, membranes, ``[T, B, N]`` each, and the last membrane.

    Each timestep of the current is contiguous; the stride along T may be 0. The tensors of the
    layer are contiguous.
    """
    spikes = torch.empty(current.shape, dtype=current.dtype, device=current.device)
    number = torch.promote_types(current.dtype, torch.float32)
    membranes = torch.empty_like(spikes, dtype=number) if membrane else None
    last = torch.empty(current.shape[1:], dtype=number, device=current.device)
    size = current[0].numel()
    if not size:
        return spikes, membranes, last
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        triton_kernels.forward_kernel[(triton.cdiv(size, NEURONS_PER_PROGRAM),)](
            current,
            layer.beta,
            layer.threshold,
            layer.initial,
            spikes,
            membranes,
            last,
            len(current),
            current.stride(0),
            size,
            current.shape[-1],
            **_constants(layer, current.dtype),
        )
    return spikes, membranes, last


def backward(
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    membrane: Tensor,
    layer: LayerParams,
    gradients: tuple[Tensor | None, ...],
) -> None:
    """Write the gradients of the current ``[T, B, N]``, and of initial, beta and threshold.

    The last three are ``[B, N]``: beta and threshold per sample, to be summed in a fixed order.
    They are None where they are not needed. All tensors are contiguous.
    """
    size = membrane[0].numel()
    if not size:
        return
    assert isinstance(layer.spike_grad, Surrogate)  # `runners.KNOWN` has refused others
    first, second = layer.spike_grad.constants
    with torch.cuda.device_of(membrane):  # type: ignore[no-untyped-call]
        triton_kernels.backward_kernel[(triton.cdiv(size, NEURONS_PER_PROGRAM),)](
            grad_spikes,
            grad_membrane,
            membrane,
            layer.beta,
            layer.threshold,
            layer.initial,
            *gradients,
            len(membrane),
            size,
            membrane.shape[-1],
            SURROGATE=layer.spike_grad.name,
            FIRST=first,
            SECOND=second,
            **_constants(layer, membrane.dtype),
        )


def _constants(layer: LayerParams, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "EACH_BETA": layer.beta.dim() > 0,
        "EACH_THRESHOLD": layer.threshold.dim() > 0,
        "RESET": layer.reset_mechanism,
        "NUMBER": tl.float64 if dtype == torch.float64 else tl.float32,
        "BLOCK": NEURONS_PER_PROGRAM,
        # Products and sums are rounded separately, as in the reference, so the spikes are the same.
        "enable_fp_fusion": False,
    }
