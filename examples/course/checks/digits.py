"""Digits of one's own: a split by student number, so that results cannot be copied."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch

from spikemnist import load_digits

TEST = 100
"""Images of each digit to test on."""


def own_digits(student_number: int | str, folder: str | os.PathLike[str] = ".") -> Path:
    """Write a file with 5,000 digits to train on and 1,000 to test, drawn by a student number.

    They are all digits of the package, divided anew, with 100 of each digit to test. The same
    number gives the same file, on any machine, so that a teacher can make it again.

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
    parts = load_digits()
    images = torch.cat([part.images for part in parts]).numpy()
    labels = torch.cat([part.labels for part in parts]).numpy()
    order = np.random.default_rng(seed).permutation(len(labels))
    is_test = np.zeros(len(labels), bool)
    for digit in range(10):
        is_test[order[labels[order] == digit][:TEST]] = True
    train, test = order[~is_test[order]], order[is_test[order]]
    path = Path(folder, f"digits-{name}.npz")
    np.savez_compressed(
        path, x_train=images[train], y_train=labels[train], x_test=images[test], y_test=labels[test]
    )
    return path
