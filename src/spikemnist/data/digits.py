"""The digits that come with the package: no network, no files to find."""

from __future__ import annotations

from importlib import resources

from spikemnist.data.dataset import ImageDataset
from spikemnist.data.idx import decode_idx, unpack


def load_digits() -> tuple[ImageDataset, ImageDataset]:
    """Load a class-balanced subset of MNIST that is part of the package.

    500 training and 100 test images of each digit, chosen evenly over the official training and
    test sets, in an order in which each ten consecutive images, counted from the first, show
    each digit once.

    Returns
    -------
    train, test : ImageDataset
        ``images`` uint8 ``[5000, 28, 28]`` and ``[1000, 28, 28]``, ``labels`` int64.

    Notes
    -----
    The images are under CC BY-SA 3.0, by Yann LeCun, Corinna Cortes and Christopher J.C.
    Burges: see ``LICENSE.txt`` beside them. ``scripts/make_digits.py`` of the source
    distribution chose them.

    Examples
    --------
    >>> train, test = load_digits()
    >>> train
    ImageDataset(5000 images [28, 28], torch.uint8, cpu, 10 classes)
    >>> test.labels.bincount().tolist()
    [100, 100, 100, 100, 100, 100, 100, 100, 100, 100]
    """
    return _load("train"), _load("t10k")


def _load(split: str) -> ImageDataset:
    images = _read(f"{split}-images-idx3-ubyte.gz")
    labels = _read(f"{split}-labels-idx1-ubyte.gz")
    return ImageDataset(
        decode_idx(images, dims=3, name=f"the embedded {split} images"),
        decode_idx(labels, dims=1, name=f"the embedded {split} labels"),
        tuple("0123456789"),
    )


def _read(name: str) -> bytes:
    # A traversable, not a path: the package may lie in a zip file.
    file = resources.files("spikemnist.data") / "embedded" / name
    return unpack(file.read_bytes(), name=f"the embedded {name}")
