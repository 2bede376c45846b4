"""The files of MNIST and Fashion-MNIST, their checksums and their mirrors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Source:
    """A data set of four IDX files.

    Attributes
    ----------
    name
        Name of torchvision's class and of its folder.
    title
        Name in messages.
    classes
        Name of each label.
    sha256
        SHA-256 of the unpacked bytes, by file name; empty if unknown.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    sha256: Mapping[str, str] = field(default_factory=dict)

    def mirrors(self) -> tuple[str, ...]:
        """Return the addresses of the folders with the four ``.gz`` files."""
        return tuple(self._torchvision().mirrors)

    def md5(self) -> dict[str, str]:
        """Return the MD5 of each official ``.gz`` file, by the file's name without ``.gz``."""
        return {name.removesuffix(".gz"): md5 for name, md5 in self._torchvision().resources}

    def _torchvision(self) -> Any:
        # Imported on first use: it is slow to load, and needed only if files are absent or wrong.
        from torchvision import datasets

        return getattr(datasets, self.name)


MNIST = Source(
    "MNIST",
    "MNIST",
    tuple("0123456789"),
    {
        FILES[0]: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        FILES[1]: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        FILES[2]: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        FILES[3]: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)

FASHION_MNIST = Source(
    "FashionMNIST",
    "Fashion-MNIST",
    (
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)


def identify(packed: bytes, sha256: str) -> tuple[Source, str] | None:
    """Identify an official file by the SHA-256 of its unpacked or the MD5 of its packed bytes."""
    for name, known in MNIST.sha256.items():
        if sha256 == known:
            return MNIST, name
    md5 = md5_of(packed)
    for name, known in FASHION_MNIST.md5().items():
        if md5 == known:
            return FASHION_MNIST, name
    return None


def md5_of(data: bytes) -> str:
    """Return the MD5 in hexadecimal, as a mere checksum, which FIPS rules allow."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
