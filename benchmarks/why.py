"""Accuracy, operations and energy of the same layers as an ANN and as a spiking network.

    python -m benchmarks.why

The ANN has a ReLU where the spiking networks have leaky neurons: the same layers, first weights,
batches, epochs, optimiser and schedule. The learning rate of each kind of network is chosen on
training images that were held out. ``docs/benchmarks/why.json`` gets the results on the 10,000 test
images one by one; what it has already is not measured again.

Shapes: ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import readme
from spikemnist import (
    Classifier,
    LeakyMLP,
    TrainConfig,
    evaluate,
    fit,
    load_fashion_mnist,
    load_mnist,
    measure_energy,
)
from spikemnist.data import ImageDataset
from spikemnist.encoding import DirectEncoder, Encoder, LatencyEncoder
from spikemnist.energy import Energy
from spikemnist.energy.costs import NANOJOULE
from spikemnist.energy.operations import fan_out, is_weighted
from spikemnist.models import LeakyConvNet, Record, SpikingNetwork, get_readout

SETS = {"MNIST": load_mnist, "Fashion-MNIST": load_fashion_mnist}
MLP, CONV = "784-256-10", "8C3-P2-16C3-P2-10"
NETWORKS: dict[str, Callable[[int], SpikingNetwork]] = {
    MLP: lambda seed: LeakyMLP(256, seed=seed),
    CONV: lambda seed: LeakyConvNet(CONV, batch_norm=True, seed=seed),
}
EPOCHS = 10
MEMORY = {MLP: "1MB", CONV: "32KB"}
"""The smallest of `spikemnist.energy.MEMORIES` that holds the weights."""
ANN, IMAGE = "ANN", DirectEncoder(num_steps=1)
"""What an ANN is given: the image, once."""
KINDS: dict[str, Encoder] = {
    ANN: IMAGE,
    "SNN, latency code": LatencyEncoder(num_steps=4),
    "SNN, direct code": DirectEncoder(num_steps=4),
}
SEEDS = (0, 1, 2)
BATCH = 128
RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Learning rates to choose from."""
TRIED_WITH, HELD_OUT = 20_000, 10_000
"""Number of training images with which a rate is tried, and of others on which it is judged."""


class Rectified(nn.Module):
    """The ANN of the layers of a spiking network, whose weights it shares."""

    def __init__(self, spiking: SpikingNetwork) -> None:
        super().__init__()
        layers = [nn.Sequential(*(module for _, module in one.modules)) for one in spiking.layers]
        first, *others = layers
        self.layers = nn.Sequential(first, *(nn.Sequential(nn.ReLU(), *one) for one in others))
        self.in_shape: Any = spiking.in_shape

    def forward(self, images: Tensor, **_: object) -> Record:
        """Return the logits of images ``[1, B, ...]`` as the scores of a Record."""
        logits = self.layers(images.reshape(-1, *self.in_shape))
        signal, counts = logits.unsqueeze(0), torch.zeros(1, len(logits), dtype=torch.int64)
        sizes = {"output": logits.shape[1]}
        return Record(signal, signal, logits, counts, get_readout("mean_membrane"), "torch", sizes)


def density(ann: Rectified, images: Tensor) -> float:
    """Return the share of the MACs behind the first layer whose activation is not zero."""
    effective, dense = [], []

    def count(module: nn.Module, inputs: tuple[Tensor]) -> None:
        fan = fan_out(module, inputs[0].shape[1:])
        effective.append(float(((inputs[0] != 0) * fan).double().sum()) / len(images))
        dense.append(float(fan.sum()))

    weighted = [module for module in ann.modules() if is_weighted(module)]
    hooks = [module.register_forward_pre_hook(count) for module in weighted[1:]]
    with torch.inference_mode():
        ann.eval()(IMAGE(images))
    for hook in hooks:
        hook.remove()
    return sum(effective) / sum(dense)


def trained(
    network: str, kind: str, train: ImageDataset, lr: float, seed: int
) -> tuple[SpikingNetwork, Classifier]:
    """Return a spiking network, and the classifier that was trained with its weights."""
    spiking = NETWORKS[network](seed)
    classifier = Classifier(Rectified(spiking) if kind == ANN else spiking, KINDS[kind])
    config = TrainConfig(epochs=EPOCHS, batch_size=BATCH, lr=lr, seed=seed)
    fit(classifier, train, config, progress=False)
    return spiking, classifier


def tried(network: str, data: str, kind: str) -> dict[str, float]:
    """Return the accuracy on images that were held out, by learning rate."""
    train, _ = SETS[data]()
    accuracies = {}
    for lr in RATES:
        _, classifier = trained(network, kind, train[:TRIED_WITH], lr, SEEDS[0])
        judged = evaluate(classifier, train[-HELD_OUT:], progress=False)
        accuracies[str(lr)] = judged.accuracy
    return accuracies


def chosen(accuracies: dict[str, float]) -> float:
    """Return the lowest rate whose accuracy lies within a standard error of the best one.

    More images, as in the runs, bring more steps, which a high rate serves less well.
    """
    best = max(accuracies.values())
    error = (best * (1 - best) / HELD_OUT) ** 0.5
    return min(float(lr) for lr, accuracy in accuracies.items() if accuracy >= best - error)


def measure(network: str, data: str, kind: str, lr: float, seed: int) -> dict[str, Any]:
    """Return the accuracy on the test images, and the costs of an image."""
    train, test = SETS[data]()
    spiking, classifier = trained(network, kind, train, lr, seed)
    ann = classifier.network if isinstance(classifier.network, Rectified) else None
    share = density(ann, test.images) if ann else 0.0
    estimates = ("ann_dense", "ann_skipping") if ann else ("snn",)
    counted = Classifier(spiking, KINDS[kind])
    energy = measure_energy(counted, test, ann_density=share, progress=False)
    return {
        "accuracy": evaluate(classifier, test, progress=False).accuracy,
        "costs": {name: costs(energy, name, MEMORY[network]) for name in estimates},
    }


def costs(energy: Energy, name: str, memory: str) -> dict[str, float]:
    """Return the MACs and ACs of an image, and its energy without and with memory."""
    free, counted = (getattr(replace(energy, memory=one), name).total for one in (None, memory))
    acs = energy.total.acs if name == "snn" else 0.0
    return {
        "macs": (free - energy.technology.ac * acs) / energy.technology.mac,
        "acs": acs,
        "nanojoules": free / NANOJOULE,
        "nanojoules with memory": counted / NANOJOULE,
    }


def main(folder: Path) -> None:
    """Measure what the file does not have."""
    file = folder / "why.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    present = {(one["network"], one["data"], one["kind"]): one for one in results}
    for case in itertools.product(NETWORKS, SETS, KINDS):
        if case not in present:
            names = dict(zip(("network", "data", "kind"), case, strict=True))
            results.append({**names, "tried": tried(*case), "runs": {}})
        one = present.get(case, results[-1])
        lr = chosen(one["tried"])
        for seed in SEEDS:
            if str(seed) not in one["runs"]:
                one["runs"][str(seed)] = measure(*case, lr, seed)
                print(*case, one["runs"][str(seed)], file=sys.stderr, flush=True)
                file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(readme.PUBLISHED)
