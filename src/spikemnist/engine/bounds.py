"""Validate shapes, dtypes and devices; compiled kernels do not check bounds.

Every entry point of the engine and every backward pass begins with one of these functions.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from spikemnist._tensors import check_tensor
from spikemnist.engine.slopes import slope_of
from spikemnist.ops.dynamics import check_reset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist.ops.layer import LayerParams

    Shape = tuple[int, ...]


class Form(NamedTuple):
    """Shape, dtype and device of a tensor."""

    shape: Shape
    dtype: torch.dtype
    device: torch.device


def check_layers(spikes: Tensor, layers: Sequence[LayerParams]) -> None:
    """Raise an error unless layers fit their input ``[T, B, F]`` and each other."""
    check_spikes(spikes)
    if not layers:
        raise ValueError("expected at least one layer; got none")
    for layer in layers:
        check_reset(layer.reset_mechanism)
        slope_of(layer.spike_grad)
        if not 0 <= layer.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1); got {layer.dropout}")
    if layers[0].dropout and (layers[0].weight is None or spikes.is_floating_point()):
        raise ValueError(
            "dropout in the first layer needs weights, and input spikes of an integer dtype or "
            f"bool; got dropout {layers[0].dropout} and {spikes.dtype}"
        )
    check_stack(spikes.shape[1], spikes.shape[2], layers)


def check_dtype(dtype: torch.dtype) -> None:
    """Raise an error unless the kernels support this dtype."""
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"weights and beta must be float32 or float64; got {dtype}")


def check_spikes(spikes: Tensor) -> None:
    """Raise an error unless spikes are ``[T, B, F]`` on the CPU."""
    check_tensor(spikes, "spikes", "[T, B, F]")
    if spikes.dim() != 3 or not len(spikes) or not spikes.shape[2]:
        raise ValueError(
            "spikes must be [T, B, F] with at least one timestep and one feature; "
            f"got {tuple(spikes.shape)}"
        )
    _check_memory("spikes", spikes)


def check_stack(batch: int, features: int, layers: Sequence[LayerParams]) -> None:
    """Raise an error unless layers fit an input of this many features, and each other."""
    dtype = layers[0].beta.dtype
    check_dtype(dtype)
    for layer in layers:
        weight = layer.weight
        if weight is not None:
            if weight.dim() != 2 or weight.shape[1] != features or not len(weight):
                raise ValueError(
                    f"weight must be [N, {features}] with N >= 1, for the {features} features of "
                    f"the layer's input; got {tuple(weight.shape)}"
                )
            _check("weight", weight, dtype, like="beta")
            features = len(weight)
        one_or_each = ((), (1,), (features,))
        _check("bias", layer.bias, dtype, (features,), like="beta")
        _check("beta", layer.beta, dtype, *one_or_each, like="beta")
        _check("threshold", layer.threshold, dtype, *one_or_each, like="beta")
        _check("initial", layer.initial, dtype, (batch, features), like="beta")


def check_convolution(
    spikes: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    """Raise an error unless a kernel ``[O, C, K, L]`` fits images ``[N, C, H, W]``."""
    if spikes.dim() != 4 or not spikes.shape[1:].numel():
        raise ValueError(
            f"spikes must be [N, C, H, W] with at least one pixel; got {tuple(spikes.shape)}"
        )
    _check_memory("spikes", spikes)
    channels, *size = spikes.shape[1:]
    if weight.dim() != 4 or weight.shape[1] != channels or not weight.numel():
        raise ValueError(
            f"weight must be [O, {channels}, K, L], for the {channels} channels of the images; "
            f"got {tuple(weight.shape)}"
        )
    check_dtype(weight.dtype)
    _check("weight", weight, weight.dtype)
    _check("bias", bias, weight.dtype, (len(weight),), like="weight")
    if min(stride) < 1 or min(padding) < 0:
        raise ValueError(
            f"stride must be at least 1 and padding at least 0; got {stride} and {padding}"
        )
    reach = weight.shape[2:]
    if any(n + 2 * p < k for n, p, k in zip(size, padding, reach, strict=True)):
        raise ValueError(
            f"a kernel of {tuple(reach)} must fit images of {tuple(size)} with padding {padding}"
        )


def forms_of(tensors: Sequence[Tensor | None]) -> list[Form | None]:
    """Return the forms of the tensors that a backward pass will read."""
    return [None if x is None else Form(tuple(x.shape), x.dtype, x.device) for x in tensors]


def check_unchanged(before: Sequence[Form | None], tensors: Sequence[Tensor | None]) -> None:
    """Raise an error unless saved tensors have the forms of the forward pass.

    Assigning to a parameter's ``data`` changes its shape unnoticed by autograd, and hooks on saved
    tensors may return anything.
    """
    now = forms_of(tensors)
    if now != before:
        was, found = next(pair for pair in zip(before, now, strict=True) if pair[0] != pair[1])
        raise ValueError(
            f"a tensor has changed between the forward and the backward pass: expected {was}; "
            f"got {found}. Run the forward pass again"
        )


def _check(
    name: str, tensor: Tensor | None, dtype: torch.dtype, *shapes: Shape, like: str = ""
) -> None:
    if tensor is None:
        return
    if tensor.dtype != dtype:
        of = f"of {like}, " if like else ""
        raise TypeError(f"{name} must have the dtype {of}{dtype}; got {tensor.dtype}")
    if shapes and tuple(tensor.shape) not in shapes:
        expected = " or ".join(map(str, shapes))
        raise ValueError(f"{name} must have the shape {expected}; got {tuple(tensor.shape)}")
    _check_memory(name, tensor)


def _check_memory(name: str, tensor: Tensor) -> None:
    if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
        raise ValueError(
            f"{name} must be a dense tensor on the CPU; got {tensor.layout} on {tensor.device}"
        )
