"""Validate the arguments of a model, and expand beta and threshold to one tensor for each layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from spikemnist.ops.dynamics import check_reset

PerLayer = float | Tensor | Sequence[float | Sequence[float] | Tensor]
"""One number for all layers, or an entry for each: a number, or one number for each neuron."""


def check_choices(reset_mechanism: str, dropout: float, input_dropout: float) -> None:
    """Raise a `ValueError` unless the reset mechanism and both probabilities are valid."""
    check_reset(reset_mechanism)
    for name, probability in (("dropout", dropout), ("input_dropout", input_dropout)):
        if not 0 <= probability < 1:
            raise ValueError(f"{name} must lie in [0, 1); got {probability}")


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
        raise ValueError(
            f"{name} must be a number or have one entry for each of the {len(widths)} layers; "
            f"got {len(entries)} entries"
        )
    tensors = [_tensor(entry) for entry in entries]
    for tensor, width in zip(tensors, widths, strict=True):
        if tensor.dim() and tensor.shape != (width,):
            raise ValueError(
                f"{name} of a layer of {width} neurons must be a number or have shape ({width},); "
                f"got shape {tuple(tensor.shape)}"
            )
        if not tensor.is_meta and not bool(valid(tensor).all()):
            raise ValueError(f"{name} must lie in {interval}; got {tensor.tolist()}")
    return tensors


def _tensor(entry: object) -> Tensor:
    # A copy: the neurons must not share memory with the caller's tensor.
    values = entry.tolist() if isinstance(entry, torch.Tensor) else entry
    return torch.tensor(values, dtype=torch.get_default_dtype())
