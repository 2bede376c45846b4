"""Choose the digits that come with the package from the full MNIST.

    python scripts/make_digits.py DATA [--out FOLDER]

``DATA`` is a folder that `spikemnist.data.load_mnist` reads. Nothing is random: every run writes
the same files.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from spikemnist._atomic import write_atomically
from spikemnist.data import ImageDataset, load_mnist

EMBEDDED = Path(__file__).resolve().parents[1] / "src" / "spikemnist" / "data" / "embedded"
PER_CLASS = {"train": 500, "t10k": 100}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Choose the embedded digits from full MNIST.")
    parser.add_argument("data", type=Path, help="folder with MNIST's IDX files")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="folder to write to")
    parser.add_argument(
        "--smallest",
        action="store_true",
        help="pack as the package has them, 6 %% smaller, in a minute: pip install zopfli",
    )
    options = parser.parse_args(arguments)
    train, test = load_mnist(options.data, download=False)
    for split, data in (("train", train), ("t10k", test)):
        chosen = data[choose(data, PER_CLASS[split])]
        labels = chosen.labels.to(torch.uint8)
        for name, values in (("images-idx3", chosen.images), ("labels-idx1", labels)):
            path = options.out / f"{split}-{name}-ubyte.gz"
            packed = (pack_smallest if options.smallest else pack)(encode_idx(values))
            write_atomically(path, partial(Path.write_bytes, data=packed))
            print(f"{path}: {len(packed):,} bytes")


def choose(data: ImageDataset, per_class: int) -> list[int]:
    """Choose ``per_class`` samples of each class, in an order in which every ten are balanced.

    The samples are evenly spaced over the class. MNIST is sorted by writers, so each group of
    writers, with easy and with difficult handwriting, is represented in proportion. The order
    follows the hashes of the images: it is as good as shuffled, and does not depend on any random
    number generator.
    """
    digests = [hashlib.sha256(image.tobytes()).digest() for image in data.images.numpy()]
    columns = []
    for label in range(len(data.classes)):
        members = (data.labels == label).nonzero().flatten().tolist()
        picks = [members[(2 * i + 1) * len(members) // (2 * per_class)] for i in range(per_class)]
        columns.append(sorted(picks, key=digests.__getitem__))
    # Sort by the second halves of the digests: the first halves are nearly equal within a row.
    rows = (sorted(row, key=lambda i: digests[i][16:]) for row in zip(*columns, strict=True))
    return [index for row in rows for index in row]


def encode_idx(values: Tensor) -> bytes:
    header = struct.pack(f">I{values.ndim}I", 0x0800 | values.ndim, *values.shape)
    return header + values.numpy().tobytes()


def pack(data: bytes) -> bytes:
    # No file name and no time, which gzip would add, so that the bytes are reproducible. Every
    # Python has zlib, but not lzma, which would save only 14 %.
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def pack_smallest(data: bytes) -> bytes:
    from zopfli.gzip import compress

    return bytes(compress(data, numiterations=15))


if __name__ == "__main__":
    main()
