"""Validate the arguments of a model, and expand beta and threshold to one tensor for each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from spikemnist._arguments import check_number, must_be, plain_number

PerLayer = float | Tensor | Sequence[float | Sequence[float] | Tensor]
"""One number for all layers, or an entry for each: a number, or one number for each neuron."""


_RANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "beta": (lambda x: (x >= 0) & (x <= 1), "[0, 1]"),
    "threshold": (lambda x: (x > 0) & x.isfinite(), "(0, inf)"),
}


def per_layer(name: str, value: PerLayer, widths: Sequence[int]) -> list[Tensor]:
    """Return ``"beta"`` or ``"threshold"`` of each layer: a scalar, or one number for each neuron.

    Neurons of a convolution have one number for each channel.
    """
    valid, interval = _RANGES[name]
    single = isinstance(value, (int, float)) or getattr(value, "shape", None) == ()
    entries = [value] * len(widths) if single else list(value)  # type: ignore[arg-type]
    if len(entries) != len(widths):
        expected = f"a number, or one entry for each of the {len(widths)} layers"
        raise must_be(name, expected, value)
    for entry in (x for x in entries if isinstance(plain_number(x), int)):  # no bool
        check_number(name, entry, interval)
    tensors = [_tensor(entry) for entry in entries]
    for tensor, width in zip(tensors, widths, strict=True):
        if tensor.dim() and tensor.shape != (width,):
            expected = f"a number, or one for each of the {width} neurons of the layer"
            raise must_be(name, expected, tensor)
        if not tensor.is_meta and not bool(valid(tensor).all()):
            raise must_be(name, f"in {interval}", tensor.tolist())
    return tensors


def sizes_of(name: str, values: int | Sequence[int]) -> tuple[int, ...]:
    """Return sizes, or a single one, as a tuple of numbers of Python."""
    values = plain_number(values)
    several = values if isinstance(values, Iterable) and not isinstance(values, str) else (values,)
    return tuple(check_number(name, value, "1..") for value in several)


def _tensor(entry: object) -> Tensor:
    # A copy: the neurons must not share memory with the caller's tensor.
    values = entry.tolist() if isinstance(entry, torch.Tensor) else entry
    return torch.tensor(values, dtype=torch.get_default_dtype())
