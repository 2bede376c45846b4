"""Model files: safetensors with JSON metadata and a digest. Loading runs no code.

The metadata names the class, its configuration, the encoder used in training and the version of
the package that wrote the file.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch

from spikemnist import _tensor_files, ops
from spikemnist._tensor_files import Format, described
from spikemnist.models.builders import LeakyConvNet, LeakyMLP

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

FORMAT = Format(
    "spikemnist-model-1", "model", "Restore it from a good copy, or train the model again"
)
Model = LeakyMLP | LeakyConvNet
_CLASSES: dict[str, type[Model]] = {"LeakyMLP": LeakyMLP, "LeakyConvNet": LeakyConvNet}


def save_model(
    model: Model,
    path: str | os.PathLike[str],
    *,
    encoder: Mapping[str, object] | None = None,
) -> Path:
    """Write a model to a safetensors file, atomically.

    Parameters
    ----------
    model : LeakyMLP or LeakyConvNet
        Model to save.
    path : str or os.PathLike
        File to write, usually ``*.safetensors``. A missing folder is created.
    encoder : mapping, default None
        Encoder that the model was trained with, as `spikemnist.encoding.describe_encoder` returns
        it. It tells a reader of the file how to feed the model.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    TypeError
        If the model is of another class.
    ValueError
        If the surrogate gradient is a custom function, because code cannot be stored, or if a
        parameter holds NaN or infinity.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_model(LeakyMLP(hidden=(20,)), f"{folder}/runs/model.safetensors")
    ...     file.name, load_model(file).sizes
    ('model.safetensors', {'hidden 1': 20, 'output': 10})
    """
    name = type(model).__name__
    if _CLASSES.get(name) is not type(model):
        raise TypeError(
            f"save_model needs one of {', '.join(_CLASSES)}; got {name}. Save the state_dict() of "
            "another network with torch.save"
        )
    metadata = {
        "class": name,
        "config": _to_json(model.config),
        "encoder": None if encoder is None else dict(encoder),
    }
    return _tensor_files.write(path, FORMAT, model.state_dict(), metadata)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Load a model that `save_model` wrote, on the CPU.

    Parameters
    ----------
    path : str or os.PathLike
        File to read.

    Returns
    -------
    LeakyMLP or LeakyConvNet

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a spikemnist model, holds NaN or infinity, or its tensors do
        not fit its configuration. The message names the problem.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist.models import LeakyConvNet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_model(LeakyConvNet("4C5-P2-10"), f"{folder}/model.safetensors")
    ...     load_model(file).sizes
    {'hidden 1': 576, 'output': 10}
    """
    tensors, metadata = _read(path)
    with described(path, FORMAT):
        config = dict(metadata["config"])
        spike_grad = dict(config.pop("spike_grad"))
        config["spike_grad"] = ops.SURROGATES[spike_grad.pop("name")](**spike_grad)
        # On meta, a damaged configuration cannot ask for memory; each layer may have its dtype.
        with torch.device("meta"):
            model = _CLASSES[metadata["class"]](**config)
        model.load_state_dict(tensors, assign=True)
    return model


def model_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the metadata that `save_model` wrote with the weights.

    Parameters
    ----------
    path : str or os.PathLike
        File to read.

    Returns
    -------
    dict
        ``format``, ``version``, ``class``, ``config`` and ``encoder``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, is not a spikemnist model of a known format and class, or holds NaN
        or infinity.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist.encoding import LatencyEncoder, describe_encoder, get_encoder
    >>> encoder = describe_encoder(LatencyEncoder(num_steps=8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_model(LeakyMLP(hidden=(20,)), f"{folder}/m.safetensors", encoder=encoder)
    ...     get_encoder(**model_metadata(file)["encoder"]).num_steps
    8
    """
    return _read(path)[1]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = _tensor_files.read(path, FORMAT)
    with described(path, FORMAT):
        if str(metadata["class"]) not in _CLASSES:
            raise ValueError(
                f"it is of class {metadata['class']!r}, written by version {metadata['version']}; "
                f"this version reads {', '.join(_CLASSES)}"
            )
        if not isinstance(metadata["config"], dict):
            raise ValueError("config must be an object")
        encoder = metadata["encoder"]
        if encoder is not None and not (isinstance(encoder, dict) and "name" in encoder):
            raise ValueError("encoder must be null or an object with a name")
    return tensors, metadata


def _to_json(config: dict[str, object]) -> dict[str, object]:
    spike_grad = config["spike_grad"]
    ours = ops.SURROGATES.values()
    if not isinstance(spike_grad, ops.Surrogate) or type(spike_grad) not in ours:
        raise ValueError(
            "a custom surrogate gradient is code and cannot be stored; use one of "
            f"{', '.join(ops.SURROGATES)}, or save model.state_dict() and rebuild the model in "
            "code"
        )
    return {
        **config,
        "spike_grad": {"name": spike_grad.name, **dataclasses.asdict(spike_grad)},
    }
