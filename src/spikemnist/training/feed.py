"""One way to feed a network, whatever holds the data.

Shapes: ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from spikemnist.data import ImageDataset

if TYPE_CHECKING:
    from torch import Tensor

Batches = Iterable[tuple["Tensor", "Tensor"]]
Data = ImageDataset | tuple["Tensor", "Tensor"] | Batches
"""A dataset of ours, a pair of tensors (images, labels), or any iterable of such batches."""


@dataclass(frozen=True)
class Feed:
    """Batches of images and labels on one device.

    Attributes
    ----------
    data
        A dataset that was moved to the device, or an iterable that is read anew each epoch.
    batch_size
        For a dataset; an iterable has its own batches.
    device
        Where the batches are wanted.
    """

    data: ImageDataset | Batches
    batch_size: int
    device: torch.device

    @property
    def num_batches(self) -> int | None:
        """Batches in an epoch; ``None`` when only reading them would tell."""
        if isinstance(self.data, ImageDataset):
            return -(-len(self.data) // self.batch_size)
        return len(self.data) if isinstance(self.data, Sized) else None

    def batches(self, seed: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches of one epoch; a dataset is shuffled by ``seed``."""
        if isinstance(self.data, ImageDataset):
            yield from self.data.batches(self.batch_size, seed=seed)
            return
        for batch in self.data:
            images, labels = _pair(batch)
            yield images.to(self.device), labels.to(self.device)


def make_feed(data: Data, batch_size: int, device: torch.device) -> Feed:
    """Wrap ``data``; tensors are moved to ``device`` once, whole.

    Raises
    ------
    TypeError
        When ``data`` is none of the three kinds.
    ValueError
        When images and labels do not belong together, or there are none.
    """
    data = as_dataset(data)
    if isinstance(data, ImageDataset):
        if not len(data):
            raise ValueError("the dataset holds no sample")
        return Feed(data.to(device), batch_size, device)
    if not isinstance(data, Iterable) or isinstance(data, (str, torch.Tensor)):
        raise TypeError(
            "data must be a dataset of spikemnist.data, a pair of tensors (images, labels), or an "
            f"iterable of such batches, a DataLoader for example; got {type(data).__name__}"
        )
    return Feed(data, batch_size, device)


def as_dataset(data: Data) -> ImageDataset | Batches:
    """Return a pair of tensors as a dataset, anything else unchanged."""
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], torch.Tensor):
        return ImageDataset(*data)
    return data


def _pair(batch: object) -> tuple[Tensor, Tensor]:
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise TypeError(f"a batch must be a pair (images, labels); got {type(batch).__name__}")
    images, labels = batch
    if not isinstance(images, torch.Tensor) or not isinstance(labels, torch.Tensor):
        raise TypeError(
            "a batch must be a pair of tensors; got "
            f"{type(images).__name__} and {type(labels).__name__}"
        )
    if len(images) != len(labels):
        raise ValueError(f"a batch has {len(images)} images but {len(labels)} labels")
    if not len(images):
        raise ValueError("a batch holds no sample: leave empty batches out")
    return images, labels
