"""Files of classifiers: safetensors with JSON metadata and a digest. Loading runs no code.

The metadata hold the class and the options of the network, the encoder and the names of the
classes.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import torch

from spikemnist import _tensor_files, ops
from spikemnist._tensor_files import Format, described
from spikemnist.encoding import available_encoders, get_encoder
from spikemnist.encoding.registry import describe_encoder
from spikemnist.models.builders import LeakyConvNet, LeakyMLP
from spikemnist.models.readout import READOUTS
from spikemnist.ops.surrogate import MissingSurrogate

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from pathlib import Path

    from torch import Tensor, nn

    from spikemnist.encoding import Encoder

FORMAT = Format(
    "spikemnist-model-1", "model", "Restore it from a good copy, or train the model again"
)
NETWORKS = {kind.__name__: kind for kind in (LeakyMLP, LeakyConvNet)}


def describe(network: nn.Module, encoder: Encoder, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the metadata of a file.

    Raises
    ------
    TypeError, ValueError
        If a file cannot hold the classifier.
    """
    name = type(network).__name__
    if not isinstance(network, (LeakyMLP, LeakyConvNet)) or NETWORKS.get(name) is not type(network):
        raise TypeError(
            f"a file holds a network of {' or '.join(NETWORKS)}; got {name}. Save the state_dict() "
            "of another network with torch.save"
        )
    return {
        "class": name,
        "config": _to_json(network.config),
        "encoder": describe_encoder(encoder),
        "classes": list(classes),
    }


def write(
    path: str | os.PathLike[str], network: nn.Module, encoder: Encoder, classes: tuple[str, ...]
) -> Path:
    """Write a classifier: see `spikemnist.models.Classifier.save`."""
    metadata = describe(network, encoder, classes)
    return _tensor_files.write(path, FORMAT, network.state_dict(), metadata)


def read(path: str | os.PathLike[str]) -> tuple[LeakyMLP | LeakyConvNet, Encoder, tuple[str, ...]]:
    """Return network, encoder and classes of a file, on the CPU: see `spikemnist.load`."""
    tensors, metadata = _tensor_files.read(path, FORMAT)
    encoder = metadata.get("encoder")
    if isinstance(encoder, dict) and encoder.get("name") not in (*available_encoders(), None):
        raise ValueError(f"{path} needs the encoder {encoder['name']!r}: install its package")
    with described(path, FORMAT):
        if str(metadata["class"]) not in NETWORKS:
            raise ValueError(
                f"it is of class {metadata['class']!r}, written by version {metadata['version']}; "
                f"this version reads {', '.join(NETWORKS)}"
            )
        config = dict(metadata["config"])
        spike_grad = dict(config.pop("spike_grad"))
        kinds = {**ops.SURROGATES, MissingSurrogate.name: MissingSurrogate}
        config["spike_grad"] = kinds[spike_grad.pop("name")](**spike_grad)
        # On meta, a damaged configuration cannot ask for memory; each layer may have its dtype.
        with torch.device("meta"):
            network = NETWORKS[metadata["class"]](**config)
        floating = {name for name, x in network.state_dict().items() if x.is_floating_point()}
        network.load_state_dict(tensors, assign=True)
        _check(tensors, floating)
        classes, outputs = metadata["classes"], [*network.sizes.values()][-1]
        if not isinstance(classes, list) or len(classes) not in (0, outputs):
            raise ValueError(f"classes must be {outputs} names or none; got {classes!r}")
        check_classes(classes)
        return network, get_encoder(**metadata["encoder"]), tuple(classes)


def check_classes(classes: Collection[str]) -> None:
    """Raise a `ValueError` unless all names can be printed: a file must not control a terminal."""
    if not all(isinstance(name, str) and name.isprintable() for name in classes):
        raise ValueError(f"classes must be names without control characters; got {classes!r}")


def _check(tensors: dict[str, Tensor], floating: Collection[str]) -> None:
    """Raise a `ValueError` for a tensor of another kind, or a negative variance."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != (name in floating):
            raise ValueError(f"{name} is {tensor.dtype}, which no network has there")
        if name.endswith("running_var") and bool((tensor < 0).any()):
            raise ValueError(f"{name} holds a negative variance")


def _to_json(config: dict[str, Any]) -> dict[str, Any]:
    spike_grad = config["spike_grad"]
    if not isinstance(spike_grad, ops.Surrogate):
        raise ValueError(
            "a function as surrogate gradient is code and cannot be stored; derive it from "
            "spikemnist.ops.Surrogate, of which a file has the name, or use one of "
            f"{', '.join(ops.SURROGATES)}"
        )
    if not ops.is_named(spike_grad) and not isinstance(spike_grad, MissingSurrogate):
        spike_grad = MissingSurrogate(f"{type(spike_grad).__module__}.{spike_grad!r}")
    if not isinstance(config["readout"], str):
        raise ValueError(
            "a custom readout is code and cannot be stored; use one of "
            f"{', '.join(READOUTS)}, or save the state_dict() of the network and rebuild it in code"
        )
    return {
        **config,
        "spike_grad": {"name": spike_grad.name, **dataclasses.asdict(spike_grad)},
    }
