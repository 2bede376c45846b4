"""The description of a run in plain values, which its folder holds."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import snntorch
import torch
from torch import nn

from spikemnist import ops
from spikemnist.data import EventDataset, ImageDataset
from spikemnist.training.devices import parameter_dtype
from spikemnist.training.feed import as_dataset

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.models import Classifier
    from spikemnist.training.config import TrainConfig


def describe_run(
    classifier: Classifier, train: Any, validation: Any, config: TrainConfig
) -> dict[str, dict[str, Any]]:
    """Describe classifier, data and settings by numbers, strings, lists of them and ``None``.

    Two runs with equal descriptions compute the same thing. Data in tensors are described by their
    content.

    Parameters
    ----------
    classifier : Classifier
        Encoder and network, which is described by its ``config``, or else by its modules.
    train, validation : object
        Training and validation data, as in `fit`.
    config : TrainConfig
        Settings of the run.
    """
    return {
        "classifier": {
            **_describe_network(classifier.network),
            "encoder": _describe(classifier.encoder),
        },
        "data": {"train": _describe_data(train), "validation": _describe_data(validation)},
        "settings": {name: _describe(value) for name, value in vars(config).items()},
    }


def _describe_network(network: nn.Module) -> dict[str, object]:
    config, dtype = getattr(network, "config", None), str(parameter_dtype(network))
    if not isinstance(config, dict):
        places = ((f"network.{path}".rstrip("."), m) for path, m in network.named_modules())
        return {**{place: _describe_module(module) for place, module in places}, "dtype": dtype}
    # What is learned is part of the weights, so it changes during the run.
    fixed = {name: x for name, x in config.items() if not config.get(f"learn_{name}")}
    settings = {name: _describe(value) for name, value in fixed.items()}
    return {"network": type(network).__name__, "dtype": dtype, **settings}


def _describe_module(module: nn.Module) -> str:
    """Describe a module by its printed options, neurons of snnTorch by all that is not learned."""
    options = module.extra_repr()
    if isinstance(module, snntorch.SpikingNeuron):
        fixed: dict[str, Any] = {n: x for n, x in vars(module).items() if isinstance(x, bool | str)}
        fixed["spike_grad"] = _describe(ops.get_surrogate(module.spike_grad))
        for name in module.state_dict().keys() & module._buffers.keys():
            x = getattr(module, name)
            fixed[name] = x.item() if x.numel() == 1 else _digest(x)
        options = ", ".join(f"{n}={fixed[n]}" for n in sorted(fixed) if n != "training")
    return f"{type(module).__name__}({options})"


def _describe(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (torch.dtype, torch.device)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return [_describe(part) for part in value]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        parts = (f"{name}={_describe(getattr(value, name))}" for name in names)
        return f"{type(value).__qualname__}({', '.join(parts)})"
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _describe_data(data: Any) -> object:
    if data is None or isinstance(data, float):
        return _describe(data)
    data = as_dataset(data)
    if isinstance(data, EventDataset):  # the recordings stay on disk
        return f"{data} labels sha256:{_digest(data.labels)}"
    if isinstance(data, ImageDataset):
        shape, dtype = tuple(data.images.shape), data.images.dtype
        return f"{shape} {dtype} sha256:{_digest(data.images, data.labels)}"
    return _describe(data)


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]
