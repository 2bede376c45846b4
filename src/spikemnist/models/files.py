"""Models on disk: safetensors with JSON metadata. Loading runs no code.

The metadata names the class, its configuration, the encoder that it was trained with and the
version that wrote the file.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch

from spikemnist import __version__, ops
from spikemnist._atomic import write_atomically
from spikemnist.models.leaky_conv_net import LeakyConvNet
from spikemnist.models.leaky_mlp import LeakyMLP

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


FORMAT = "spikemnist-model-1"
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
    model
        A `LeakyMLP` or a `LeakyConvNet`.
    path
        The file, usually ``*.safetensors``; its folder is made when it is missing.
    encoder
        The encoder that the model was trained with, as `spikemnist.encoding.describe_encoder`
        puts it, so that a reader knows how to feed the model.

    Returns
    -------
    pathlib.Path
        ``path``.

    Raises
    ------
    TypeError
        For a model of another class.
    ValueError
        For a surrogate gradient that is a function of one's own: code cannot be stored.

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
        raise TypeError(f"save_model takes one of {', '.join(_CLASSES)}; got {name}")
    metadata = {
        "format": FORMAT,
        "version": __version__,
        "class": name,
        "config": _to_json(model.config),
        "encoder": None if encoder is None else dict(encoder),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    text = {"spikemnist": json.dumps(metadata)}
    return write_atomically(path, lambda file: safetensors.torch.save_file(tensors, file, text))


def load_model(path: str | os.PathLike[str]) -> Model:
    """Rebuild the model that `save_model` wrote, on the CPU.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    LeakyMLP or LeakyConvNet

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When the file is damaged, is no spikemnist model, or its tensors do not fit its
        configuration; the message names what is wrong.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist.models import LeakyConvNet
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = save_model(LeakyConvNet("4C5-P2-10"), f"{folder}/model.safetensors")
    ...     load_model(file).sizes
    {'hidden 1': 576, 'output': 10}
    """
    metadata = model_metadata(path)
    try:
        model = _CLASSES[metadata["class"]](**_from_json(metadata["config"]))
        tensors = safetensors.torch.load_file(path)
        for name, tensor in model.state_dict(keep_vars=True).items():
            if name in tensors:  # else load_state_dict says what is missing
                tensor.data = tensor.data.to(tensors[name].dtype)
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} does not hold the model that it describes: {error}") from error
    return model


def model_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `save_model` wrote beside the weights.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    dict
        ``format``, ``version``, ``class``, ``config`` and ``encoder``.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is damaged or no spikemnist model of a known format and class.

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
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file at {path}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("spikemnist")
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if text is None:
        raise ValueError(f"{path} is a safetensors file, but not one that spikemnist wrote")
    try:
        metadata: dict[str, Any] = json.loads(text)
        found = str(metadata["format"]), str(metadata["class"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"the spikemnist metadata of {path} is damaged: {error}") from error
    if found[0] != FORMAT or found[1] not in _CLASSES:
        raise ValueError(
            f"{path} has format {found[0]!r} and class {found[1]!r}, written by version "
            f"{metadata.get('version')}; this version reads {FORMAT!r} with "
            f"{', '.join(_CLASSES)}"
        )
    return metadata


def _to_json(config: dict[str, object]) -> dict[str, object]:
    spike_grad = config["spike_grad"]
    ours = ops.SURROGATES.values()
    if not isinstance(spike_grad, ops.Surrogate) or type(spike_grad) not in ours:
        raise ValueError(
            "a surrogate gradient of one's own cannot be stored, being code: use one of "
            f"{', '.join(ops.SURROGATES)}, or save model.state_dict() and rebuild the model in code"
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
            # The optimiser may have left the range that a start must lie in; what it learned is
            # among the tensors, and only the shape matters here.
            rebuilt[name] = [
                [start] * len(entry) if isinstance(entry, list) else start for entry in config[name]
            ]
    return rebuilt
