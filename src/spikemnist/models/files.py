"""Files of classifiers: safetensors with a description in JSON and a digest. Loading runs no code.

The description has the network with its options, the encoder with its options, the names of the
classes, and the limits of doubt. What is a user's own is described by module and name.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import _tensor_files, ops
from spikemnist._arguments import check_choice, must_be
from spikemnist._descriptions import differences, fields_of, plain
from spikemnist._doors import missing_room
from spikemnist._run_folder import model_file
from spikemnist._tensor_files import Format, check_classes, check_tensors, described
from spikemnist._tensors import digest_of
from spikemnist.encoding import ENCODERS, Encoder, available_encoders, get_encoder
from spikemnist.encoding.registry import describe_encoder
from spikemnist.models.builders import LeakyConvNet, LeakyMLP, LeakyNetwork, plain_numbers
from spikemnist.models.limits import Limits
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.readout import named_or_own
from spikemnist.models.runners import select_backend
from spikemnist.ops.surrogate import MissingSurrogate

FORMAT = Format(
    "spikemnist-model-3", "model", "Restore it from a good copy, or train the model again"
)
NETWORKS: dict[str, type[LeakyMLP] | type[LeakyConvNet]] = {"mlp": LeakyMLP, "conv": LeakyConvNet}


def describe_classifier(
    network: nn.Module, encoder: Encoder, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Return the description of a classifier, in the types of JSON."""
    return {
        "network": describe_network(network),
        "encoder": describe_encoder(encoder),
        "classes": list(classes),
    }


def describe_network(network: nn.Module) -> dict[str, Any]:
    """Return the name and options with which `build_network` builds such a network.

    A network of another class has its name and its modules.
    """
    for name, kind in NETWORKS.items():
        if type(network) is kind:
            config = network.config
            surrogate = _surrogate(config["spike_grad"])
            return {"name": name, **plain(config | {"spike_grad": surrogate})}
    modules = {"modules": _describe_modules(network, numbers=True)}
    if type(network) is not SpikingNetwork:
        return {"name": plain(type(network)), **modules}
    scores = {"readout": plain(named_or_own(network.readout)), "population": network.population}
    return {"name": plain(type(network.network)), **scores, **modules}


def build_network(description: Mapping[str, Any]) -> LeakyMLP | LeakyConvNet:
    """Build the network of a description, or of a name and options of a user.

    Raises
    ------
    TypeError, ValueError
        If there is no such network, or an option is unknown or out of range.
    """
    options = dict(description)
    name, surrogate = options.pop("name"), options.get("spike_grad")
    check_choice("network", name, NETWORKS)
    if isinstance(surrogate, Mapping):
        kinds = {**ops.SURROGATES, MissingSurrogate.name: MissingSurrogate}
        values = dict(surrogate)
        check_choice("spike_grad", kind := values.pop("name", None), kinds)
        options["spike_grad"] = kinds[kind](**values)
    return NETWORKS[name](**options)


def write_classifier(
    path: str | os.PathLike[str], network: nn.Module, description: Mapping[str, Any]
) -> Path:
    """Write a classifier: see `spikemnist.models.Classifier.save`."""
    state = _state_of(network)
    if isinstance(network, LeakyNetwork):
        _check_unchanged(network, state, description["network"])
    return _tensor_files.write(path, FORMAT, state, description)


def digest_of_weights(network: nn.Module) -> str:
    """Return a digest of the weights of a network, the same after it was written and read."""
    return digest_of((f"{name} ", tensor) for name, tensor in sorted(_state_of(network).items()))


def read_classifier(path: Path) -> tuple[LeakyMLP | LeakyConvNet, Encoder, tuple[str, ...], Limits]:
    """Return network, encoder, classes and limits of a file, on the CPU: see `spikemnist.load`."""
    tensors, description = _tensor_files.read(path, FORMAT)
    with described(path, FORMAT):
        options, encoder = description["network"], description["encoder"]
        foreign = [part["name"] for part in (options, encoder)] + [options.get("readout", "")]
        classes = description["classes"]
        check_classes(classes)
    if foreign := [name for name in foreign if "." in str(name)]:
        raise ValueError(
            f"{path} holds the weights of {', '.join(foreign):.200}, but no code: build the "
            f"classifier, and call its load_weights({str(path)!r})"
        )
    if (name := encoder["name"]) not in available_encoders():
        reason = missing_room(ENCODERS[name]) if str(name) in ENCODERS else "import its module"
        raise ValueError(f"{path} needs the encoder {name!r:.200}: {reason}")
    try:
        select_backend(backend := options.get("backend", "auto"))
    except ValueError:
        text = f"{path} was saved with {backend=}, which cannot run here: backend='auto' runs it"
        warnings.warn(text, stacklevel=4)  # the caller of `load`
        options["backend"] = "auto"
    with described(path, FORMAT):
        # On meta, a damaged description cannot ask for memory; each layer may have its dtype.
        with torch.device("meta"):
            network = build_network(options)
        floating = {name for name, x in network.state_dict().items() if x.is_floating_point()}
        network.load_state_dict(tensors, assign=True)
        _check_kinds(tensors, floating)
        number = network.sizes["output"] // network.population
        if len(classes) not in (0, number):
            raise must_be("classes", f"{number} names or none", classes)
        return network, get_encoder(**encoder), tuple(classes), Limits(**description["limits"])


