"""Load MNIST and Fashion-MNIST from IDX files, and the digits that come with the package.

Shapes: ``N`` samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from spikemnist.data.archive import locate
from spikemnist.data.images import ImageDataset
from spikemnist.data.idx import decode_idx, unpack
from spikemnist.data.sources import FASHION_MNIST, MNIST, identify

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from torch import Tensor

    from spikemnist.data.sources import Source


def load_digits() -> tuple[ImageDataset, ImageDataset]:
    """Load a class-balanced subset of MNIST that is part of the package.

    The subset has 500 training and 100 test images of each digit, chosen evenly over the official
    training and test sets. Each block of ten images, counted from the first, shows each digit once.

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
    return _embedded("train"), _embedded("t10k")


def load_mnist(
    root: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[ImageDataset, ImageDataset]:
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

    The four IDX files may be raw or ``.gz``, including recompressed ones. With ``root``, the search
    covers ``root/MNIST/raw``, where torchvision keeps them, and ``root``. Without it, the search
    covers the folder in the environment variable ``SPIKEMNIST_DATA``, with the same two layouts,
    then the user's cache folder.

    Parameters
    ----------
    root : path, default None
        Folder with the files; ``None`` searches the default folders.
    download : bool, default True
        Whether to download absent files into ``root/MNIST/raw`` or the cache folder.

    Returns
    -------
    train, test : ImageDataset
        ``images`` uint8 ``[N, 28, 28]``, ``labels`` int64 ``[N]``.

    Raises
    ------
    FileNotFoundError
        If files are absent and ``download`` is false.
    ConnectionError
        If files cannot be downloaded.
    OSError
        If files cannot be stored or read.
    ValueError
        If a file is damaged, or its SHA-256 is not the official one.

    Notes
    -----
    LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*,
    Proceedings of the IEEE 86, 1998.

    Examples
    --------
    >>> train, test = load_mnist()  # doctest: +SKIP
    >>> load_mnist("no/such/folder", download=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: MNIST needs the four files train-images-idx3-ubyte, ...
    """
    return _load(MNIST, root, download)


def load_fashion_mnist(
    root: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[ImageDataset, ImageDataset]:
    """Load Fashion-MNIST: 60,000 training and 10,000 test images of clothes.

    Files, folders, arguments and errors are as in `load_mnist`, with ``FashionMNIST`` for
    ``MNIST``. A download is checked by its MD5. Files on disk are checked by their structure, and
    refused if they are the files of MNIST.

    Parameters
    ----------
    root : path, default None
        Folder with the files; ``None`` searches the default folders.
    download : bool, default True
        Whether to download absent files into ``root/FashionMNIST/raw`` or the cache folder.

    Returns
    -------
    train, test : ImageDataset
        ``images`` uint8 ``[N, 28, 28]``, ``labels`` int64 ``[N]``.

    Raises
    ------
    FileNotFoundError, ConnectionError, OSError, ValueError
        As in `load_mnist`.

    Notes
    -----
    Xiao, Rasul, Vollgraf, *Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms*, arXiv:1708.07747, 2017.

    Examples
    --------
    >>> train, test = load_fashion_mnist()  # doctest: +SKIP
    >>> load_fashion_mnist("no/such/folder", download=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: Fashion-MNIST needs the four files train-images-idx3-ubyte, ...
    """
    return _load(FASHION_MNIST, root, download)


def _embedded(split: str) -> ImageDataset:
    # A traversable, not a path: the package may be in a zip file.
    folder = resources.files("spikemnist.data") / "embedded"

    def read(kind: str, dims: int) -> Tensor:
        name = f"{split}-{kind}-idx{dims}-ubyte.gz"
        data = unpack((folder / name).read_bytes(), name=f"the embedded {name}")
        return decode_idx(data, dims=dims, name=f"the embedded {split} {kind}")

    return ImageDataset(read("images", 3), read("labels", 1), MNIST.classes)


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    name: str
    values: Tensor
    sha256: str


def _load(
    source: Source, root: str | os.PathLike[str] | None, download: bool
) -> tuple[ImageDataset, ImageDataset]:
    paths = locate(source, root, download=download)
    return _load_split(source, paths, "train"), _load_split(source, paths, "t10k")


def _load_split(source: Source, paths: dict[str, Path], split: str) -> ImageDataset:
    images = _read(paths, f"{split}-images-idx3-ubyte", dims=3)
    labels = _read(paths, f"{split}-labels-idx1-ubyte", dims=1)
    _check_structure(images, labels, len(source.classes))
    # After the structure: its errors say more than a wrong hash.
    for file in (images, labels):
        _check_content(source, file)
    return ImageDataset(images.values, labels.values, source.classes)


def _read(paths: dict[str, Path], name: str, *, dims: int) -> _File:
    path = paths[name]
    try:
        data = unpack(path.read_bytes(), name=str(path))
        values = decode_idx(data, dims=dims, name=str(path))
    except ValueError as error:
        raise ValueError(f"{error}. {_remedy(path)}") from error
    return _File(path, name, values, hashlib.sha256(data).hexdigest())


def _check_structure(images: _File, labels: _File, num_classes: int) -> None:
    if images.values.shape[1:] != (28, 28):
        size = " x ".join(str(side) for side in images.values.shape[1:])
        raise ValueError(f"{images.path} has images of {size} pixels, expected 28 x 28")
    if len(images.values) != len(labels.values):
        raise ValueError(
            f"{images.path} has {len(images.values)} images but {labels.path} has "
            f"{len(labels.values)} labels; they do not belong together"
        )
    if len(labels.values) and (highest := int(labels.values.max())) >= num_classes:
        raise ValueError(f"{labels.path} has the label {highest}, expected 0 to {num_classes - 1}")


def _check_content(source: Source, file: _File) -> None:
    """Check the unpacked bytes, which stay the same when a file is recompressed."""
    expected = source.sha256.get(file.name)
    if file.sha256 == expected:
        return
    if expected is None and file.sha256 not in MNIST.sha256.values():
        return
    if owner := identify(file.path.read_bytes(), file.sha256):
        other, name = owner
        raise ValueError(
            f"{file.path} is the file {name} of {other.title}, not {file.name} of {source.title}. "
            f"Put the files of {source.title} into a folder of their own, such as "
            f"{source.name}/raw"
        )
    raise ValueError(
        f"{file.path} is not the official file of {source.title}: its content has the SHA-256 "
        f"{file.sha256}, expected {expected}. {_remedy(file.path)}"
    )


def _remedy(path: Path) -> str:
    return f"Delete {path} and load again with download=True, or put a good copy in its place"
