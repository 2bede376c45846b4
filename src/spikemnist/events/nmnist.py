"""Load N-MNIST, the digits of MNIST seen by a moving event camera, from its official files.

Folders or archives are listed at once; their recordings are read one by one.
"""

from __future__ import annotations

import glob
import os
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from spikemnist.data.mnist import VARIABLE, roots
from spikemnist.events.recordings import EVENT, EventDataset, Events

SENSOR = (34, 34)
CLASSES = tuple("0123456789")
FOLDERS = ("N-MNIST", "NMNIST", "")
"""Folders below a root that are searched for the splits; the empty name is the root itself."""
SOURCE = "https://data.mendeley.com/datasets/468j46mzdv/1"
HELD_BACK = 8
"""Without test recordings, one in this many training recordings becomes one."""

EVENT_BYTES = 5
"""Bytes of an event in a file."""
OVERFLOW_ROW = 240
"""Row of an event that marks an overflow of the clock."""
OVERFLOW = 1 << 13
"""Microseconds that an overflow adds."""


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
        `FirstSaccade`.

    Raises
    ------
    FileNotFoundError
        If there are no training recordings; the message says where to get them.
    ValueError
        If a folder or an archive has no recordings, or an archive is damaged. When a batch reaches
        it, for a damaged recording.

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
    source = "" if root is None else str(Path(root).resolve())
    train = _open_split(folder, "Train", source)
    try:
        return train, _open_split(folder, "Test", source)
    except FileNotFoundError:
        first = len(train) - max(1, len(train) // HELD_BACK)
        warnings.warn(
            f"{folder} has no test recordings of N-MNIST: the {len(train) - first} of its "
            f"{len(train)} training recordings with the highest ids are held back as the test set",
            stacklevel=2,
        )
        return train[:first], train[first:]


def find_nmnist(root: str | os.PathLike[str] | None) -> Path:
    """Return the first folder with training recordings of N-MNIST, unpacked or packed.

    Raises
    ------
    FileNotFoundError
        If there is none; the message says where to get them.
    """
    folders = [base / name for base in roots(root) for name in FOLDERS]
    for folder in folders:
        if (folder / "Train").is_dir() or (folder / "Train.zip").is_file():
            return folder
    elsewhere = "" if root is not None else f" that root or {VARIABLE} names"
    raise FileNotFoundError(
        f"no training recordings of N-MNIST, neither a folder Train nor Train.zip. Searched: "
        f"{', '.join(map(str, folders))}. Get Train.zip and Test.zip from {SOURCE} and put them, "
        f"packed or unpacked, into N-MNIST below a folder{elsewhere}"
    )


def _open_split(folder: Path, name: str, root: str) -> EventDataset:
    """List the recordings of a split, ``<digit>/<id>.bin``, without reading any."""
    place = folder / name
    if place.is_dir():
        files = glob.glob("[0-9]/*.bin", root_dir=place)  # noqa: PTH207 - 60,000 strings, not paths
    else:
        place = folder / f"{name}.zip"
        try:
            with zipfile.ZipFile(place) as archive:
                files = archive.namelist()
        except zipfile.BadZipFile as error:
            raise ValueError(f"{place} is damaged: {error}. Get it again from {SOURCE}") from error
    matches = [re.search(r"\b([0-9])[/\\](\d+)\.bin$", file) for file in files]
    entries = sorted((int(match[2]), match.string, int(match[1])) for match in matches if match)
    if not entries:
        raise ValueError(f"{place} has no recordings <digit>/<id>.bin, as in 7/00016.bin")
    _, names, labels = zip(*entries, strict=True)
    recordings = _Files(place, names)
    return EventDataset(recordings, torch.tensor(labels), SENSOR, CLASSES, name="nmnist", root=root)


@dataclass(frozen=True)
class _Files:
    """Recordings in a folder or an archive."""

    place: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Events:
        if self.place.suffix == ".zip":
            data = _zip_file(self.place, os.getpid()).read(self.names[index])
        else:
            data = (self.place / self.names[index]).read_bytes()
        return decode_recording(data, self.path(index))

    def path(self, index: int) -> str:
        return str(self.place / self.names[index])


@lru_cache(maxsize=2)
def _zip_file(archive: Path, process: int) -> zipfile.ZipFile:
    """Open an archive once in each process: forked ones would share a position in the file."""
    return zipfile.ZipFile(archive)


def decode_recording(data: bytes, name: str) -> Events:
    """Return the events of a recording: see `spikemnist.data.load_nmnist`.

    Raises
    ------
    ValueError
        If the last event is incomplete.
    """
    if len(data) % EVENT_BYTES:
        raise ValueError(
            f"{name} is damaged: its {len(data)} bytes are not a multiple of {EVENT_BYTES}, the "
            "size of an event. Unpack or get it again"
        )
    raw = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES)
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
