"""Load MNIST and Fashion-MNIST from IDX files, and the digits that come with the package.

Shapes: ``N`` samples.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor

from spikemnist.data.images import ImageDataset

if TYPE_CHECKING:
    from importlib.abc import Traversable

VARIABLE = "SPIKEMNIST_DATA"
IDX_FILES = {
    "train-images-idx3-ubyte": 3,
    "train-labels-idx1-ubyte": 1,
    "t10k-images-idx3-ubyte": 3,
    "t10k-labels-idx1-ubyte": 1,
}
"""Names of the four files of a data set, without ``.gz``, and their numbers of dimensions."""


@dataclass(frozen=True)
class OfficialSet:
    """A data set of four IDX files that torchvision downloads.

    Attributes
    ----------
    name
        Name of torchvision's class and of its folder.
    title
        Name in messages.
    dataset
        Name of the `ImageDataset`.
    classes
        Name of each label.
    """

    name: str
    title: str
    dataset: str
    classes: tuple[str, ...]


MNIST = OfficialSet("MNIST", "MNIST", "mnist", tuple("0123456789"))
FASHION_MNIST = OfficialSet(
    "FashionMNIST",
    "Fashion-MNIST",
    "fashion_mnist",
    (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
)  # fmt: skip


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
    # A traversable, not a path: the package may be in a zip file.
    return _read_set(resources.files("spikemnist.data") / "embedded", MNIST, "digits")


def load_mnist(
    root: str | os.PathLike[str] | None = None, *, download: bool = True
) -> tuple[ImageDataset, ImageDataset]:
    """Load MNIST: 60,000 training and 10,000 test images of handwritten digits.

    The four IDX files, raw or ``.gz``, lie in ``MNIST/raw``, where torchvision stores them, below
    ``root``; without a root, below the folder in the environment variable ``SPIKEMNIST_DATA``, then
    below the user's cache folder. ``root`` may also be the folder of the files itself. Absent files
    are downloaded and checked by torchvision.

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
        If a file is damaged, or the four do not belong together.

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
    ``MNIST``.

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


def roots(root: str | os.PathLike[str] | None) -> list[Path]:
    """Return the folders to search: ``root`` if given, else the default folders.

    The last one is the folder for downloads.
    """
    if root is not None:
        return [Path(root).expanduser()]
    folders = os.environ.get(VARIABLE), user_cache_path("spikemnist", appauthor=False)
    return [Path(folder).expanduser() for folder in folders if folder]


def find_files(source: OfficialSet, root: str | os.PathLike[str] | None) -> Path:
    """Return the first folder that holds the four files of a data set, raw or ``.gz``.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says which folders were searched.
    """
    folders = [base / source.name / "raw" for base in roots(root)]
    if root is not None:  # by a user who knows whose files it has: their names are those of any set
        folders += roots(root)
    for folder in folders:
        if all(_file(folder, name).is_file() for name in IDX_FILES):
            return folder
    elsewhere = "" if root is not None else ", or name their folder by root="
    raise FileNotFoundError(
        f"{source.title} needs the four files {', '.join(IDX_FILES)} (each raw or .gz), but no "
        f"folder has them all. Searched: {', '.join(map(str, folders))}. Load with download=True, "
        f"or put the files into {folders[0]}{elsewhere}"
    )


def _load(
    source: OfficialSet, root: str | os.PathLike[str] | None, download: bool
) -> tuple[ImageDataset, ImageDataset]:
    try:
        folder = find_files(source, root)
    except FileNotFoundError:
        if not download:
            raise
        _download(source, roots(root)[-1])
        folder = find_files(source, root)
    name = "" if root is None else str(Path(root).resolve())
    return _read_set(folder, source, source.dataset, name)


def _download(source: OfficialSet, root: Path) -> None:
    from torchvision import datasets

    try:
        getattr(datasets, source.name)(root, download=True)
    except (RuntimeError, URLError, ConnectionError) as error:
        # torchvision lists each address that it has tried, with an error.
        reason = " ".join(str(error).split()).rpartition("got: ")[2]
        raise ConnectionError(
            f"{source.title} could not be downloaded: {reason}. Copy the four files "
            "{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz into "
            f"{root / source.name / 'raw'}, or name their folder by root="
        ) from error


def _read_set(
    folder: Traversable, source: OfficialSet, name: str, root: str = ""
) -> tuple[ImageDataset, ImageDataset]:
    images, labels, test_images, test_labels = (
        read_idx(_file(folder, name), ndim) for name, ndim in IDX_FILES.items()
    )
    try:
        return (
            ImageDataset(images, labels, source.classes, name, root),
            ImageDataset(test_images, test_labels, source.classes, name, root),
        )
    except ValueError as error:
        raise ValueError(f"the files in {folder} do not belong together: {error}") from error


def _file(folder: Traversable, name: str) -> Traversable:
    raw = folder / name
    return raw if raw.is_file() else folder / f"{name}.gz"


def read_idx(file: Traversable, ndim: int | None = None) -> Tensor:
    """Read an IDX file of unsigned bytes, raw or packed by gzip.

    Format: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each size as a
    big-endian 32-bit integer, then the values, the last dimension fastest.

    Parameters
    ----------
    file
        Path of the file. Its content decides whether it is packed: browsers unpack some ``.gz``
        files but keep the name.
    ndim
        Expected number of dimensions: 3 for images, 1 for labels; ``None`` for any.

    Returns
    -------
    torch.Tensor
        uint8.

    Raises
    ------
    ValueError
        If the file is damaged, or holds something else.
    """
    data = file.read_bytes()
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        ndim = data[3] if ndim is None and len(data) > 3 else ndim or 0
        if data[:4] != bytes([0, 0, 8, ndim]):
            raise ValueError(f"it begins with {data[:4]!r}, expected {bytes([0, 0, 8, ndim])!r}")
        shape = struct.unpack_from(f">{ndim}I", data, 4)
        values = np.frombuffer(bytearray(data), np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise ValueError(
            f"{file} is damaged or not an IDX file of unsigned bytes with {ndim} dimensions: "
            f"{error}. Put a good copy in its place"
        ) from error
    return torch.from_numpy(values)
