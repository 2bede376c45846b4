"""Load N-MNIST, the digits of MNIST seen by a moving event camera, from its official files.

Folders or archives are listed at once; their recordings are read one by one.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch

from spikemnist._progress import progress_bar
from spikemnist.data.archive import VARIABLE, roots
from spikemnist.data.events import EVENT, EventDataset

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spikemnist.data.events import Events, Recordings

SENSOR = (34, 34)
CLASSES = tuple("0123456789")
SPLITS = ("Train", "Test")
FOLDERS = ("N-MNIST", "NMNIST", "")
"""Folders below a root that are searched for the splits; the empty name is the root itself."""
SOURCE = "https://data.mendeley.com/datasets/468j46mzdv/1"
HELD_BACK = 8
"""Without test recordings, one in this many training recordings becomes one."""

BYTES = 5
"""Bytes of an event in a file."""
OVERFLOW_ROW = 240
"""Row of an event that marks an overflow of the clock."""
OVERFLOW = 1 << 13
"""Microseconds that an overflow adds."""

MD5 = {
    "Train.zip": "20959b8e626244a1b502305a9e6e2031",
    "Test.zip": "69ca8762b2fe404d9b9bad1103e97832",
}
"""MD5 of the official archives."""


def load_nmnist(
    root: str | os.PathLike[str] | None = None,
) -> tuple[EventDataset, EventDataset]:
    """Load N-MNIST: 60,000 training and 10,000 test recordings of 34 x 34 pixels.

    The splits ``Train`` and ``Test`` may be folders, laid out as ``Train/<digit>/<id>.bin``, or
    the official archives ``Train.zip`` and ``Test.zip``, which are read in place. The search covers
    ``root/N-MNIST``, ``root/NMNIST`` and ``root``; without a root, the folder in the environment
    variable ``SPIKEMNIST_DATA``, then the user's cache folder. Recordings are read when a batch
    needs them. Nothing is ever downloaded.

    Parameters
    ----------
    root : path, default None
        Folder with the files; ``None`` searches the default folders.

    Returns
    -------
    train, test : EventDataset
        Recordings in the order of their ids, which are the ids of the MNIST images. The sensor has
        34 x 34 pixels. A recording has about 300 ms of events in three saccades: see
        `FirstSaccade` and `Stabilize`.

    Raises
    ------
    FileNotFoundError
        If there are no training recordings; the message says where to get them.
    ValueError
        If the MD5 of an archive is not the official one, if a folder has files that are not
        recordings, or if there is only one recording in all. When a batch reaches it, for a damaged
        recording.

    Warns
    -----
    UserWarning
        If there are no test recordings: one in eight training recordings, at least one, is then
        held back as the test set. The held-back recordings have the highest ids.

    Notes
    -----
    An event takes five bytes: column, row, then one bit of polarity and 23 of microseconds. An
    entry in row 240 is not an event but marks an overflow of the clock: all times from it on are
    2**13 microseconds later.

    Orchard, Jayawant, Cohen, Thakor, *Converting Static Image Datasets to Spiking Neuromorphic
    Datasets Using Saccades*, Frontiers in Neuroscience 9:437, 2015. The data are under
    CC BY-SA 4.0.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("Train/7/00001.bin", "Test/7/00001.bin"):  # one event in each
    ...         file = pathlib.Path(root, name)
    ...         file.parent.mkdir(parents=True)
    ...         _ = file.write_bytes(bytes([16, 17, 0x80, 0, 5]))
    ...     train, test = load_nmnist(root)
    ...     events, label = train[0]
    >>> events.tolist(), int(label)  # microseconds, column, row, brighter
    ([(5, 16, 17, True)], 7)
    """
    folder = find_nmnist(root)
    train, test = (open_split(folder, name) for name in SPLITS)
    assert train is not None
    if test is None:
        if len(train) < 2:
            raise ValueError(
                f"{folder} has one training recording of N-MNIST and no test recordings: put at "
                "least one recording into a folder Test beside Train"
            )
        first = len(train) - max(1, len(train) // HELD_BACK)
        warnings.warn(
            f"{folder} has no test recordings of N-MNIST: the {len(train) - first} of its "
            f"{len(train)} training recordings with the highest ids are held back as the test set",
            stacklevel=2,
        )
        return train[:first], train[first:]
    return train, test


def find_nmnist(root: str | os.PathLike[str] | None) -> Path:
    """Return the folder with the splits of N-MNIST.

    Raises
    ------
    FileNotFoundError
        If there are no training recordings; the message says where to get them.
    """
    for folder in _folders(root):
        if split_in(folder, SPLITS[0]) is not None:
            return folder
    raise FileNotFoundError(_missing(root))


def _folders(root: str | os.PathLike[str] | None) -> list[Path]:
    return [base / name for base in roots(root) for name in FOLDERS]


def _missing(root: str | os.PathLike[str] | None) -> str:
    searched = "; ".join(str(folder) for folder in _folders(root))
    elsewhere = "" if root is not None else f" that root= or {VARIABLE} names"
    return (
        f"no training recordings of N-MNIST, neither a folder Train nor Train.zip. Searched: "
        f"{searched}. Get Train.zip and Test.zip from {SOURCE} and put them, packed or unpacked, "
        f"into N-MNIST below a folder{elsewhere}"
    )


def open_split(folder: Path, name: str) -> EventDataset | None:
    """Find a split in a folder, unpacked or packed, and list its recordings without reading any.

    Raises
    ------
    ValueError
        If the archive is not the official one, or a file is not a recording.
    """
    place = split_in(folder, name)
    if place is None:
        return None
    recordings: Recordings
    if place.is_dir():
        files = [
            f"{name}/{digit.name}/{entry.name}"
            for digit in place.iterdir()
            if digit.is_dir()
            for entry in os.scandir(digit)
        ]
        names, labels = _listed(files, place)
        recordings = _Folder(folder, names)
    else:
        check_archive(place)
        with zipfile.ZipFile(place) as archive:
            files = [entry for entry in archive.namelist() if not entry.endswith("/")]
        names, labels = _listed(files, place)
        recordings = _Archive(place, names)
    return EventDataset(recordings, torch.tensor(labels), SENSOR, CLASSES)


def split_in(folder: Path, name: str) -> Path | None:
    """Return the folder or the archive of a split, or None."""
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
    """Return names and digits in the order of the ids, without hidden files."""
    found = []
    for file in files:
        path = PurePosixPath(file)
        if path.name.startswith(".") or path.parts[0] == "__MACOSX":
            continue
        digit = path.parent.name
        if path.suffix != ".bin" or not path.stem.isdecimal() or digit not in CLASSES:
            raise ValueError(
                f"{where} has {file}, which is not a recording of N-MNIST: expected "
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
        # A forked child shares the file position with its parent and would read wrong bytes.
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = os.getpid(), zipfile.ZipFile(self.archive)
        return self._opened[1]


def decode_recording(data: bytes, name: str) -> Events:
    """Return the events of a recording: see `spikemnist.data.load_nmnist`.

    Raises
    ------
    ValueError
        If the last event is incomplete.
    """
    if len(data) % BYTES:
        raise ValueError(
            f"{name} is damaged: its {len(data)} bytes are not a multiple of {BYTES}, the size of "
            "an event. Unpack or get it again"
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
