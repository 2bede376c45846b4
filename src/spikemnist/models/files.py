"""Model files: safetensors with JSON metadata and a digest. Loading runs no code.

The metadata names the class, its configuration, the encoder used in training and the version of
the package that wrote the file.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from spikemnist import _tensor_files, ops
from spikemnist._tensor_files import Format, check_tensors, described
from spikemnist.models.leaky_conv_net import LeakyConvNet, parse_layers
from spikemnist.models.leaky_mlp import LeakyMLP

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
_TYPES: dict[str, type] = {
    **dict.fromkeys(("in_features", "out_features"), int),
    **dict.fromkeys(("hidden", "in_shape", "beta", "threshold"), list),
    **dict.fromkeys(("layers", "reset_mechanism", "readout", "backend"), str),
    **dict.fromkeys(("batch_norm", "learn_beta", "learn_threshold"), bool),
    **dict.fromkeys(("dropout", "input_dropout"), float),
    "spike_grad": dict,
}
"""Types of the entries of a configuration."""


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
        kind, config = _CLASSES[metadata["class"]], metadata["config"]
        _check_types(config)
        _check_sizes(tensors, config)
        model = kind(**_from_json(config))
        _check_fit(tensors, model)
        for name, tensor in model.state_dict(keep_vars=True).items():
            tensor.data = tensor.data.to(tensors[name].dtype)
        model.load_state_dict(tensors)
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


def _check_types(config: Mapping[str, Any]) -> None:
    for name, value in config.items():
        wanted = _TYPES.get(name, object)
        if not isinstance(value, wanted) and not (wanted is float and isinstance(value, int)):
            found = type(value).__name__
            raise ValueError(f"{name} must be of the type {wanted.__name__}; got {found}")


def _check_sizes(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Raise unless the weights have the configured shapes.

    This runs before the model is built: a damaged configuration could ask for any amount of memory.
    """
    if "layers" in config:
        with torch.device("meta"):
            layers = parse_layers(
                config["layers"], config["in_shape"], batch_norm=config["batch_norm"]
            )
        modules = [module for modules, _ in layers for module in modules]
        wanted = [tuple(p.shape) for module in modules for p in module.parameters() if p.dim() > 1]
    else:
        sizes = [config["in_features"], *config["hidden"], config["out_features"]]
        wanted = list(zip(sizes[1:], sizes[:-1], strict=True))
    # Weights have 2 or 4 dimensions; decays and thresholds have 0, 1 or 3.
    found = [tuple(x.shape) for x in tensors.values() if x.dim() in (2, 4)]
    if sorted(found, key=str) != sorted(wanted, key=str):
        raise ValueError(f"weights have the shapes {found}; expected {wanted}")


def _check_fit(tensors: Mapping[str, Tensor], model: Model) -> None:
    """Raise unless the tensors fit the model. Each layer may have any floating dtype."""
    expected = {
        name: tensor.to(tensors[name].dtype)
        if name in tensors and tensor.is_floating_point() and tensors[name].is_floating_point()
        else tensor
        for name, tensor in model.state_dict().items()
    }
    check_tensors(tensors, expected)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.BatchNorm1d | nn.BatchNorm2d):
            parts = [tensors[f"{name}.{part}"] for part in module.state_dict()]
            dtypes = {str(part.dtype) for part in parts if part.is_floating_point()}
            if len(dtypes) > 1:
                raise ValueError(f"the tensors of {name} are of several dtypes, {sorted(dtypes)}")


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


def _from_json(config: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(config["spike_grad"])
    rebuilt = {**config, "spike_grad": ops.SURROGATES[options.pop("name")](**options)}
    for name, start in (("beta", 0.5), ("threshold", 1.0)):
        if config[f"learn_{name}"]:
            # Learned values may lie outside the range of initial values. The tensors hold them,
            # so only the shape matters here.
            rebuilt[name] = [
                [start] * len(entry) if isinstance(entry, list) else start for entry in config[name]
            ]
    return rebuilt
