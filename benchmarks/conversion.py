"""Accuracy of ANNs that `spikemnist.models.convert` turned into spiking networks.

    python -m benchmarks.conversion

ANNs are trained on MNIST and Fashion-MNIST, converted for each number of timesteps, and tested on
the 10,000 test images. ``docs/benchmarks/conversion.json`` gets the results one by one; what it has
already is not measured again.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import readme
from spikemnist import Classifier, RateEncoder, evaluate, load_fashion_mnist, load_mnist
from spikemnist.data import ImageDataset
from spikemnist.encoding import Encoder
from spikemnist.models import convert

SETS = {"MNIST": load_mnist, "Fashion-MNIST": load_fashion_mnist}
STEPS = (32, 128)
SEEDS = (0, 1, 2)
RATE_CODED = "784-512-256-10"
"""The network that is tested with rate input as well."""
EPOCHS, BATCH, LR = 4, 128, 4e-3


def mlp() -> nn.Sequential:
    """Return an MLP with batch normalisation and dropout."""
    sizes = (784, 512, 256)
    hidden = [
        (nn.Linear(*pair), nn.BatchNorm1d(pair[1]), nn.ReLU(), nn.Dropout(0.2))
        for pair in itertools.pairwise(sizes)
    ]
    return nn.Sequential(nn.Flatten(), *itertools.chain(*hidden), nn.Linear(256, 10))


def conv(pooling: type[nn.Module]) -> nn.Sequential:
    """Return a convolutional network with batch normalisation."""
    hidden = [
        (nn.Conv2d(*pair, 3, padding=1), nn.BatchNorm2d(pair[1]), nn.ReLU(), pooling(2))
        for pair in ((1, 8), (8, 16))
    ]
    return nn.Sequential(*itertools.chain(*hidden), nn.Flatten(), nn.Linear(784, 10))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    RATE_CODED: mlp,
    "8C3-AP2-16C3-AP2-10": lambda: conv(nn.AvgPool2d),
    "8C3-P2-16C3-P2-10": lambda: conv(nn.MaxPool2d),
}


def trained(network: str, train: ImageDataset, seed: int) -> nn.Sequential:
    """Return an ANN that was trained by Adam, with a learning rate that rises and falls."""
    torch.manual_seed(seed)
    ann = NETWORKS[network]()
    images, labels = _images(train), train.labels
    optimizer = torch.optim.Adam(ann.parameters())
    batches = -(-len(train) // BATCH) * EPOCHS
    schedule: Any = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=batches)
    for _ in range(EPOCHS):
        for index in torch.split(torch.randperm(len(train)), BATCH):
            optimizer.zero_grad()
            loss: Any = nn.functional.cross_entropy(ann(images[index]), labels[index])
            loss.backward()
            optimizer.step()
            schedule.step()
    return ann.eval()


def measure(data: str, network: str, seed: int) -> dict[str, Any]:
    """Return the accuracies of an ANN, and of its conversions by timesteps and by input."""
    train, test = SETS[data]()
    ann = trained(network, train, seed)
    with torch.inference_mode():
        classes = torch.cat([ann(images).argmax(1) for images in torch.split(_images(test), 500)])
    found: dict[str, Any] = {"data": data, "network": network, "seed": seed}
    found |= {"ann": float((classes == test.labels).double().mean()), "direct": {}, "rate": {}}
    for steps in STEPS:
        classifier = convert(ann, train[:1000], num_steps=steps).classifier
        inputs: dict[str, Encoder] = {"direct": classifier.encoder}
        if network == RATE_CODED:
            inputs["rate"] = RateEncoder(steps)
        for code, encoder in inputs.items():
            one = evaluate(Classifier(classifier.network, encoder), test, batch_size=16, seed=seed)
            found[code][str(steps)] = one.accuracy
    return found


def _images(data: ImageDataset) -> Tensor:
    """Return images as ANNs take them, with one channel."""
    return data.images.unsqueeze(1).float() / 255


def main(folder: Path) -> None:
    """Measure what the file does not have."""
    file = folder / "conversion.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    present = {(one["data"], one["network"], one["seed"]) for one in results}
    for network, data, seed in itertools.product(NETWORKS, SETS, SEEDS):
        if (data, network, seed) not in present:
            results.append(measure(data, network, seed))
            print(results[-1], file=sys.stderr, flush=True)
            file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(readme.PUBLISHED)
