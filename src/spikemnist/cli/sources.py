"""Data sets by their names on the command line."""

from __future__ import annotations

from dataclasses import dataclass
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
from spikemnist.training.recipe import IMAGE, SENSOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from spikemnist.cli.options import Evaluate, Plot
    from spikemnist.data import EventDataset, ImageDataset

    Dataset = ImageDataset | EventDataset

LOADERS: dict[str, Any] = {
    "digits": lambda _: load_digits(),
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "nmnist": load_nmnist,
}


@dataclass(frozen=True)
class Sample:
    """A batch of one image or recording, its label, and its index in the data set."""

    samples: Any
    label: int
    index: int

    @property
    def image(self) -> Tensor | None:
        """The image, or None for a recording."""
        return self.samples[0] if isinstance(self.samples, torch.Tensor) else None


def load(
    data: str, root: Path | None, *, first_saccade: bool = False, stabilize: bool = False
) -> tuple[Dataset, Dataset]:
    """Return the training and the test set."""
    train, test = LOADERS[data](root)
    if data == "nmnist":
        changes: list[Any] = [FirstSaccade()] * first_saccade + [Stabilize()] * stabilize
        train, test = train.transformed(*changes), test.transformed(*changes)
    return train, test


def test_set(command: Evaluate | Plot, config: Mapping[str, Any]) -> tuple[str, Dataset]:
    """Return name and samples of the requested test set, else of the run's test set.

    ``config`` holds the options of the run, including the changes to recordings before they are
    encoded. It is empty for a model file alone.
    """
    data = command.data or config.get("data", "digits")
    check_root(data, command.root)
    root = command.root if command.data or command.root else config.get("root")
    changes = {name: config.get(name, False) for name in ("first_saccade", "stabilize")}
    return data, load(data, root, **changes)[1]


def check_root(data: str, root: Path | None) -> None:
    """Refuse a folder for data that are in the package.

    Raises
    ------
    WrongRequest
        If a folder is given for digits.
    """
    if data == "digits" and root is not None:
        raise WrongRequest(
            f"--root {root} does not apply to digits, which come with the package; remove it, or "
            "choose another --data"
        )


def blank(data: str) -> Any:
    """Return a batch of one blank sample."""
    if data == "nmnist":
        return EventBatch.gather([np.empty(0, EVENT)], SENSOR)
    return torch.zeros((1, *IMAGE), dtype=torch.uint8)


def sample(dataset: Dataset, index: int) -> Sample:
    """Return one sample of a data set.

    Raises
    ------
    WrongRequest
        If there is no such sample.
    """
    if not 0 <= index < len(dataset):
        raise WrongRequest(f"--index must lie in 0..{len(dataset) - 1}; got {index}")
    samples, labels = next(dataset[index : index + 1].batches(1))
    return Sample(samples, int(labels), index)


def noun(data: str) -> str:
    """Return the word for a sample."""
    return "sample" if data == "nmnist" else "image"
