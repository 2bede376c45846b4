"""Data by the names that the command line uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.cli.errors import WrongRequest
from spikemnist.data import (
    EVENT,
    EventBatch,
    FirstSaccade,
    Stabilize,
    load_digits,
    load_fashion_mnist,
    load_mnist,
    load_nmnist,
)

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.data import EventDataset, ImageDataset

    Dataset = ImageDataset | EventDataset

IMAGE, SENSOR, CLASSES = (28, 28), (34, 34), 10


def load(
    data: str, root: Path | None, *, first_saccade: bool = False, stabilize: bool = False
) -> tuple[Dataset, Dataset]:
    """Return training and test set.

    Raises
    ------
    WrongRequest
        When one of them is empty.
    """
    train, test = _load(data, root, first_saccade=first_saccade, stabilize=stabilize)
    for name, part in (("training", train), ("test", test)):
        if not len(part):
            raise WrongRequest(
                f"the {name} set of {data} holds no {noun(data)}: look into the files in "
                f"{root or 'the usual folders'}"
            )
    return train, test


def _load(
    data: str, root: Path | None, *, first_saccade: bool, stabilize: bool
) -> tuple[Dataset, Dataset]:
    if data == "nmnist":
        chosen: list[Any] = [FirstSaccade()] * first_saccade + [Stabilize()] * stabilize
        train, test = load_nmnist(root)
        return train.transformed(*chosen), test.transformed(*chosen)
    if data == "mnist":
        return load_mnist(root)
    if data == "fashion_mnist":
        return load_fashion_mnist(root)
    return load_digits()


def check_root(data: str, root: Path | None) -> None:
    """Refuse a folder for data that are in the package.

    Raises
    ------
    WrongRequest
        For digits with a folder.
    """
    if data == "digits" and root is not None:
        raise WrongRequest(
            f"--root {root} is not for digits, which come with the package: leave it out, or "
            "choose other --data"
        )


def blank(data: str) -> Any:
    """Return a batch of one sample in which there is nothing to see."""
    if data == "nmnist":
        return EventBatch.gather([np.empty(0, EVENT)], SENSOR)
    return torch.zeros((1, *IMAGE), dtype=torch.uint8)


def sample(dataset: Dataset, index: int) -> tuple[Any, int]:
    """Return a batch of one sample, and its label.

    Raises
    ------
    WrongRequest
        When there is no such sample.
    """
    if not 0 <= index < len(dataset):
        raise WrongRequest(f"--index must lie in 0..{len(dataset) - 1}; got {index}")
    samples, labels = next(dataset[index : index + 1].batches(1))
    return samples, int(labels)


def noun(data: str) -> str:
    """Return what samples are called."""
    return "sample" if data == "nmnist" else "image"
