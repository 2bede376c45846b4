"""Images of one's own and pictures of a decision, for the laws of all files and pictures."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikemnist import viz
from spikemnist.data import load_images
from tests.viz.viz_records import make_record

IDX, NPZ = "train-images-idx3-ubyte.gz", "a.npz"


def write(folder: Path) -> None:
    """Write forty images of 6 x 6 in both formats."""
    random = np.random.default_rng(0)
    images = random.integers(0, 40, (40, 6, 6)).astype(np.uint8)
    images[:, 2] = 255
    labels = random.integers(0, 2, 40).astype(np.uint8)
    np.savez(folder / NPZ, x_train=images, y_train=labels)
    head = bytes([0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 6, 0, 0, 0, 6])
    (folder / IDX).write_bytes(gzip.compress(head + images.tobytes(), mtime=0))
    head = bytes([0, 0, 8, 1, 0, 0, 0, 40])
    (folder / "train-labels-idx1-ubyte").write_bytes(head + labels.tobytes())


def pixels(path: Path) -> Any:
    return [(split.images, split.labels) for split in load_images(path)]


READERS = [(IDX, pixels), (NPZ, pixels)]
WRITERS = [write]

RECORD = make_record()
OF_RECORDS = ["spike_counts", "decision"]
OF_AXES = [
    ("spike_counts", lambda ax: viz.spike_counts(RECORD, label=1, ax=ax)),
    ("decision", lambda ax: viz.decision(RECORD, label=1, ax=ax)),
]

NAMES_OF_OPTIONS = [
    (
        "load_images has no option 'inverted'; did you mean invert?",
        lambda: load_images(".", inverted=True),
    )
]
OBJECTS = [
    (
        r"decision draws a Record of classifier\(images\).*; got Tensor",
        lambda: viz.decision(torch.zeros(3, 28, 28)),
    )
]
"""Words of the error, and a call with an object of another kind."""
