"""One sample of a batch, checked and on the CPU: the source of the data of every picture.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``H`` and ``W`` of an image.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from spikemnist.models.record import Record

    Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LayerSample:
    """Activity of one layer for one sample: ``spikes`` and ``membrane`` ``[T, N]``.

    ``membrane`` is None for the input and ``threshold`` ``[N]`` is None when it was not recorded.
    """

    name: str
    spikes: Array
    membrane: Array | None
    threshold: Array | None


def to_numpy(tensor: Tensor) -> Array:
    """Return a float32 array, from any device and dtype, with or without a gradient."""
    array: Array = tensor.detach().cpu().float().numpy()
    return array


def require_record(value: Record | Tensor) -> Record:
    """Return a Record, or raise a `TypeError` for a tensor."""
    if isinstance(value, Tensor):
        shape = tuple(value.shape)
        raise TypeError(f"expected a Record, got a Tensor of shape {shape}; call model(spikes)")
    return value


def one_sample(values: Tensor, sample: int, what: str = "spikes") -> Tensor:
    """Return one sample ``[T, ...]`` of ``[T, B, ...]``; ``[T, N]`` is already one sample."""
    if values.dim() < 2:
        raise ValueError(f"{what} must be [T, B, ...] or [T, N], got shape {tuple(values.shape)}")
    if 0 in values.shape:
        raise ValueError(f"{what} must not be empty, got shape {tuple(values.shape)}")
    batch = values.shape[1] if values.dim() > 2 else 1
    sample = operator.index(sample)
    if not 0 <= sample < batch:
        raise IndexError(f"sample must be from 0 to {batch - 1}, got {sample}")
    return values if values.dim() == 2 else values[:, sample]


def which(values: Tensor, sample: int) -> str:
    """Return ``", sample 3"`` for a title, or an empty string for a batch of one sample."""
    return f", sample {sample}" if values.dim() > 2 and values.shape[1] > 1 else ""


def input_sample(source: Tensor | Record, sample: int) -> Tensor:
    """Return the input spikes ``[T, ...]`` of one sample, from a Record or a spike tensor."""
    if isinstance(source, Tensor):
        return one_sample(source, sample)
    if source.input is None:
        raise ValueError(
            "this Record holds no input spikes; call model(spikes, record='all'), "
            "or pass the spikes themselves"
        )
    return one_sample(source.input, sample, "the record's input")


def frames(values: Tensor, image_shape: tuple[int, int] | None) -> Tensor:
    """Return one sample ``[T, ...]`` as pictures ``[T, H, W]``.

    A flat sample becomes a square picture, unless ``image_shape`` is given.
    """
    shape = list(values.shape[1:])
    while len(shape) > 2 and shape[0] == 1:
        shape.pop(0)
    if image_shape is None:
        image_shape = _guess_image_shape(shape)
    height, width = (operator.index(side) for side in image_shape)
    if height * width != math.prod(shape):
        raise ValueError(
            f"image_shape={(height, width)} holds {height * width} pixels, but each timestep of "
            f"the input has shape {tuple(shape)}, {math.prod(shape)} values"
        )
    return values.reshape(len(values), height, width)


def layer_sample(record: Record, layer: int | str | None, sample: int) -> LayerSample:
    """Return one layer of a Record for one sample; ``None`` means the output layer."""
    if layer == "input":
        spikes = input_sample(record, sample)
        return LayerSample("input", to_numpy(spikes.flatten(1)), None, None)
    found = _find_layer(record, layer)
    name, threshold = "output", None
    spikes, membrane = record.spikes, record.membrane
    if found is not None:
        chosen = record.layers[found]
        name, spikes, membrane = chosen.name, chosen.spikes, chosen.membrane
        threshold = to_numpy(chosen.threshold.expand(spikes.shape[2:]).flatten())
    return LayerSample(
        name,
        to_numpy(one_sample(spikes, sample, f"spikes of {name}").flatten(1)),
        to_numpy(one_sample(membrane, sample, f"membrane of {name}").flatten(1)),
        threshold,
    )


def class_label(label: int | Tensor | None, classes: int) -> int | None:
    """Return the true label as an int, checked against the number of classes."""
    if label is None:
        return None
    if isinstance(label, Tensor) and label.numel() != 1:
        raise ValueError(
            f"label is the true class of the one sample shown, got a tensor of shape "
            f"{tuple(label.shape)}; pass labels[sample]"
        )
    value = int(label)
    if not 0 <= value < classes:
        raise ValueError(f"label must be from 0 to {classes - 1}, got {value}")
    return value


def chosen_neurons(neurons: Any, available: int) -> list[int]:
    """Return the given neuron indices, each checked."""
    chosen = [operator.index(i) for i in neurons]
    if not chosen:
        raise ValueError("neurons must name at least one neuron, got none")
    wrong = [i for i in chosen if not 0 <= i < available]
    if wrong:
        raise IndexError(f"neurons must be from 0 to {available - 1}, got {wrong[0]}")
    return chosen


def _guess_image_shape(shape: list[int]) -> tuple[int, int]:
    if len(shape) == 2:
        return shape[0], shape[1]
    side = math.isqrt(math.prod(shape))
    if len(shape) == 1 and side * side == shape[0]:
        return side, side
    if len(shape) == 1:
        raise ValueError(
            f"a flat input of {shape[0]} values is not a square picture; pass "
            "image_shape=(height, width), and spikes as [T, B, ...]"
        )
    raise ValueError(
        f"each timestep of the input has shape {tuple(shape)}, which is not a single picture; "
        "pick one channel, or pass image_shape=(height, width) to lay all values out"
    )


def _find_layer(record: Record, layer: int | str | None) -> int | None:
    """Return the index into ``record.layers``, or None if only the output was recorded."""
    names = [each.name for each in record.layers]
    if not names:
        if layer in (None, -1, "output"):
            return None
        raise ValueError(
            f"layer {layer!r} was not recorded, only the output layer was; "
            "call model(spikes, record='all')"
        )
    if layer is None:
        return len(names) - 1
    if isinstance(layer, str):
        if layer in names:
            return names.index(layer)
    elif -len(names) <= operator.index(layer) < len(names):
        return operator.index(layer) % len(names)
    known = ", ".join(
        repr(name) for name in (["input"] if record.input is not None else []) + names
    )
    raise ValueError(
        f"unknown layer {layer!r}; this Record holds {known}, or an index from "
        f"{-len(names)} to {len(names) - 1}"
    )
