"""Data by the names that the command line uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist.data import ImageDataset, load_digits, load_fashion_mnist, load_mnist

if TYPE_CHECKING:
    from pathlib import Path


def load(data: str, root: Path | None) -> tuple[ImageDataset, ImageDataset]:
    """Return training and test set."""
    if data == "mnist":
        return load_mnist(root)
    if data == "fashion_mnist":
        return load_fashion_mnist(root)
    return load_digits()
