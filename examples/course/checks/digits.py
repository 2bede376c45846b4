"""Digits of one's own: a split by student number, so that results cannot be copied."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from spikemnist import load_digits

TRAIN, TEST = 450, 50
"""Images of each digit to train on and to test on."""


def own_digits(student_number: int | str, folder: str | os.PathLike[str] = ".") -> Path:
    """Write a file with 4,500 digits to train on and 500 to test, drawn by a student number.

    They are drawn from the training and from the test images of the package, so no student trains
    on a digit that another is tested on. The same number gives the same digits on any machine, so a
    teacher can draw them again.

    Parameters
    ----------
    student_number
        A number, or a text of letters, digits, - and _; small and capital letters are the same.
    folder
        Where to write ``digits-NUMBER.npz``.

    Returns
    -------
    pathlib.Path
        The file, which `spikemnist.data.load_images` and ``spikemnist train --data`` read.
    """
    name = str(student_number).strip().lower()
    if not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f"a student number has letters, digits, - and _; got {student_number!r}")
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    random, arrays = np.random.default_rng(seed), {}
    for part, data, number in zip(("train", "test"), load_digits(), (TRAIN, TEST), strict=True):
        labels = data.labels.numpy()
        order = random.permutation(len(labels))
        of_each = [order[labels[order] == digit][:number] for digit in range(10)]
        drawn = random.permutation(np.concatenate(of_each))
        arrays |= {f"x_{part}": data.images.numpy()[drawn], f"y_{part}": labels[drawn]}
    path = Path(folder, f"digits-{name}.npz")
    np.savez_compressed(path, **arrays)
    return path
