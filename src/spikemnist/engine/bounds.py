"""Validate shapes and dtypes; compiled kernels do not check bounds.

Every entry point of the engine begins with one of these functions.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist._arguments import must_be
from spikemnist.ops.layer import LayerParams

NUMPY: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
"""NumPy's name of each dtype in which kernels compute."""


def check_layers(spikes: Tensor, layers: Sequence[LayerParams]) -> None:
    """Raise an error unless layers fit their input ``[T, B, F]`` and each other."""
    if spikes.dim() != 3 or not spikes.shape[0] or not spikes.shape[2]:
        raise must_be("spikes", "[T, B, F] with at least one timestep and one feature", spikes)
    dtype = layers[0].beta.dtype
    check_dtype(dtype)
    batch, size = spikes.shape[1:]
    for layer in layers:
        features, size = size, size if layer.weight is None else layer.weight.shape[0]
        _check("weight", layer.weight, dtype, (size, features))
        _check("bias", layer.bias, dtype, (size,))
        _check("beta", layer.beta, dtype, (), (1,), (size,))
        _check("threshold", layer.threshold, dtype, (), (1,), (size,))
        _check("initial", layer.initial, dtype, (batch, size))


def check_dtype(dtype: torch.dtype) -> None:
    """Raise an error unless the kernels support this dtype."""
    if dtype not in NUMPY:
        raise TypeError(f"weights and beta must be float32 or float64; got {dtype}")


def check_convolution(
    spikes: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    """Raise an error unless a kernel ``[O, C, K, L]`` fits images ``[N, C, H, W]``."""
    check_dtype(weight.dtype)
    _check("bias", bias, weight.dtype, (len(weight),))
    sizes = zip(spikes.shape[2:], padding, weight.shape[2:], strict=False)
    fits = spikes.dim() == weight.dim() == 4 and spikes.shape[1] == weight.shape[1]
    fits = fits and all(side + 2 * pad >= reach for side, pad, reach in sizes)
    if not fits or not weight.numel() or min(stride) < 1 or min(padding) < 0:
        raise ValueError(
            f"a kernel {tuple(weight.shape)} with stride {stride} and padding {padding} does not "
            f"fit images {tuple(spikes.shape)}"
        )


def _check(name: str, tensor: Tensor | None, dtype: torch.dtype, *shapes: tuple[int, ...]) -> None:
    if tensor is None:
        return
    if tensor.dtype != dtype:
        raise TypeError(f"{name} must have the dtype {dtype}; got {tensor.dtype}")
    if tensor.shape not in shapes:
        raise must_be(name, f"of shape {' or '.join(map(str, shapes))}", tensor)
