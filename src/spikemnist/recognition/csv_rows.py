"""Read images from CSV files: a label and the pixels of an image in each row.

Shapes: ``N`` samples, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
"""Names of the column of labels in a header."""

INDEX_COLUMNS = ("", "unnamed: 0", "index", "id")
"""Names of the first column where it numbers the rows, as pandas and Kaggle write it."""

NUMERIC = re.compile(r"\s*([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)?\s*", re.IGNORECASE)
"""Matches all of a field that is a number, or empty."""


def columns_of(file: Path) -> int:
    """Return the number of columns of a CSV file, which is one less where labels are missing."""
    return len(_first_rows(file)[1])


def read_csv(
    files: Mapping[str, Path], size: tuple[int, int] | None
) -> tuple[dict[str, tuple[NDArray[Any], NDArray[np.int64]]], tuple[str, ...]]:
    """Return the images ``[N, H, W]`` and labels ``[N]`` of each file of a set, and class names.

    The label comes first, or where the header says it; words are names of classes. Pixels are
    returned as uint8, or as float32 if none of the set is above 1. An image is square unless
    ``size``, height and width, says otherwise.

    Raises
    ------
    ValueError
        If there is no label, or a row is no label with the pixels of an image; it is named.
    """
    tables = {split: _read(file) for split, file in files.items()}
    in_unit_range = not any((pixels > 1).any() for pixels, _ in tables.values())
    words = {word for _, labels in tables.values() for word in labels if labels.dtype.kind == "U"}
    classes, splits = sorted(words), {}
    for split, (pixels, labels) in tables.items():
        file, count = files[split], pixels.shape[1]
        height, width = size or (math.isqrt(count),) * 2
        if height * width != count or not height:
            raise ValueError(
                f"{file} has {count} pixels in a row, not {height} x {width}: pass size= with "
                "height and width, as --size 12x20 on the command line"
            )
        if classes and labels.dtype.kind != "U":
            raise ValueError(f"{file} has numbers as labels, and another file of the set has words")
        numbers = np.searchsorted(classes, labels) if classes else labels
        images, targets = _checked(pixels, numbers, file, in_unit_range=in_unit_range)
        splits[split] = images.reshape(-1, height, width), targets
    return splits, tuple(map(str, classes))


def _first_rows(file: Path) -> tuple[str, list[str], list[str]]:
    """Return the separator of a file, and the fields of its first two rows."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        rows = [lines.readline().replace("\0", "") for _ in range(2)]  # Python 3.10 refuses NUL
    separator = max(",;\t", key=rows[0].count)
    readers = (csv.reader([row], delimiter=separator, skipinitialspace=True) for row in rows)
    first, second = (next(reader, []) for reader in readers)
    return separator, [field.strip() for field in first], second


def _read(file: Path) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return the pixels ``[N, H * W]`` of a file, and its labels as numbers or words."""
    separator, first, second = _first_rows(file)
    names = [name.lower() for name in first]
    behind = names[1:] if names[:1] and names[0] in INDEX_COLUMNS else names
    counted = len(behind) > 4 and _counts(behind)  # as four pixels and a label hardly are
    word = not _are_numbers(names[:1])  # a name of the column of labels, or a label
    header = counted or (word and _counts(names[1:])) or not _are_numbers(names[1:])
    index = len(names) - len(behind) if header else 0
    places = [place for place, name in enumerate(names) if name in LABEL_COLUMNS]
    if counted or not header:
        places = [index]
    if len(places) != 1 or not (second if header else first):
        raise ValueError(
            f"{file} begins with {separator.join(first)[:60]!r}; expected rows of a label and "
            f"pixels, and in a header one column {' or '.join(LABEL_COLUMNS)}"
        )
    others = [place for place in range(index, len(first)) if place not in places]
    # Names of pixels have numbers, as pixel0; label.1 is the second of two columns in pandas.
    odd = [first[x] for x in others if not re.search(r"\d", names[x].removesuffix(".1"))]
    if header and 0 < 2 * len(odd) < len(others):
        raise ValueError(f"{file} has the columns {', '.join(odd)} beside pixels: remove them")
    load = partial(_load, file, separator, int(header))
    if not _are_numbers((second if header else first)[places[0] :][:1]):
        words = np.char.strip(load(np.str_, places)[:, 0])
        # Other words may be names: na is a class of Kuzushiji-MNIST, and null the German zero.
        if (missing := np.isin(np.char.lower(words), ("", "nan", "<na>"))).any():
            raise ValueError(f"{file}: row {missing.argmax() + 1} has no label: remove the row")
        return load(np.float32, others), words
    table = load(np.float32, None)
    return np.delete(table, [*range(index), *places], axis=1), table[:, places[0]]


def _are_numbers(fields: Sequence[str]) -> bool:
    return all(map(NUMERIC.fullmatch, fields))


def _counts(fields: Sequence[str]) -> bool:
    """Return whether fields are the numbers from 0 or 1 on, as pandas names columns."""
    numbers = [float(field) for field in fields if field and NUMERIC.fullmatch(field)]
    return numbers in [[*range(s, s + len(fields))] for s in (0, 1)]


def _load(
    file: Path, separator: str, skip: int, kind: type, columns: list[int] | None
) -> NDArray[Any]:
    try:
        with file.open(encoding="utf-8-sig") as lines:
            # NumPy takes a quote behind a space for a letter.
            rows = (line.replace(f'{separator} "', f'{separator}"') for line in lines)
            return np.loadtxt(
                rows, kind, delimiter=separator, quotechar='"', comments=None, skiprows=skip,
                ndmin=2, usecols=columns,
            )  # fmt: skip
    except ValueError as error:  # in one of its messages NumPy counts rows from 0
        text = re.sub(r"row (\d+), col", lambda row: f"row {int(row[1]) + 1}, col", str(error))
        raise ValueError(f"{file} is no table of numbers: {text.partition(';')[0]}") from error


def _checked(
    pixels: NDArray[np.float32], labels: NDArray[Any], file: Path, *, in_unit_range: bool
) -> Any:
    """Return pixels in [0, 1] as they are, others as uint8, and the labels as integers."""
    with np.errstate(invalid="ignore"):
        whole, classes = pixels.astype(np.uint8), labels.astype(np.int64)
    fits = (pixels >= 0 if in_unit_range else pixels == whole).all(1)
    fits &= (labels >= 0) & (labels == classes)
    if not fits.all():
        row = int(fits.argmin())
        raise ValueError(
            f"{file}: row {row + 1} has the label {labels[row]:g} and pixels from "
            f"{pixels[row].min():g} to {pixels[row].max():g}; expected an integer >= 0 and pixels "
            "0 to 255, or all of the set in [0, 1]. Undo a normalisation, or use (x - min) / "
            "(max - min)"
        )
    return pixels if in_unit_range else whole, classes