def load_weights(
    source: str | os.PathLike[str], network: nn.Module, encoder: Encoder, classes: tuple[str, ...]
) -> tuple[Limits, tuple[str, ...]]:
    """Load weights into a network, return limits and classes: see `Classifier.load_weights`."""
    path = model_file(source)
    tensors, description = _tensor_files.read(path, FORMAT)
    with described(path, FORMAT):
        limits, names = Limits(**description["limits"]), tuple(description["classes"])
        check_classes(names)
        earlier = _meaning(description)
    if names and classes and names != classes:
        raise ValueError(
            f"{path} has the classes {', '.join(names)}, and the classifier {', '.join(classes)}: "
            "build it with those of the file, or with none"
        )
    try:
        check_tensors(tensors, network.state_dict())
    except ValueError as error:
        raise ValueError(f"{path} does not fit the network: {error}") from error
    network.load_state_dict(tensors)
    if changes := differences(earlier, _meaning(describe_classifier(network, encoder, ()))):
        warnings.warn(
            f"the weights of {path} were learned with other settings: {changes}", stacklevel=3
        )
    return limits, names or classes


def _meaning(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes the same weights predict otherwise."""
    network = description["network"]
    parts = {p: x for p, x in network.get("modules", {}).items() if x["name"] != "Dropout"}
    parts["network"] = network
    names = ("reset_mechanism", "inhibition", "readout", "population", "layers", "options")
    settings = {path: {n: part[n] for n in names if n in part} for path, part in parts.items()}
    return {"encoder": description["encoder"], **settings}


def _check_kinds(tensors: dict[str, Tensor], floating: Collection[str]) -> None:
    """Raise a `ValueError` for a tensor of another kind than the network has there."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() != (name in floating):
            raise ValueError(f"{name} is {tensor.dtype}, which no network has there")


def _surrogate(surrogate: Any) -> dict[str, Any]:
    """Describe a surrogate gradient; of a user's own one stays the name."""
    if not ops.is_named(surrogate) and not isinstance(surrogate, MissingSurrogate):
        printed = surrogate if isinstance(surrogate, ops.Surrogate) else ""
        module = f"{type(surrogate).__module__}." if printed else plain(surrogate)
        surrogate = MissingSurrogate(f"{module}{printed}")
    return {"name": surrogate.name, **fields_of(surrogate)}


def _state_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of a network, of one of ours as `prune.remove` leaves it."""
    state: dict[str, Tensor] = network.state_dict()
    if not isinstance(network, LeakyNetwork):
        return state
    masks = [name for name in state if f"{name.removesuffix('_mask')}_orig" in state]
    pruned = {name.removesuffix("_mask"): name for name in masks}
    weights = {name: state[f"{name}_orig"] * state[mask] for name, mask in pruned.items()}
    gone = {*masks, *(f"{name}_orig" for name in pruned)}
    return {**{name: x for name, x in state.items() if name not in gone}, **weights}


def _check_unchanged(
    network: LeakyNetwork, state: Mapping[str, Tensor], description: Mapping[str, Any]
) -> None:
    """Raise a `ValueError` where a module is not the one that the options of a network build."""
    with torch.device("meta"):
        built = build_network({**description, "readout": "mean_membrane"})
    before, now = (
        _tensors(net, tensors) | _describe_modules(net.network)
        for net, tensors in ((built, built.state_dict()), (network, state))
    )
    if changes := differences(before, now):
        raise ValueError(
            f"the network is not the one that its options build: {changes}. Build one with these "
            "changes and load the state dict into it, or save a network from accelerate()"
        )


def _tensors(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Describe the tensors of a network by their shapes, and which of them are learned."""
    parameters = [name.removesuffix("_orig") for name, _ in network.named_parameters()]
    return {
        "shapes": {name: list(tensor.shape) for name, tensor in state.items()},
        "learned": dict.fromkeys(parameters, True),
    }


def _describe_modules(network: nn.Module, *, numbers: bool = False) -> dict[str, Any]:
    """Describe modules by their printed options, neurons of snnTorch by all that is not learned.

    ``numbers`` adds those of the neurons, such as beta.
    """
    described = {}
    for path, module in network.named_modules():
        fixed: dict[str, Any] = {"options": module.extra_repr()}
        if isinstance(module, snntorch.SpikingNeuron):
            public = {n: x for n, x in vars(module).items() if not n.startswith("_")}
            fixed = {n: x for n, x in public.items() if isinstance(x, bool | str)}
            fixed["reset_mechanism"] = module.reset_mechanism
            fixed["spike_grad"] = _surrogate(ops.get_surrogate(module.spike_grad))
            del fixed["training"]
            if numbers:
                names = sorted(module.state_dict().keys() & module._buffers.keys())
                fixed |= {name: plain_numbers(getattr(module, name)) for name in names}
        described[path or "network"] = {"name": type(module).__name__, **fixed}
    return described
