"""What datasets of images and of recordings have in common: labels, indices, splits and batches.

Shapes: ``N`` samples, ``B`` samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikemnist._arguments import SEEDS, check_number, must_be
from spikemnist._tensors import check_tensor, digest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Self


@runtime_checkable
class Samples(Protocol):
    """Samples of a batch: images ``[B, ...]``, or anything else that an encoder takes."""

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def to(self, device: torch.device, /) -> Self:
        """Return the samples on another device."""
        ...


Sample = TypeVar("Sample")
Batch = TypeVar("Batch")


class LabelledDataset(Dataset[tuple[Sample, Tensor]], Generic[Sample, Batch]):
    """Samples with one label each.

    A subclass has the attributes below, `sample_shape`, and the methods `_sample`, `_subset` and
    `_batch`.
    """

    labels: Tensor
    classes: tuple[str, ...]
    name: str
    root: str

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> tuple[Sample, Tensor]: ...

    @overload
    def __getitem__(self, index: slice | Tensor | Sequence[int] | NDArray[Any]) -> Self: ...

    def __getitem__(self, index: Any) -> tuple[Sample, Tensor] | Self:
        if isinstance(index, int):
            label = self.labels[index]  # raises an IndexError beyond the last sample
            return self._sample(index), label
        if isinstance(index, slice) and (index.step is None or index.step > 0):
            return self._subset(index)
        # NumPy takes any kind of index, and checks its range before a GPU would fail.
        if isinstance(index, Tensor):
            index = index.cpu().numpy()
        positions = np.arange(len(self))[index]
        if positions.ndim == 0:
            return self[int(positions)]
        if positions.ndim > 1:
            raise IndexError(
                "an index must be an integer, a slice, integers [B] or a mask [N]; got one of "
                f"shape {list(positions.shape)}"
            )
        return self._subset(torch.from_numpy(positions.copy()))

    def __iter__(self) -> Iterator[tuple[Sample, Tensor]]:
        return (self[index] for index in range(len(self)))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of a sample."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return the description of the data of a run, in the types of JSON.

        The digest is that of the labels: samples may stay on disk.
        """
        digest = f"sha256:{digest_of([('', self.labels)])}"
        return {"name": self.name, "root": self.root, "samples": len(self), "digest": digest}

    def split(self, fraction: float, seed: int = 0) -> tuple[Self, Self]:
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
        kept, held_out : dataset
            Both parts, in the order of this dataset. From a class of ``n`` samples,
            ``fraction * n`` are held out, rounded down or up so that the total is exact.

        Raises
        ------
        ValueError
            If ``fraction`` is not between 0 and 1, or one of the two parts would be empty.

        Examples
        --------
        >>> import torch
        >>> from spikemnist.data import ImageDataset
        >>> images = torch.zeros(100, 28, 28, dtype=torch.uint8)
        >>> kept, held_out = ImageDataset(images, torch.arange(100) % 10).split(0.2)
        >>> len(kept), held_out.labels.bincount().tolist()
        (80, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2])
        """
        fraction = check_number("fraction", fraction, "(0, 1)")
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
    ) -> Iterator[tuple[Batch, Tensor]]:
        """Iterate once over the dataset in batches.

        Parameters
        ----------
        batch_size : int
            Number of samples in a batch; the last batch may have fewer.
        seed : int, default None
            Seed of the shuffling, and of the transforms of recordings. The same seed gives the same
            order on every device; the global random state is neither used nor changed. ``None``
            keeps the order and seeds transforms with 0. Batches of images are then views of the
            dataset.
        drop_last : bool, default False
            Whether to leave out a last batch that is not full.

        Returns
        -------
        iterator of tuple
            Samples and labels of each batch: images ``[B, ...]`` or an `EventBatch` of B
            recordings, and int64 ``[B]``.

        Raises
        ------
        ValueError
            If ``batch_size`` is below 1, raised by the call. During iteration, for a recording
            that is damaged or has events beyond the sensor; the message names it.

        Examples
        --------
        >>> import torch
        >>> from spikemnist.data import ImageDataset
        >>> data = ImageDataset(torch.zeros(5, 28, 28), torch.arange(5))
        >>> [labels.tolist() for _, labels in data.batches(2)]
        [[0, 1], [2, 3], [4]]
        >>> [len(labels) for _, labels in data.batches(2, seed=0, drop_last=True)]
        [2, 2]
        """
        size = check_number("batch_size", batch_size, "1..")
        starts = range(0, len(self) - (len(self) % size if drop_last else 0), size)
        if seed is None:
            return (self._batch(slice(start, start + size), 0) for start in starts)
        order = torch.randperm(len(self), generator=_generator(seed)).to(self.labels.device)
        return (self._batch(order[start : start + size], seed) for start in starts)

    def _sample(self, index: int) -> Sample:
        raise NotImplementedError

    def _subset(self, index: slice | Tensor) -> Self:
        raise NotImplementedError

    def _batch(self, index: slice | Tensor, seed: int) -> tuple[Batch, Tensor]:
        raise NotImplementedError

    def _set_labels(self, samples: int, what: str) -> None:
        """Check the labels and classes of so many samples; store them as int64 and as a tuple."""
        _check_labels(self.labels, samples, what, self.classes)
        # The subclasses are frozen dataclasses.
        object.__setattr__(self, "labels", self.labels.long())
        object.__setattr__(self, "classes", tuple(self.classes))


def _check_labels(labels: Tensor, samples: int, what: str, classes: Sequence[str]) -> None:
    check_tensor(labels, "labels", "[N]")
    if labels.ndim != 1:
        raise must_be("labels", f"[N], one class index for each of the {what}", labels)
    if labels.dtype == torch.bool or labels.is_floating_point() or labels.is_complex():
        raise must_be("labels", "class indices of an integer dtype such as torch.int64", labels)
    if len(labels) != samples:
        raise ValueError(f"{samples} {what} but {len(labels)} labels; expected one for each")
    if isinstance(classes, str):
        raise must_be("classes", "a tuple with the name of each class", classes, TypeError)
    if len({*classes}) < len(classes):
        raise must_be("classes", "different names", classes)
    lowest, highest = (int(bound) for bound in labels.long().aminmax()) if samples else (0, -1)
    if lowest < 0:
        raise must_be("labels", "at least 0", lowest)
    if classes and highest >= len(classes):
        raise ValueError(
            f"labels must lie in 0..{len(classes) - 1}, as classes has {len(classes)} names; got "
            f"{highest}"
        )


def _generator(seed: int) -> torch.Generator:
    """Return a CPU generator, which gives the same numbers for data on every device."""
    return torch.Generator().manual_seed(check_number("seed", seed, SEEDS))


def _stratified_mask(labels: Tensor, fraction: float, total: int, seed: int) -> Tensor:
    """Return a mask ``[N]`` of ``total`` samples, about ``fraction`` of each class."""
    _, group, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    quotas = fraction * sizes.double()
    take = quotas.floor().long()
    # Rounding down leaves a few samples over: they go to the classes that lost most.
    most_lost_first = (take - quotas).argsort(stable=True)
    take[most_lost_first[: total - int(take.sum())]] += 1

    order = torch.randperm(len(labels), generator=_generator(seed))
    by_group = order[group[order].argsort(stable=True)]
    first_of_group = sizes.cumsum(0) - sizes
    rank = torch.arange(len(labels)) - first_of_group[group[by_group]]
    mask = torch.zeros(len(labels), dtype=torch.bool)
    mask[by_group] = rank < take[group[by_group]]
    return mask
