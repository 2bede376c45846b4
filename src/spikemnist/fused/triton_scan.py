"""Launch the kernels of `triton_kernels` on the device of their tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

from spikemnist.fused import triton_kernels
from spikemnist.fused.scan import surrogate_constants

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.fused.scan import Gradients
    from spikemnist.ops.layer import LayerParams

BLOCK = 256
"""Number of neurons of one Triton program."""


def forward(current: Tensor, layer: LayerParams, spikes: Tensor, membrane: Tensor | None) -> None:
    """Write the spikes, and the membranes unless None: see `spikemnist.fused.scan.Kernels`."""
    size = current[0].numel()
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        triton_kernels.forward_kernel[(triton.cdiv(size, BLOCK),)](
            current,
            layer.beta,
            layer.threshold,
            layer.initial,
            spikes,
            membrane,
            len(current),
            current.stride(0),
            size,
            current.shape[-1],
            **_constants(layer, current.dtype),
        )


def backward(
    grad_spikes: Tensor | None,
    grad_membrane: Tensor | None,
    membrane: Tensor,
    layer: LayerParams,
    gradients: Gradients,
) -> None:
    """Write the gradients: see `spikemnist.fused.scan.Kernels`."""
    size = membrane[0].numel()
    name, first, second = surrogate_constants(layer.spike_grad)
    with torch.cuda.device_of(membrane):  # type: ignore[no-untyped-call]
        triton_kernels.backward_kernel[(triton.cdiv(size, BLOCK),)](
            grad_spikes,
            grad_membrane,
            membrane,
            layer.beta,
            layer.threshold,
            layer.initial,
            gradients.current,
            gradients.initial,
            gradients.beta,
            gradients.threshold,
            len(membrane),
            size,
            membrane.shape[-1],
            SURROGATE=name,
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
        "BLOCK": BLOCK,
        # Products and sums are rounded separately, as in the reference, so the spikes are the same.
        "enable_fp_fusion": False,
    }
