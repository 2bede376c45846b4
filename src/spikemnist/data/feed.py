"""Feed a classifier with batches, for any kind of data.

Shapes: ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist._arguments import LONG, check_number, must_be
from spikemnist._descriptions import plain
from spikemnist.data.dataset import LabelledDataset, Samples
from spikemnist.data.images import ImageDataset, dark_findings

Dataset = LabelledDataset[Any, Any]
Batches = Iterable[tuple[Samples, Tensor]]
Data = Dataset | tuple[Tensor, Tensor] | Batches
"""A dataset of spikemnist, a pair of tensors (images, labels), or an iterable of such batches."""


@dataclass(frozen=True)
class Feed:
    """Batches of samples and labels on one device.

    Attributes
    ----------
    data : LabelledDataset or iterable
        Dataset, whose images are on the device, or an iterable that is read again in each epoch.
    batch_size : int
        Number of samples per batch of a dataset; an iterable has its own batches.
    device : torch.device
        Device of the batches.
    least : int, default 1
        Number of samples below which a batch is left out: batch normalisation in training needs
        two.
    """

    data: Dataset | Batches
    batch_size: int
    device: torch.device
    least: int = 1

    @property
    def num_batches(self) -> int | None:
        """Number of batches in an epoch; ``None`` if only reading them would tell."""
        if isinstance(self.data, LabelledDataset):
            return -(-len(self.data) // self.batch_size)
        return len(self.data) if isinstance(self.data, Sized) else None

    @property
    def classes(self) -> int:
        """Number of classes, by names or labels; 0 of an iterable, which only reading tells."""
        data = self.data
        if not isinstance(data, LabelledDataset):
            return 0
        return len(data.classes) or int(data.labels.max()) + 1

    def batches(self, seed: int | None = None) -> Iterator[tuple[Any, Tensor]]:
        """Yield the batches of one epoch; a dataset is shuffled by ``seed``."""
        batches: Iterable[Any] = self.data
        if isinstance(batches, LabelledDataset):
            batches = batches.batches(self.batch_size, seed=seed)
        for batch in batches:
            samples, labels = _pair(batch)
            if len(labels) >= self.least:
                yield samples.to(self.device), labels.to(self.device)


def make_feed(data: Data, batch_size: int, device: torch.device, name: str) -> Feed:
    """Wrap ``data`` in a feed; images in tensors are moved to ``device`` once, as a whole.

    Parameters
    ----------
    data : LabelledDataset, tuple of torch.Tensor, or iterable of such tuples
        A dataset, a pair of tensors, or an iterable of batches.
    batch_size, device : int and torch.device
        As in `Feed`.
    name : str
        Argument of the caller that holds the data, for error messages.

    Raises
    ------
    TypeError
        If ``data`` is of none of the three kinds.
    ValueError
        If images and labels do not belong together.
    """
    batch_size = check_number("batch_size", batch_size, "1..")
    source = as_dataset(data)
    if isinstance(source, LabelledDataset):
        dataset = source.to(device) if isinstance(source, ImageDataset) else source
        return Feed(dataset, batch_size, device)
    if not isinstance(source, Iterable) or isinstance(source, (str, Tensor)):
        expected = (
            "a dataset of spikemnist.data, a pair of tensors (images, labels), or an iterable of "
            "such batches, such as torch.utils.data.DataLoader(dataset, batch_size=64)"
        )
        raise must_be(name, expected, data, TypeError)
    return Feed(source, batch_size, device)


def as_dataset(data: Any) -> Any:
    """Return a pair of tensors as a dataset, anything else unchanged."""
    # NumPy arrays too: the dataset then raises an error that asks for tensors.
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], (Tensor, np.ndarray)):
        return ImageDataset(*data)
    return data


def by_name(data: Any, classes: tuple[str, ...]) -> Any:
    """Return data whose labels are places in ``classes``, the names of a classifier.

    Data without names, or with the same ones, stay as they are. So do numbers beside words: they
    are the names that `load_images` gives to classes without names.

    Raises
    ------
    ValueError
        If a label has none of these names, or those of a DataLoader are in another order.
    """
    source = getattr(data, "dataset", data)  # of a DataLoader
    known = source.classes if isinstance(source, LabelledDataset) else ()
    numbers = {tuple(map(str, range(len(names)))) for names in (known, classes)}
    unlike = {known, classes} & numbers and {*known}.isdisjoint(classes)
    if not classes or unlike or known == classes[: len(known)]:
        return data
    places = dict(zip(classes, range(len(classes)), strict=True))
    mapped = torch.tensor([places.get(name, -1) for name in known], device=source.labels.device)
    labels = mapped[source.labels]
    if source is data and not bool((labels < 0).any()):
        return replace(data, labels=labels, classes=classes)
    raise ValueError(
        f"the data must have classes of the classifier, {str(classes)[:LONG]}; got "
        f"{str(known)[:LONG]}: leave out the others, or rename them by dataclasses.replace(data, "
        "classes=...), and pass a dataset, not its DataLoader"
    )


def first_findings(data: Data) -> Iterator[str]:
    """Yield a finding of dark images, unless `load_images` has said it, which names its data."""
    if isinstance(data, ImageDataset) and not data.name:
        yield from dark_findings(data)


def hold_out(train: Data, validation: Data | float | None, seed: int) -> tuple[Data, Data | None]:
    """Return training and validation data; a share is held out of the training data.

    Raises
    ------
    ValueError
        If an iterable cannot be split.
    """
    if not isinstance(validation, int | float):
        return train, validation
    if not isinstance(train, LabelledDataset):
        raise ValueError(
            f"validation={validation} needs a dataset or a pair of tensors to split; train is an "
            "iterable, so pass the validation data themselves"
        )
    return train.split(validation, seed)


def sample_shape(data: Data) -> tuple[int, ...]:
    """Return the shape of a sample; empty for an iterable."""
    return data.sample_shape if isinstance(data, LabelledDataset) else ()


def describe_data(train: Data, validation: Any) -> dict[str, Any]:
    """Describe the data of a run in the types of JSON, their contents by a digest.

    Of an iterable, the digest is the name of its class.
    """
    described = _describe(train)
    if validation is not None and not isinstance(validation, int | float):
        validation = _describe(validation)["digest"]
    return {**described, "validation": validation}


def _describe(data: Data) -> dict[str, Any]:
    return data.describe() if isinstance(data, LabelledDataset) else {"digest": plain(type(data))}


def _pair(batch: Any) -> tuple[Samples, Tensor]:
    pair = batch if isinstance(batch, (tuple, list)) else (batch,)
    if len(pair) == 2 and isinstance(pair[0], Samples) and isinstance(pair[1], Tensor):
        return pair[0], pair[1]
    remedy = ""
    if isinstance(batch, dict):
        columns = ", ".join(f"rows[{name!r}]" for name in batch)
        remedy = (
            f". Of a Hugging Face dataset pass all rows, ({columns}) with rows = "
            "dataset.with_format('torch')[:], or give a DataLoader a collate_fn that returns pairs"
        )
    raise TypeError(
        "a batch must be a pair of tensors, images and labels, or of recordings and labels; got "
        f"{', '.join(type(part).__name__ for part in pair)}{remedy}"
    )
