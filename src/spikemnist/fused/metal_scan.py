"""Launch the kernels of ``scan.metal`` on Apple's GPU.

Torch compiles them at the first call, once for each dtype. They have never been run on a Mac: the
tests compile them as C++ and compare their arithmetic with the reference.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

import torch

from spikemnist.fused.scan import surrogate_constants
from spikemnist.ops import RESET_MECHANISMS, SURROGATES

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.fused.scan import Gradients
    from spikemnist.ops.layer import LayerParams

NUMBERS = {torch.float32: "float", torch.float16: "half", torch.bfloat16: "bfloat"}

HEAD = """
#include <metal_stdlib>
using namespace metal;
#pragma METAL fp contract(off)
#define EXP(x) precise::exp(x)
#define NUMBER {number}
"""

KERNELS = """
kernel void forward(
    device const NUMBER *current, device const float *beta, device const float *threshold,
    device const float *initial, device NUMBER *spikes, device float *membranes,
    constant long &steps, constant long &step_stride, constant long &size, constant long &neurons,
    constant long &each_beta, constant long &each_threshold, constant long &has_initial,
    constant long &has_membranes, constant long &reset, uint index [[thread_position_in_grid]]) {
    scan_forward(
        index, current, beta, threshold, initial, spikes, membranes, steps, step_stride, size,
        neurons, each_beta, each_threshold, has_initial, has_membranes, reset);
}

kernel void backward(
    device const NUMBER *grad_spikes, device const float *grad_membranes,
    device const float *membranes, device const float *beta, device const float *threshold,
    device const float *initial, device NUMBER *grad_current, device float *grad_initial,
    device float *beta_sums, device float *threshold_sums, constant long &steps,
    constant long &size, constant long &neurons, constant long &each_beta,
    constant long &each_threshold, constant long &has_initial, constant long &has_grad_spikes,
    constant long &has_grad_membranes, constant long &needs_initial, constant long &needs_beta,
    constant long &needs_threshold, constant long &reset, constant long &surrogate,
    constant float &first, constant float &second, uint index [[thread_position_in_grid]]) {
    scan_backward(
        index, grad_spikes, grad_membranes, membranes, beta, threshold, initial, grad_current,
        grad_initial, beta_sums, threshold_sums, steps, size, neurons, each_beta, each_threshold,
        has_initial, has_grad_spikes, has_grad_membranes, needs_initial, needs_beta,
        needs_threshold, reset, surrogate, first, second);
}
"""


def forward(current: Tensor, layer: LayerParams, spikes: Tensor, membrane: Tensor | None) -> None:
    """Write the spikes, and the membranes unless None: see `spikemnist.fused.scan.Kernels`."""
    size = current[0].numel()
    beta, threshold, initial = _in_float(layer)
    _library(current.dtype).forward(
        current,
        beta,
        threshold,
        _or(initial, beta),
        spikes,
        _or(membrane, beta),
        len(current),
        current.stride(0),
        size,
        current.shape[-1],
        beta.dim(),
        threshold.dim(),
        initial is not None,
        membrane is not None,
        RESET_MECHANISMS.index(layer.reset_mechanism),
        threads=size,
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
    beta, threshold, initial = _in_float(layer)
    name, first, second = surrogate_constants(layer.spike_grad)
    _library(gradients.current.dtype).backward(
        _or(grad_spikes, gradients.current),
        _or(grad_membrane, membrane),
        membrane,
        beta,
        threshold,
        _or(initial, beta),
        gradients.current,
        _or(gradients.initial, membrane),
        _or(gradients.beta, membrane),
        _or(gradients.threshold, membrane),
        len(membrane),
        size,
        membrane.shape[-1],
        beta.dim(),
        threshold.dim(),
        initial is not None,
        grad_spikes is not None,
        grad_membrane is not None,
        gradients.initial is not None,
        gradients.beta is not None,
        gradients.threshold is not None,
        RESET_MECHANISMS.index(layer.reset_mechanism),
        list(SURROGATES).index(name),
        first,
        second,
        threads=size,
    )


def source(number: str) -> str:
    """Return the source of both kernels for one type of currents and spikes."""
    scan = resources.files("spikemnist.fused").joinpath("scan.metal").read_text(encoding="utf-8")
    return HEAD.format(number=number) + scan + KERNELS


@functools.cache
def _library(dtype: torch.dtype) -> Any:
    return torch.mps.compile_shader(source(NUMBERS[dtype]))


def _in_float(layer: LayerParams) -> tuple[Tensor, Tensor, Tensor | None]:
    initial = layer.initial
    return (
        layer.beta.float(),
        layer.threshold.float(),
        None if initial is None else initial.float(),
    )


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """Return a tensor, or in place of None another one, whose pointer the kernel does not use."""
    return other if tensor is None else tensor
