"""One sample of a batch, checked and on the CPU: the source of the data of every picture.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``H`` and ``W`` of an image.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

from spikemnist._arguments import check_number, must_be, named
from spikemnist.models.record import Record

Array = npt.NDArray[np.float32]
Drawing = TypeVar("Drawing", bound="Callable[..., Any]")

SOURCES = {
    "Record": "a Record of classifier(images) or of network(spikes)",
    "Tensor": "a Tensor of classifier.encode(images)",
    "History": "a History of fit(...)",
    "Evaluation": "an Evaluation of evaluate(...)",
    "Energy": "an Energy of measure_energy(...)",
    "Mapping": "a dictionary by names",
}
"""What is drawn and where it is from, by the name of its class."""


def drawing(function: Drawing) -> Drawing:
    """Let a function check the kind of its first argument, by its annotation, and its options."""
    kinds = next(iter(function.__annotations__.values())).partition("[")[0].split(" | ")
    expected = ", or ".join(SOURCES[kind] for kind in kinds)
    called = named()(function)

    @functools.wraps(function)
    def draw(data: Any, *args: Any, **options: Any) -> Any:
        names = {kind.__name__ for kind in type(data).__mro__}
        if not names.intersection(kinds) and not ("Mapping" in kinds and isinstance(data, Mapping)):
            raise TypeError(f"{function.__name__} draws {expected}; got {type(data).__name__}")
        return called(data, *args, **options)

    return draw  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class LayerSample:
    """Activity of one layer for one sample: ``spikes`` and ``membrane`` ``[T, N]``.

    ``membrane`` is None for the input; ``threshold`` ``[N]`` and ``reset`` are None where they were
    not recorded.
    """

    name: str
    spikes: Array
    membrane: Array | None
    threshold: Array | None = None
    reset: str | None = None


def to_numpy(tensor: Tensor) -> Array:
    """Return a float32 array, from any device and dtype, with or without a gradient."""
    array: Array = tensor.detach().cpu().float().numpy()
    return array


def are_spikes(values: Array) -> bool:
    """Return whether all values are zeros and ones; others, as of a direct code, are a current."""
    return bool(np.isin(values, (0.0, 1.0)).all())


def one_sample(values: Tensor, sample: int) -> Tensor:
    """Return one sample ``[T, ...]`` of ``[T, B, ...]``; ``[T, N]`` is already one sample."""
    if values.dim() == 2:
        return values
    if not -values.shape[1] <= sample < values.shape[1]:
        expected = f"below {values.shape[1]}, the size of the batch"
        raise must_be("sample", expected, sample, IndexError)
    return values[:, sample]


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
    return one_sample(source.input, sample)


def frames(values: Tensor, image_shape: tuple[int, int] | None) -> Tensor:
    """Return one sample ``[T, ...]`` as pictures ``[T, H, W]``.

    A flat sample becomes a square picture, unless ``image_shape`` is given.
    """
    shape = list(values.shape[1:])
    while len(shape) > 2 and shape[0] == 1:
        shape.pop(0)
    side = math.isqrt(math.prod(shape))
    if shape == [side**2]:
        shape = [side, side]
    if image_shape is None and len(shape) != 2:
        raise ValueError(
            f"each timestep of the input has shape {tuple(shape)}, which is no picture; pass "
            "image_shape=(height, width), or spikes of one channel, [T, B, height, width]"
        )
    return values.reshape(len(values), *(image_shape or shape))


def layer_sample(record: Record, layer: int | str | None, sample: int) -> LayerSample:
    """Return one layer of a Record for one sample; ``None`` means the output layer."""

    def flat(values: Tensor) -> Array:
        return to_numpy(one_sample(values, sample).flatten(1))

    if layer == "input":
        return LayerSample("input", to_numpy(input_sample(record, sample).flatten(1)), None)
    if not record.layers and layer in (None, -1, "output"):
        return LayerSample("output", flat(record.spikes), flat(record.membrane))
    layer_record = record.layers[_find_layer(record, layer)]
    threshold = to_numpy(layer_record.threshold.expand(layer_record.spikes.shape[2:]).flatten())
    spikes, membrane = flat(layer_record.spikes), flat(layer_record.membrane)
    if not math.isfinite(threshold.max()):  # a last nn.Linear has none
        return LayerSample(layer_record.name, spikes, membrane)
    return LayerSample(layer_record.name, spikes, membrane, threshold, layer_record.reset)


def class_names(record: Record) -> tuple[str, ...]:
    """Return the names of the classes of a record: numbers, if they have no others."""
    return record.classes or tuple(map(str, range(record.scores.shape[1])))


def class_label(label: int | Tensor | None, classes: int) -> int | None:
    """Return the true label as an int, checked against the number of classes."""
    if label is None:
        return None
    return int(check_number("label", label, f"0..{classes - 1}"))


def _find_layer(record: Record, layer: int | str | None) -> int:
    """Return the index into ``record.layers``."""
    names = [layer_record.name for layer_record in record.layers]
    if not names:
        raise ValueError(
            f"layer {layer!r} was not recorded, only the output layer was; "
            "call model(spikes, record='all')"
        )
    if layer in names:
        return names.index(str(layer))
    index = -1 if layer is None else layer
    if isinstance(index, str) or not -len(names) <= index < len(names):
        options = ", ".join(repr(name) for name in ("input", *names))
        raise ValueError(
            f"unknown layer {layer!r}; this Record holds {options}, or an index from "
            f"{-len(names)} to {len(names) - 1}"
        )
    return index
