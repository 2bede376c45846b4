"""Validate shapes, dtypes and devices; compiled kernels do not check bounds.

Every way into the engine begins with one of these functions, and so does every backward pass.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from spikemnist._tensors import check_tensor
from spikemnist.engine.membranes import RESETS
from spikemnist.engine.slopes import KINDS
from spikemnist.kernels.events import words_of
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.tiles import tiles_of
from spikemnist.ops.dynamics import check_reset
from spikemnist.ops.layers import LARGEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist.engine.layers import Layer as Neurons
    from spikemnist.engine.signals import Signal
    from spikemnist.ops.layers import Layer

    Shape = tuple[int, ...]


class Form(NamedTuple):
    """Shape, dtype and device of a tensor."""

    shape: Shape
    dtype: torch.dtype
    device: torch.device


def check_layers(spikes: Tensor, layers: Sequence[Layer]) -> None:
    """Raise an error unless layers fit their input ``[T, B, F]`` and each other."""
    check_spikes(spikes)
    if not layers:
        raise ValueError("expected at least one layer; got none")
    for layer in layers:
        check_reset(layer.reset_mechanism)
        if not 0 <= layer.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1); got {layer.dropout}")
    check_stack(spikes.shape[1], spikes.shape[2], layers)


def check_dtype(dtype: torch.dtype) -> None:
    """Raise an error unless kernels compute in this dtype."""
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


def check_stack(batch: int, features: int, layers: Sequence[Layer] | Sequence[Neurons]) -> None:
    """Raise an error unless layers fit an input of that many features, and each other."""
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


def check_masks(spikes: Tensor, layers: Sequence[Neurons], masks: Sequence[Tensor]) -> None:
    """Raise an error unless the masks of dropout, of which some have no element, fit layers."""
    *shape, size = spikes.shape
    for layer, mask in zip(layers, masks, strict=True):
        size = size if layer.weight is None else len(layer.weight)
        if mask.numel():
            _check("mask", mask, torch.uint8, (*shape, size))


def check_codes(resets: Sequence[int], slopes: Sequence[float]) -> None:
    """Raise an error for codes that no reset mechanism and no surrogate has."""
    kinds = slopes[::3]
    if len(slopes) != 3 * len(resets) or not resets:
        raise ValueError(f"expected three numbers of a slope for each of {len(resets)} layers")
    if not all(reset in RESETS.values() for reset in resets):
        raise ValueError(f"resets must be among {sorted(RESETS.values())}; got {list(resets)}")
    if not all(kind in KINDS.values() for kind in kinds):
        raise ValueError(f"slopes must be among {sorted(KINDS.values())}; got {list(kinds)}")


def check_pooled(current: Tensor, layer: Layer, num_steps: int, size: int) -> None:
    """Raise an error unless neurons fit the pooled current ``[T or 1, B, C, H, W]``."""
    if current.dim() != 5 or len(current) not in (1, num_steps) or num_steps < 1:
        raise ValueError(
            f"current must be [T, B, C, H, W] with {num_steps} timesteps, or one for all of them; "
            f"got {tuple(current.shape)}"
        )
    if not 1 <= size <= LARGEST_WINDOW or layer.weight is not None:
        raise ValueError(
            f"size must lie in 1..{LARGEST_WINDOW}, and the layer have no weights; got {size}"
        )
    _, batch, channels, height, width = current.shape
    count = channels * (height // size) * (width // size)
    check_stack(batch, count, [layer])
    _check("current", current, layer.beta.dtype, like="beta")


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
    """Return the forms of tensors that a backward pass will read."""
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


def check_words(shape: Sequence[int], layers: Sequence[Neurons], words: Sequence[Tensor]) -> None:
    """Raise an error unless words hold spikes of an input of that shape, and of all but one layer.

    A bit behind the last feature would be an event of a neuron that there is not.
    """
    steps, batch, features = shape
    for layer, bits in zip(layers, words, strict=True):
        _check("words", bits, torch.int64, (batch, steps, words_of(features)))
        if features % WIDTH and bool((bits[..., -1] >> features % WIDTH).any()):
            raise ValueError(f"words have spikes behind the last of {features} features")
        features = features if layer.weight is None else len(layer.weight)


def check_backward(
    shape: Sequence[int],
    stack: Sequence[Neurons],
    received: Sequence[Signal],
    tiles: Sequence[Tensor],
    loss: Sequence[Sequence[Tensor | None]],
) -> None:
    """Raise an error unless all that a backward pass reads fits an input of that shape."""
    steps, batch, features = shape
    check_stack(batch, features, stack)
    dtype = stack[0].beta.dtype
    for layer, signal, membrane, of_loss in zip(stack, received, tiles, loss, strict=True):
        words = (batch, steps, words_of(features))
        _check("words", signal.words, torch.int64, words)
        _check("spikes", signal.dense, dtype, (steps, batch, features), (1, batch, features))
        size = features if layer.weight is None else len(layer.weight)
        _check("tiles", membrane, dtype, (batch, tiles_of(size), steps, WIDTH))
        _check("kept", layer.kept, torch.int64, (batch, steps, tiles_of(size)))
        shapes = [(steps, batch, size), (steps, batch, size), (batch, size)]
        for gradient, expected in zip(of_loss, shapes, strict=True):
            _check("loss", gradient, dtype, expected)
        features = size


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
