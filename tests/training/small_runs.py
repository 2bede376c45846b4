"""Runs of a second or less that the tests of this folder share, in this process and in others."""

from __future__ import annotations

import functools
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from spikemnist.data import ImageDataset, RandomAffine, load_digits
from spikemnist.encoding import DirectEncoder, Encoder, RateEncoder
from spikemnist.models import Classifier, LeakyMLP, Record
from spikemnist.training import History, TrainConfig, cross_entropy, fit

DIRECT, RANDOM = DirectEncoder(num_steps=3), RateEncoder(num_steps=5)
BATCHES = 5  # of an epoch of `run`: 160 training samples

PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
"""They share what a server has imported, where one can be forked."""
PROCESSES.set_forkserver_preload(["tests.training.preloaded"])


def digits(samples: int = 200) -> ImageDataset:
    return _training_set()[:samples]


def in_order(data: ImageDataset, names: tuple[str, ...]) -> ImageDataset:
    """Return the same data with the names of the classes in another order."""
    places = [names.index(name) if name in names else -1 for name in data.classes]
    return replace(data, labels=torch.tensor(places)[data.labels], classes=names)


@functools.cache
def _training_set() -> ImageDataset:
    return load_digits()[0]


def new_network(seed: int = 0, **options: Any) -> LeakyMLP:
    """A network small enough to be quick, with a threshold low enough that all layers fire."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LeakyMLP(**{"hidden": (16,), "threshold": 0.3, "beta": 0.9, **options})


def new_classifier(encoder: Encoder = RANDOM, **options: Any) -> Classifier:
    return Classifier(new_network(**options), encoder)


class Wrapped(torch.nn.Module):
    """A network of a user's own."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.inner = network

    def forward(self, spikes: torch.Tensor) -> Record:
        record: Record = self.inner(spikes)
        return record


class Watched:
    """An encoder that calls a function with the images before it encodes them."""

    def __init__(self, look: Callable[[Any], object], encoder: Encoder = DIRECT) -> None:
        self.look, self.encoder, self.num_steps = look, encoder, encoder.num_steps

    def __call__(self, images: Any, *, generator: torch.Generator | None = None) -> torch.Tensor:
        self.look(images)
        return self.encoder(images, generator=generator)


on_batch: list[Callable[[], None]] = []
"""Called at every training batch of a run whose loss is `watched`."""


def watched(record: Record, labels: torch.Tensor) -> torch.Tensor:
    if torch.is_grad_enabled():
        for hook in on_batch:
            hook()
    return cross_entropy(record, labels)


FIELDS = {field.name for field in fields(TrainConfig)}


def fit_with(classifier: Classifier, train: Any, **settings: Any) -> History:
    """Call `fit` with the fields of its configuration among its other arguments."""
    config = {name: settings.pop(name) for name in FIELDS.intersection(settings)}
    return fit(classifier, train, TrainConfig(**config), **settings)


def run(folder: Path, classifier: Classifier, **changes: Any) -> History:
    """A run with all that has a state: augmentation, random spikes, momentum, a best."""
    settings: dict[str, Any] = {
        "train": digits(),
        "validation": 0.2,
        "epochs": 4,
        "batch_size": 32,
        "lr": 5e-3,
        "schedule": "cosine",
        "clip_norm": 1.0,
        "augment": RandomAffine(),
        "weight_decay": 1e-3,
        "loss": watched,
        "seed": 7,
        "run": folder,
        **changes,
    }
    return fit_with(classifier, **settings)


def interrupt_after(epochs: int) -> Callable[[History, Classifier], None]:
    """Return a callback that ends a run after some epochs, as Ctrl-C does."""

    def interrupt(history: History, _: Classifier) -> None:
        if len(history) == epochs:
            raise KeyboardInterrupt

    return interrupt


def set_biases(classifier: Classifier, value: float) -> None:
    """Set the biases of the first layer: it fires always, or never."""
    torch.nn.init.constant_(classifier.network.layers[0].linear.bias, value)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Copy the state of a network, or of the network of a classifier."""
    network = model.network if isinstance(model, Classifier) else model
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a: object, b: object) -> bool:
    """Whether two nested values are equal, tensors bit for bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b
