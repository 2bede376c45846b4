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

    An integer index gives one ``(image, label)`` pair, so the set also drops into a
    `torch.utils.data.DataLoader`. A slice, a tensor of indices or a boolean mask gives another
    `ImageDataset`; that of a slice with a positive step shares memory with this one.

    Parameters
    ----------
    images
        ``[N, ...]``, uint8 (0 to 255) or floating. The loaders of this package give uint8
        ``[N, 28, 28]``.
    labels
        ``[N]``, integers from 0 on, on the device of ``images``. Kept as int64.
    classes
        Name of each label; ``()`` when they have none.

    Raises
    ------
    TypeError
        If ``images`` or ``labels`` is no tensor, or ``classes`` is one string.
    ValueError
        If lengths, shapes, dtypes or devices do not fit together, or a label is negative or
        has no name among ``classes``.

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
        # The dataclass is frozen for its users; int64 and tuple are what they are promised.
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
        """Return the set on another device.

        Parameters
        ----------
        device
            Where its tensors shall be.

        Returns
        -------
        ImageDataset
            It shares the tensors that are there already.
        """
        return ImageDataset(self.images.to(device), self.labels.to(device), self.classes)

    def split(self, fraction: float, seed: int = 0) -> tuple[ImageDataset, ImageDataset]:
        """Hold out a share of the samples, the same share of every class.

        Parameters
        ----------
        fraction
            Share held out, between 0 and 1 exclusively; ``round(fraction * N)`` samples.
        seed
            Which samples are held out. The same seed holds out the same samples on every
            device; the global random state is neither used nor changed.

        Returns
        -------
        kept, held_out : ImageDataset
            Both in the order of this set. A class of ``n`` samples has ``fraction * n`` of
            them held out, rounded down or up so that the total is exact.

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
        """Iterate once over the set in batches.

        Parameters
        ----------
        batch_size
            Samples in a batch; the last batch has what is left.
        seed
            Shuffles the samples; the same seed gives the same order on every device, and the
            global random state is neither used nor changed. ``None`` keeps the order, and the
            batches then are views of the set.
        drop_last
            Leave out a last batch that is not full.

        Yields
        ------
        images : torch.Tensor
            ``[B, ...]``.
        labels : torch.Tensor
            ``[B]``, int64.

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
        raise ValueError("images has no dimension; expected [N, ...], one entry for each sample")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images has dtype {images.dtype}; expected torch.uint8 or a float")
