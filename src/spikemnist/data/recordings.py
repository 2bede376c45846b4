"""Recordings of N-MNIST on disk: folders or archives, listed at once, read one by one."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from spikemnist._progress import progress_bar
from spikemnist.data.events import EVENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spikemnist.data.events import Events, Recordings

BYTES = 5
"""Of an event."""
OVERFLOW_ROW = 240
"""Row of an event that tells of an overflow of the clock."""
OVERFLOW = 1 << 13
"""Microseconds that an overflow adds."""

MD5 = {
    "Train.zip": "20959b8e626244a1b502305a9e6e2031",
    "Test.zip": "69ca8762b2fe404d9b9bad1103e97832",
}
"""Of the official archives."""


@dataclass(frozen=True)
class Split:
    """Recordings of a split in the order of their ids, and the digit of each."""

    recordings: Recordings
    labels: list[int]


def open_split(folder: Path, name: str) -> Split | None:
    """Find a split in a folder, unpacked or packed, and list its recordings without reading any.

    Raises
    ------
    ValueError
        If the archive is not the official one, or files are none of recordings.
    """
    place = split_in(folder, name)
    if place is None:
        return None
    if place.is_dir():
        files = [
            f"{name}/{digit.name}/{entry.name}"
            for digit in place.iterdir()
            if digit.is_dir()
            for entry in os.scandir(digit)
        ]
        names, labels = _listed(files, place)
        return Split(_Folder(folder, names), labels)
    check_archive(place)
    with zipfile.ZipFile(place) as archive:
        files = [entry for entry in archive.namelist() if not entry.endswith("/")]
    names, labels = _listed(files, place)
    return Split(_Archive(place, names), labels)


def split_in(folder: Path, name: str) -> Path | None:
    """Return the folder or the archive of a split, if it is there."""
    unpacked, packed = folder / name, folder / f"{name}.zip"
    if unpacked.is_dir():
        return unpacked
    return packed if packed.is_file() else None


def check_archive(path: Path) -> None:
    """Raise a `ValueError` unless an archive is the official one."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        path.open("rb") as file,
        progress_bar(
            progress=True,
            total=path.stat().st_size,
            desc=f"checking {path.name}",
            unit="B",
            unit_scale=True,
            delay=2.0,
        ) as bar,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    found, expected = digest.hexdigest(), MD5[path.name]
    if found != expected:
        raise ValueError(
            f"{path} is not the official archive of N-MNIST: its MD5 is {found}, expected "
            f"{expected}. Get it again, or unpack your own into a folder {path.stem} beside it"
        )


def _listed(files: Iterable[str], where: Path) -> tuple[list[str], list[int]]:
    """Return names and digits in the order of the ids; what hides itself is left out."""
    found = []
    for file in files:
        path = PurePosixPath(file)
        if path.name.startswith(".") or path.parts[0] == "__MACOSX":
            continue
        digit = path.parent.name
        if path.suffix != ".bin" or not path.stem.isdecimal() or digit not in set("0123456789"):
            raise ValueError(
                f"{where} has {file}, which is no recording of N-MNIST: expected "
                "<digit>/<id>.bin, as in 7/00016.bin"
            )
        found.append((int(path.stem), file, int(digit)))
    if not found:
        raise ValueError(f"{where} has no recordings <digit>/<id>.bin")
    found.sort()
    return [file for _, file, _ in found], [digit for _, _, digit in found]


@dataclass(frozen=True)
class _Folder:
    folder: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Events:
        path = self.folder / self.names[index]
        return decode_recording(path.read_bytes(), str(path))

    def path(self, index: int) -> str:
        return str(self.folder / self.names[index])


class _Archive:
    """Recordings in a zip archive, which each process opens for itself."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.archive, self.names = path, names
        self._opened: tuple[int, zipfile.ZipFile] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Events:
        return decode_recording(self._archive().read(self.names[index]), self.path(index))

    def path(self, index: int) -> str:
        return f"{self.archive}: {self.names[index]}"

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_opened": None}

    def _archive(self) -> zipfile.ZipFile:
        # A forked child shares the place in the file with its parent, and would read wrong bytes.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), zipfile.ZipFile(self.archive)
        return self._opened[1]


def decode_recording(data: bytes, name: str) -> Events:
    """Return the events of a recording: see `spikemnist.data.load_nmnist`.

    Raises
    ------
    ValueError
        If it does not end with a whole event.
    """
    if len(data) % BYTES:
        raise ValueError(
            f"{name} is damaged: it has {len(data)} bytes, and an event takes {BYTES}. Unpack or "
            "get it again"
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, BYTES)
    events = np.empty(len(raw), EVENT)
    events["x"], events["y"], events["p"] = raw[:, 0], raw[:, 1], raw[:, 2] & 0x80
    time = raw[:, 2].astype(np.int32)  # in place from here on: arrays cost more than arithmetic
    time &= 0x7F
    for low in (raw[:, 3], raw[:, 4]):
        time <<= 8
        time |= low
    events["t"] = time
    overflow = raw[:, 1] == OVERFLOW_ROW
    if overflow.any():
        events["t"] += np.cumsum(overflow) * OVERFLOW
        events = events[~overflow]
    return events
