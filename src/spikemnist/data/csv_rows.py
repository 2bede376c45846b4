"""Read images from a CSV file: a label and the pixels of an image in each row.

Shapes: ``N`` samples, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABELS = ("label", "labels", "class", "target", "y")
"""Names of the column of labels in a header."""

TEXT = re.compile(r'[^-+.,\de\s"]', re.IGNORECASE)
"""Matches a header, but no row of numbers."""


def columns_of(file: Path) -> int:
    """Return the number of columns of a CSV file, which is one less where labels are missing."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        return lines.readline().count(",") + 1


def read_csv(
    file: Path, size: tuple[int, int] | None
) -> tuple[NDArray[np.uint8] | NDArray[np.float32], NDArray[np.int64]]:
    """Return the images ``[N, H, W]`` and the labels ``[N]`` of a CSV file.

    The label comes first, or where the header says it. Pixels are returned as uint8, or as float32
    if none is above 1. An image is square unless ``size``, height and width, says otherwise.

    Raises
    ------
    ValueError
        If there is no label, or a row is no label with the pixels of an image; it is named.
    """
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first, second = lines.readline(), lines.readline()
    has_header = TEXT.search(first) is not None
    names = [name.strip(' "\r\n').lower() for name in first.split(",")]
    columns = [i for i, name in enumerate(names) if name in LABELS] if has_header else [0]
    if len(columns) != 1 or not (second if has_header else first).strip():
        raise ValueError(
            f"{file} begins with {first.strip()[:60]!r}; expected rows of a label and pixels, and "
            f"in a header one column {' or '.join(LABELS)}"
        )
    table = _read_numbers(file, skip=int(has_header))
    labels, pixels = table[:, columns[0]], np.delete(table, columns[0], axis=1)
    side = math.isqrt(pixels.shape[1])
    height, width = size or (side, side)
    if height * width != pixels.shape[1] or not side:
        raise ValueError(
            f"{file} has {pixels.shape[1]} pixels in a row, not {height} x {width}: pass size= "
            "with height and width, as --size 12x20 on the command line"
        )
    images, classes = _checked(pixels, labels, file)
    return images.reshape(-1, height, width), classes


def _read_numbers(file: Path, skip: int) -> NDArray[np.float32]:
    try:
        return np.loadtxt(
            file, np.float32, delimiter=",", quotechar='"', comments=None, skiprows=skip, ndmin=2,
            encoding="utf-8-sig",
        )  # fmt: skip
    except ValueError as error:  # in one of its messages NumPy counts rows from 0
        text = re.sub(r"row (\d+), col", lambda row: f"row {int(row[1]) + 1}, col", str(error))
        raise ValueError(f"{file} is no table of numbers: {text.partition(';')[0]}") from error


def _checked(pixels: NDArray[np.float32], labels: NDArray[np.float32], file: Path) -> Any:
    """Return pixels in [0, 1] as they are, others as uint8, and the labels as integers."""
    with np.errstate(invalid="ignore"):
        whole, classes = pixels.astype(np.uint8), labels.astype(np.int64)
    in_unit_range = not (pixels > 1).any()
    fits = (pixels >= 0 if in_unit_range else pixels == whole).all(1)
    fits &= (labels >= 0) & (labels == classes)
    if not fits.all():
        row = int(fits.argmin())
        raise ValueError(
            f"{file}: row {row + 1} has the label {labels[row]:g} and pixels from "
            f"{pixels[row].min():g} to {pixels[row].max():g}; expected an integer >= 0 and pixels "
            "0 to 255, or all in [0, 1]. Undo a normalisation, or use (x - min) / (max - min)"
        )
    return pixels if in_unit_range else whole, classes
