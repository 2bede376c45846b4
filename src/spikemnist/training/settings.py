"""What a run was asked to do, as plain values that a checkpoint can hold and compare."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import torch

from spikemnist.data import ImageDataset
from spikemnist.training.feed import as_dataset


def describe_run(
    *, model: object, train: Any, validation: Any, **settings: object
) -> dict[str, Any]:
    """Return the settings of a run as numbers, strings and ``None``.

    Two runs with equal descriptions compute the same thing. Data are told apart by their
    content, as far as they are tensors.

    Parameters
    ----------
    model
        Described by its ``config``, or else by what it prints as.
    train, validation
        As `fit` takes them.
    **settings
        Everything else.
    """
    return {
        "model": _describe_model(model),
        "train": _describe_data(train),
        "validation": _describe_data(validation),
        **{name: _describe(value) for name, value in settings.items()},
    }


def _describe_model(model: object) -> str:
    config = getattr(model, "config", None)
    if not isinstance(config, dict):
        return f"{type(model).__name__}: {model}"
    plain = {name: v if isinstance(v, list) else _describe(v) for name, v in config.items()}
    for name in ("beta", "threshold"):
        if config.get(f"learn_{name}"):
            plain[name] = "learned"  # part of the weights, so it changes during the run
    return f"{type(model).__name__}: {plain}"


def _describe(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if dataclasses.is_dataclass(value):
        return repr(value)
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _describe_data(data: Any) -> object:
    if data is None or isinstance(data, float):
        return data
    data = as_dataset(data)
    if not isinstance(data, ImageDataset):
        return _describe(data)
    digest = hashlib.sha256()
    for tensor in (data.images, data.labels):
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return f"{tuple(data.images.shape)} {data.images.dtype} sha256:{digest.hexdigest()[:16]}"
