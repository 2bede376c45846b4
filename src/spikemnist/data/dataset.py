"""Images and their labels, held in memory and batched as tensors, never item by item.

Shapes: ``N`` samples, ``B`` samples of a batch.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor

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
        _check_labels(self.labels, self.images)
        if isinstance(self.classes, str):
            raise TypeError(
                f"classes is the string {self.classes!r}; expected a tuple with a name each"
            )
        # The dataclass is frozen for its users; int64 and tuple are what they are promised.
        object.__setattr__(self, "labels", self.labels.long())
        object.__setattr__(self, "classes", tuple(self.classes))
        _check_range(self.labels, self.classes)

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
        resolved = _resolve_index(index, len(self))
        if isinstance(resolved, Tensor):
            resolved = resolved.to(self.images.device)
        images, labels = self.images[resolved], self.labels[resolved]
        if isinstance(resolved, int):
            return images, labels
        return ImageDataset(images, labels, self.classes)

    def to(self, device: torch.device | str) -> ImageDataset:
        """Return the set with its tensors on ``device``, shared where they already are."""
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
        if not 0 < fraction < 1:
            raise ValueError(
                f"fraction is {fraction}; expected the share to hold out, between 0 and 1"
            )
        total = round(fraction * len(self))
        if total in (0, len(self)):
            empty = "held-out" if total == 0 else "kept"
            raise ValueError(
                f"holding out {fraction} of {len(self)} samples leaves the {empty} part empty; "
                "choose another fraction or give more samples"
            )
        held_out = _stratified_mask(self.labels.cpu(), fraction, total, seed)
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
        size = operator.index(batch_size)
        if size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
        end = len(self) - len(self) % size if drop_last else len(self)
        starts = range(0, end, size)
        if seed is None:
            return ((self.images[i : i + size], self.labels[i : i + size]) for i in starts)
        order = torch.randperm(len(self), generator=_generator(seed)).to(self.images.device)
        chunks = (order[i : i + size] for i in starts)
        return ((self.images.index_select(0, c), self.labels.index_select(0, c)) for c in chunks)


def _generator(seed: int) -> torch.Generator:
    # Always on the CPU: generators of other devices give other numbers for the same seed.
    return torch.Generator().manual_seed(operator.index(seed))


def _stratified_mask(labels: Tensor, fraction: float, total: int, seed: int) -> Tensor:
    """Choose ``total`` of the samples, about ``fraction`` of each class; a mask ``[N]``."""
    _, group, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    quotas = fraction * sizes.double()
    take = quotas.floor().long()
    # Rounding down leaves a few over: they go to the classes that lost most by it.
    most_lost_first = (take - quotas).argsort(stable=True)
    take[most_lost_first[: total - int(take.sum())]] += 1

    shuffled = torch.randperm(len(labels), generator=_generator(seed))
    by_group = shuffled[group[shuffled].argsort(stable=True)]
    first_of_group = sizes.cumsum(0) - sizes
    rank = torch.arange(len(labels)) - first_of_group[group[by_group]]
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[by_group] = rank < take[group[by_group]]
    return mask


def _resolve_index(index: Any, length: int) -> int | slice | Tensor:
    """Turn what users index with into an int, a forward slice or an int64 tensor ``[B]``."""
    if isinstance(index, int) and not isinstance(index, bool):
        return _check_position(index, length)
    if isinstance(index, slice):
        if index.step is None or operator.index(index.step) > 0:
            return index
        return torch.tensor(range(*index.indices(length)), dtype=torch.int64)
    return _resolve_tensor(_as_tensor(index), length)


def _as_tensor(index: Any) -> Tensor:
    if isinstance(index, Tensor):
        return index
    try:
        if isinstance(index, tuple):  # data[3, 4] would else read as data[[3, 4]]
            raise TypeError("a tuple indexes several dimensions")
        tensor = torch.tensor(index)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"cannot index with {type(index).__name__} {index!r}; "
            "expected an int, a slice, integers or a boolean mask"
        ) from error
    # An empty list has no dtype of its own; torch makes it float.
    return tensor.long() if tensor.numel() == 0 else tensor


def _resolve_tensor(index: Tensor, length: int) -> int | Tensor:
    if index.is_floating_point() or index.is_complex():
        raise TypeError(f"cannot index with dtype {index.dtype}; expected integers or a mask")
    if index.dtype == torch.bool:
        if index.shape != (length,):
            raise IndexError(f"mask has shape {list(index.shape)}; expected [{length}]")
        return index.nonzero().flatten()
    if index.ndim == 0:
        return _check_position(int(index), length)
    if index.ndim != 1:
        raise IndexError(f"index has shape {list(index.shape)}; expected one dimension")
    index = index.long()
    if index.numel():
        # Out of range on a CUDA device would end the process's use of that device.
        _check_position(int(index.min()), length)
        _check_position(int(index.max()), length)
    return index


def _check_position(position: int, length: int) -> int:
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of range for {length} samples")
    return position


def _check_images(images: object) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(f"images is a {type(images).__name__}; expected a torch.Tensor [N, ...]")
    if images.ndim == 0:
        raise ValueError("images has no dimension; expected [N, ...], one entry for each sample")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images has dtype {images.dtype}; expected torch.uint8 or a float")


def _check_labels(labels: object, images: Tensor) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels is a {type(labels).__name__}; expected a torch.Tensor [N]")
    if labels.ndim != 1:
        raise ValueError(
            f"labels has shape {list(labels.shape)}; expected [N], one class index for each image"
        )
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"labels has dtype {labels.dtype}; expected class indices, as torch.int64 holds them"
        )
    if len(labels) != len(images):
        raise ValueError(f"{len(images)} images but {len(labels)} labels; expected one for each")
    if labels.device != images.device:
        raise ValueError(
            f"images is on {images.device} but labels on {labels.device}; move them to one device"
        )


def _check_range(labels: Tensor, classes: tuple[str, ...]) -> None:
    if not labels.numel():
        return
    lowest, highest = (int(bound) for bound in labels.aminmax())
    if lowest < 0:
        raise ValueError(f"labels has the value {lowest}; expected class indices from 0 on")
    if classes and highest >= len(classes):
        raise ValueError(
            f"labels has the value {highest}, but classes names 0 to {len(classes) - 1} only"
        )
