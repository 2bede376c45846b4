"""Images and their labels, held in memory and batched as tensors, never item by item.

Shapes: ``N`` samples, ``B`` samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spikemnist._arguments import must_be
from spikemnist._tensors import check_images, check_tensor, digest_of
from spikemnist.data.dataset import LabelledDataset

DARK = 64
"""Highest grey value, of 255, of dark images: those of 2, 17 or 65 grey values, for example."""

PAPER, OF_IMAGES, LOOKED_AT = 0.75, 0.9, 1000
"""Share of the highest grey value that the edge of an image of ink on paper has at least, share of
such images in a set of them, and number of images that are looked at."""


@dataclass(frozen=True, eq=False, repr=False)
class ImageDataset(LabelledDataset[Tensor, Tensor]):
    """Images with one label each.

    An integer index gives one ``(image, label)`` pair, so a `torch.utils.data.DataLoader` can also
    read the dataset. A slice, a tensor of indices or a boolean mask gives another `ImageDataset`.
    If the index is a slice with a positive step, the two share memory.

    Parameters
    ----------
    images : torch.Tensor
        Images ``[N, ...]``, uint8 (0 to 255) or floating in [0, 1]. The loaders of this package
        give uint8 ``[N, 28, 28]``.
    labels : torch.Tensor
        Integer labels ``[N]`` from 0 on. Stored as int64 on the device of ``images``.
    classes : tuple of str, default ()
        Name of each label; ``()`` for labels without names.
    name, root : str, default ""
        Name of the data set, such as ``"mnist"``, or the path of another one, and the folder of its
        files. The loaders of this package set them, and a run folder holds them.
    size : tuple of int, default None
        Height and width that `load_images` was asked for; a run folder holds them.
    inverted : bool, default False
        Whether `load_images` was asked to invert the images; a run folder holds it.

    Raises
    ------
    TypeError
        If ``images`` or ``labels`` is not a tensor, or ``classes`` is a single string.
    ValueError
        If lengths, shapes or dtypes do not match, a floating image leaves [0, 1], or a label is
        negative or has no name in ``classes``, of which no two may be the same.

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
    name: str = ""
    root: str = ""
    size: tuple[int, int] | None = None
    inverted: bool = False

    def __post_init__(self) -> None:
        check_tensor(self.images, "images", "[N, ...]")
        if self.images.ndim == 0:
            raise must_be("images", "[N, ...], one entry for each sample", self.images)
        check_images(self.images)
        self._set_labels(len(self.images), "images")
        object.__setattr__(self, "labels", self.labels.to(self.images.device))

    def __repr__(self) -> str:
        images = self.images
        classes = f", {len(self.classes)} classes" if self.classes else ""
        shape = list(images.shape[1:])
        return f"ImageDataset({len(self)} images {shape}, {images.dtype}, {images.device}{classes})"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of an image."""
        return tuple(self.images.shape[1:])

    def describe(self) -> dict[str, Any]:
        """Return the description of the data of a run, with a digest of labels and images.

        Returns
        -------
        dict
            In the types of JSON.
        """
        digest = digest_of([("", self.labels), ("", self.images)])
        described = {**super().describe(), "digest": f"sha256:{digest}"}
        if self.size:
            described["size"] = list(self.size)
        if self.inverted:
            described["inverted"] = True
        return described

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
        return replace(self, images=self.images.to(device))

    def _sample(self, index: int) -> Tensor:
        return self.images[index]

    def _subset(self, index: slice | Tensor) -> ImageDataset:
        return replace(self, images=self.images[index], labels=self.labels[index])

    def _batch(self, index: slice | Tensor, seed: int) -> tuple[Tensor, Tensor]:
        if isinstance(index, slice):
            return self.images[index], self.labels[index]
        return self.images.index_select(0, index), self.labels.index_select(0, index)


def image_findings(data: ImageDataset) -> Iterator[str]:
    """Yield what keeps the codes from working on images: dark ones, or dark strokes on light.

    The spikes of dark images are late or rare; on light paper nearly every pixel spikes.
    """
    yield from dark_findings(data)
    images = data.images[:: 1 + len(data) // LOOKED_AT].float()
    images = images.mean(1) if images.dim() == 4 else images
    if images.dim() == 3 and images.numel():
        highest, ink = images.amax((1, 2)).median(), images.amin((1, 2))
        inside = images[:, 1:-1, 1:-1] if min(images.shape[1:]) >= 8 else images  # less a frame
        edges = [torch.cat((x[:, 0], x[:, -1], x[..., 0], x[..., -1]), 1) for x in (images, inside)]
        paper = torch.stack([edge.median(1).values for edge in edges]).amax(0)
        light = (paper > PAPER * highest) & (images.mean((1, 2)) > highest / 2)
        # Of noise, the lowest value is no further from the edge than the highest.
        light &= (ink < PAPER * paper) & (paper - ink > 2 * (highest - paper))
        if bool(light.float().mean() >= OF_IMAGES):
            yield (
                "the images are dark on light, so nearly every pixel spikes: "
                f"{'leave out' if data.inverted else 'pass'} invert=True in load_images, or "
                "--invert on the command line"
            )


def dark_findings(data: ImageDataset) -> Iterator[str]:
    """Yield that most images are black, or dark, with a factor."""
    images = data.images[:: 1 + len(data) // LOOKED_AT]
    of = 255 if images.dtype == torch.uint8 else 1
    highest = images.reshape(len(images), -1).amax(1) if images.numel() else images.flatten()
    dark = highest[highest <= of * DARK / 255]
    if 2 * len(dark) > len(highest):
        top = dark.max().item()
        if top:
            yield f"the images are dark, up to {top:.3g} of {of}: multiply them by {of // top:g}"
        else:
            yield "most images are black, so no pixel spikes: look at how they were made"
