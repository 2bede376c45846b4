"""The notation of convolutional networks, such as ``12C5-P2-64C5-P2-10``, as torch's modules."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from torch import nn

from spikemnist.models.network_options import NetworkOptions

Stages = list[dict[str, nn.Module]]

_TOKEN = re.compile(
    r"(?P<channels>[1-9]\d*)C(?P<kernel>[1-9]\d*)(?:s(?P<stride>[1-9]\d*))?(?:p(?P<padding>\d+))?"
    r"|(?P<pooling>A?P)(?P<size>[1-9]\d*)"
    r"|(?P<neurons>[1-9]\d*)"
)


def stages_of(layers: str, in_shape: Sequence[int], options: NetworkOptions) -> Stages:
    """Return the modules before the neurons of each layer of a network, by their names.

    Raises
    ------
    ValueError
        If the notation is wrong, or leaves no pixel of ``in_shape``, ``(C, H, W)``.
    """
    stages, shape = Stages(), tuple(in_shape)
    tokens = layers.split("-")
    if tokens[-1].isdecimal():  # of the classes
        tokens[-1] = str(int(tokens[-1]) * options.population)
    for token in tokens:
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise ValueError(
                f"{token!r} in layers={layers!r} is none of 12C5 (a convolution), P2 and AP2 "
                "(pooling) and 10 (a dense layer)"
            )
        out_shape = _out_shape(shape, match, layers)
        if match["pooling"] and not stages:
            raise ValueError(f"layers={layers!r} must begin with weights, not with pooling")
        _add(stages, shape, match, batch_norm=options.batch_norm)
        shape = out_shape
    if len(shape) != 1:
        raise ValueError(f"layers={layers!r} must end in a dense layer, the number of classes")
    return stages


def _add(stages: Stages, shape: Sequence[int], match: re.Match[str], *, batch_norm: bool) -> None:
    """Add one layer or pooling of the notation, for an input of this shape, to ``stages``."""
    if match["pooling"]:
        pooling = nn.AvgPool2d if match["pooling"] == "AP" else nn.MaxPool2d
        stage = stages[-1]
        stage[f"pool{len(stage)}" if "pool" in stage else "pool"] = pooling(int(match["size"]))
    elif match["channels"]:
        channels = int(match["channels"])
        stride, padding = int(match["stride"] or 1), int(match["padding"] or 0)
        convolution = nn.Conv2d(shape[0], channels, int(match["kernel"]), stride, padding)
        stages.append({"conv": convolution})
        if batch_norm:
            stages[-1]["norm"] = nn.BatchNorm2d(channels)
    else:
        stages.append({"flatten": nn.Flatten()} if len(shape) > 1 else {})
        stages[-1]["linear"] = nn.Linear(math.prod(shape), int(match["neurons"]))


def _out_shape(shape: tuple[int, ...], match: re.Match[str], layers: str) -> tuple[int, ...]:
    if match["neurons"]:
        return (int(match["neurons"]),)
    kernel = int(match["kernel"] or match["size"])
    stride = int(match["size"] or match["stride"] or 1)
    padding = int(match["padding"] or 0)
    channels, *pixels = shape
    if not pixels:
        raise ValueError(f"{match[0]!r} in layers={layers!r} comes after a dense layer")
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in pixels)
    if min(height, width) < 1:
        raise ValueError(
            f"{match[0]!r} in layers={layers!r} leaves no pixel of {pixels[0]} x {pixels[1]}: "
            "use smaller kernels, padding (as in 12C5p2) or less pooling"
        )
    return (int(match["channels"] or channels), height, width)
