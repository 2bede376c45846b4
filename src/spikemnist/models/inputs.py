"""Validate the spikes that enter a network. Errors suggest the likely remedy.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from spikemnist._tensors import check_tensor
from spikemnist.ops.dynamics import is_constant


def check_spikes(spikes: Tensor, sample: Sequence[int]) -> None:
    """Raise unless spikes have the shape ``[T, B, ...]`` with samples of the expected size.

    Parameters
    ----------
    spikes : torch.Tensor
        Input of a network.
    sample : sequence of int
        Shape of a sample at one timestep, ``(F,)`` or ``(C, H, W)``.

    Raises
    ------
    TypeError
        If ``spikes`` is not a tensor.
    ValueError
        If the shape does not fit.
    """
    check_tensor(spikes, "spikes", "[T, B, ...]")
    size, shape = math.prod(sample), tuple(spikes.shape[2:])
    flat, one_channel = len(sample) == 1, len(sample) == 3 and sample[0] == 1
    fits = shape == tuple(sample) or (one_channel and shape == tuple(sample[1:]))
    if spikes.dim() >= 3 and len(spikes) and (fits or (flat and math.prod(shape) == size)):
        return
    what = (
        f"{size} values (in_features)" if len(sample) == 1 else f"{tuple(sample)} values (in_shape)"
    )
    raise ValueError(
        f"expected spikes [T, B, ...] with T >= 1 and {what} for each sample; "
        f"got shape {tuple(spikes.shape)}{_hint(spikes, sample, size)}"
    )


def on_device_of(weight: Tensor, signal: Tensor) -> Tensor:
    """Move an input ``[T, ...]`` to the device of the weights, where `fit` leaves a model."""
    if signal.device == weight.device:
        return signal
    # Floating inputs take the dtype of the weights, as MPS has no float64.
    dtype = weight.dtype if signal.is_floating_point() else signal.dtype
    if is_constant(signal) and not signal.requires_grad:
        return signal[:1].to(weight.device, dtype).expand_as(signal)
    return signal.to(weight.device, dtype)


def _hint(spikes: Tensor, sample: Sequence[int], size: int) -> str:
    """Return a hint at the likely mistake behind a wrong shape, or an empty string."""
    if len(sample) == 3 and len(spikes) and spikes.shape[2:].numel() == size:
        channels, height, width = sample
        if tuple(spikes.shape[2:]) == (height, width, channels):
            return (
                ". The channels come last: write spikes.permute(0, 1, 4, 2, 3), or "
                "images.permute(0, 3, 1, 2) before encoding"
            )
        return f". Write spikes.reshape({', '.join(map(str, (*spikes.shape[:2], *sample)))})"
    if spikes.dim() >= 2 and spikes.shape[1:].numel() == size:
        return (
            ". Encode images first, as in Classifier(network, encoder)(images); a single image "
            "needs a batch axis, as in image[None]. All timesteps go in one call, without a loop"
        )
    if spikes.dim() > 3 and len(spikes) == spikes.shape[1] and spikes.shape[3:].numel() == size:
        return ". Were they spikes before they were encoded? Then call classifier.network(spikes)"
    shape = tuple(spikes.shape[2:]) if spikes.dim() == 5 else (1, *spikes.shape[2:])
    if spikes.dim() < (3 if len(sample) == 1 else 4) or not spikes.numel():
        return ""
    option = f"in_features={math.prod(shape)}" if len(sample) == 1 else f"in_shape={shape}"
    return f". A network for such samples has {option}"
