"""Spiking neural networks on MNIST-like data, on PyTorch and snnTorch.

The data flows one way::

    images [B,28,28] --encoding--> spikes [T,B,...] --models--> Record --> training, energy, viz

Each step is a subpackage: `spikemnist.data`, `spikemnist.encoding`, `spikemnist.models`
(with the neuron dynamics in `spikemnist.ops`), `spikemnist.training`, `spikemnist.energy` and
`spikemnist.viz`. `spikemnist.export` writes a trained network for use outside Python, and
`spikemnist.plasticity` learns without gradients. The most common names can be imported from here.
Each loads its subpackage on first use, so ``import spikemnist`` alone loads none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikemnist import data, encoding, energy, export, models, ops, plasticity, training, viz
    from spikemnist.data import load_digits, load_fashion_mnist, load_mnist, load_nmnist
    from spikemnist.encoding import DirectEncoder, LatencyEncoder, RateEncoder, get_encoder
    from spikemnist.energy import measure_energy
    from spikemnist.models import (
        LeakyConvNet,
        LeakyMLP,
        accelerate,
        load_model,
        load_pretrained,
        save_model,
    )
    from spikemnist.plasticity import STDPClassifier
    from spikemnist.training import evaluate, fit

__version__ = "0.1.0"

__all__ = [
    "DirectEncoder",
    "LatencyEncoder",
    "LeakyConvNet",
    "LeakyMLP",
    "RateEncoder",
    "STDPClassifier",
    "__version__",
    "accelerate",
    "data",
    "encoding",
    "energy",
    "evaluate",
    "export",
    "fit",
    "get_encoder",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "load_model",
    "load_nmnist",
    "load_pretrained",
    "measure_energy",
    "models",
    "ops",
    "plasticity",
    "save_model",
    "training",
    "viz",
]

_ROOMS = (
    "data",
    "encoding",
    "energy",
    "export",
    "models",
    "ops",
    "plasticity",
    "training",
    "viz",
)
_FROM = {
    "data": ("load_digits", "load_fashion_mnist", "load_mnist", "load_nmnist"),
    "encoding": ("DirectEncoder", "LatencyEncoder", "RateEncoder", "get_encoder"),
    "energy": ("measure_energy",),
    "models": (
        "LeakyConvNet",
        "LeakyMLP",
        "accelerate",
        "load_model",
        "load_pretrained",
        "save_model",
    ),
    "plasticity": ("STDPClassifier",),
    "training": ("evaluate", "fit"),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    for room, names in _FROM.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
