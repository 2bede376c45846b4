"""Images and their labels, held in memory and batched as tensors, never item by item.

Shapes: ``N`` samples, ``B`` samples of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

from spikemnist._tensors import check_tensor
from spikemnist.data.indexing import batch_indices, resolve_index
from spikemnist.data.labels import check_classes, check_labels, hold_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset:
    """Images with one label each.

    An integer index gives one ``(image, label)`` pair, so a `torch.utils.data.DataLoader` can also
    read the dataset. A slice, a tensor of indices or a boolean mask gives another `ImageDataset`.
    If the index is a slice with a positive step, the two share memory.

    Parameters
    ----------
    images : torch.Tensor
        Images ``[N, ...]``, uint8 (0 to 255) or floating. The loaders of this package give uint8
        ``[N, 28, 28]``.
    labels : torch.Tensor
        Integer labels ``[N]`` from 0 on, on the device of ``images``. Stored as int64.
    classes : tuple of str, default ()
        Name of each label; ``()`` for labels without names.

    Raises
    ------
    TypeError
        If ``images`` or ``labels`` is not a tensor, or ``classes`` is a single string.
    ValueError
        If lengths, shapes, dtypes or devices do not match, or a label is negative or has no name
        in ``classes``.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.data import ImageDataset
    >>> images = torch.zeros(100, 28, 28, dtype=torch.uint8)
    >>> data = ImageDataset(images, torch.arange(100) % 10)
    >>> data
    ImageDataset(100 images [28, 28], torch.uint8, cpu)
    >>> len(data[:30])
    30
    >>> image, label = data[3]
    >>> image.shape, int(label)
    (torch.Size([28, 28]), 3)
    >>> len(data[data.labels == 7])
    10
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_images(self.images)
        check_labels(self.labels, len(self.images), "images", self.images.device)
        check_classes(self.labels, self.classes)
        # The dataclass is frozen, but it promises int64 labels and a tuple of classes.
        object.__setattr__(self, "labels", self.labels.long())
        object.__setattr__(self, "classes", tuple(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        images = self.images
        named = f", {len(self.classes)} classes" if self.classes else ""
        shape = list(images.shape[1:])
        return f"ImageDataset({len(self)} images {shape}, {images.dtype}, {images.device}{named})"

    @overload
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]: ...

    @overload
    def __getitem__(
        self, index: slice | Tensor | Sequence[int] | np.ndarray[Any, Any]
    ) -> ImageDataset: ...

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor] | ImageDataset:
        resolved = resolve_index(index, len(self))
        if isinstance(resolved, Tensor):
            resolved = resolved.to(self.images.device)
        images, labels = self.images[resolved], self.labels[resolved]
        if isinstance(resolved, int):
            return images, labels
        return ImageDataset(images, labels, self.classes)

    def to(self, device: torch.device | str) -> ImageDataset:
        """Return the dataset on another device.

        Parameters
        ----------
        device : torch.device or str
            Target device.

        Returns
        -------
        ImageDataset
            Dataset on that device. It shares tensors that are there already.
        """
        return ImageDataset(self.images.to(device), self.labels.to(device), self.classes)

    def split(self, fraction: float, seed: int = 0) -> tuple[ImageDataset, ImageDataset]:
        """Hold out a fraction of the samples, the same fraction of every class.

        Parameters
        ----------
        fraction : float
            Fraction held out, between 0 and 1 exclusive; ``round(fraction * N)`` samples.
        seed : int, default 0
            Seed of the selection. The same seed holds out the same samples on every device; the
            global random state is neither used nor changed.

        Returns
        -------
        kept, held_out : ImageDataset
            Both parts, in the order of this dataset. From a class of ``n`` samples,
            ``fraction * n`` are held out, rounded down or up so that the total is exact.

        Raises
        ------
        ValueError
            If ``fraction`` is not between 0 and 1, or one of the two parts would be empty.

        Examples
        --------
        >>> import torch
        >>> images = torch.zeros(100, 28, 28, dtype=torch.uint8)
        >>> kept, held_out = ImageDataset(images, torch.arange(100) % 10).split(0.2)
        >>> len(kept), held_out.labels.bincount().tolist()
        (80, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
        """
        held_out = hold_out(self.labels, fraction, seed)
        return self[~held_out], self[held_out]

    def batches(
        self, batch_size: int, *, seed: int | None = None, drop_last: bool = False
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate once over the dataset in batches.

        Parameters
        ----------
        batch_size : int
            Number of samples in a batch; the last batch may have fewer.
        seed : int, default None
            Seed of the shuffling; the same seed gives the same order on every device, and the
            global random state is neither used nor changed. ``None`` keeps the order; the batches
            are then views of the dataset.
        drop_last : bool, default False
            Whether to leave out a last batch that is not full.

        Yields
        ------
        images : torch.Tensor
            Images ``[B, ...]``.
        labels : torch.Tensor
            Labels ``[B]``, int64.

        Raises
        ------
        ValueError
            If ``batch_size`` is below 1. Raised by the call, not by the first batch.

        Examples
        --------
        >>> import torch
        >>> data = ImageDataset(torch.zeros(5, 28, 28), torch.arange(5))
        >>> [labels.tolist() for _, labels in data.batches(2)]
        [[0, 1], [2, 3], [4]]
        >>> [len(labels) for _, labels in data.batches(2, seed=0, drop_last=True)]
        [2, 2]
        """
        indices = batch_indices(
            len(self), batch_size, seed=seed, drop_last=drop_last, device=self.images.device
        )
        return (self._batch(index) for index in indices)

    def _batch(self, index: slice | Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(index, slice):
            return self.images[index], self.labels[index]
        return self.images.index_select(0, index), self.labels.index_select(0, index)


def _check_images(images: Tensor) -> None:
    check_tensor(images, "images", "[N, ...]")
    if images.ndim == 0:
        raise ValueError(
            "images must be [N, ...], one entry for each sample; got a tensor without dimensions"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images must be uint8 or floating; got {images.dtype}")
