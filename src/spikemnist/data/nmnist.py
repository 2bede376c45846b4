"""N-MNIST: the digits of MNIST before a moving event camera, from its official files.

Shapes: ``N`` recordings.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

from spikemnist.data.archive import VARIABLE, roots
from spikemnist.data.events import EventDataset
from spikemnist.data.recordings import open_split, split_in

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from spikemnist.data.recordings import Split

SENSOR = (34, 34)
CLASSES = tuple("0123456789")
SPLITS = ("Train", "Test")
FOLDERS = ("N-MNIST", "NMNIST", "")
"""Folders below a root in which the splits are looked for; the empty name is the root itself."""
SOURCE = "https://data.mendeley.com/datasets/468j46mzdv/1"
HELD_BACK = 8
"""Where there are no test recordings, one in so many of the training recordings is one."""


def load_nmnist(
    root: str | os.PathLike[str] | None = None,
) -> tuple[EventDataset, EventDataset]:
    """Load N-MNIST: 60,000 training and 10,000 test recordings of 34 x 34 pixels.

    The splits ``Train`` and ``Test`` may be folders, laid out as ``Train/<digit>/<id>.bin``, or
    the official archives ``Train.zip`` and ``Test.zip``, which are read in place. They are looked
    for in ``root/N-MNIST``, ``root/NMNIST`` and ``root``; without a root, in the folder that the
    environment variable ``SPIKEMNIST_DATA`` names, then in the user's cache folder. Recordings
    are read when a batch needs them. Nothing is ever downloaded.

    Parameters
    ----------
    root
        Folder with the files; ``None`` looks in the usual places.

    Returns
    -------
    train, test : EventDataset
        Recordings in the order of their ids, those of the images of MNIST, with a sensor of
        34 x 34 and about 300 ms of events each: three saccades, see `FirstSaccade` and
        `Stabilize`.

    Raises
    ------
    FileNotFoundError
        If there are no training recordings, with where to get them.
    ValueError
        If an archive is not the official one by its MD5; if a folder has files that are no
        recordings; if there is one recording in all. When a batch reaches it, for a recording
        that is damaged.

    Warns
    -----
    UserWarning
        When there are no test recordings: one in eight of the training recordings, at least one
        and those with the highest ids, is then held back as the test set.

    Notes
    -----
    An event takes five bytes: column, row, then one bit of polarity and 23 of microseconds. An
    event in row 240 is no event but tells that the clock has run over: all times from it on are
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
        whole = _dataset(train)
        if len(whole) < 2:
            raise ValueError(
                f"{folder} has one training recording of N-MNIST and no test recordings: put at "
                "least one recording into a folder Test beside Train"
            )
        first = len(whole) - max(1, len(whole) // HELD_BACK)
        warnings.warn(
            f"{folder} has no test recordings of N-MNIST: the {len(whole) - first} of its "
            f"{len(whole)} training recordings with the highest ids are held back as the test set",
            stacklevel=2,
        )
        return whole[:first], whole[first:]
    return _dataset(train), _dataset(test)


def find_nmnist(root: str | os.PathLike[str] | None) -> Path:
    """Return the folder with the splits of N-MNIST.

    Raises
    ------
    FileNotFoundError
        If there are no training recordings, with where to get them.
    """
    for folder in _folders(root):
        if split_in(folder, SPLITS[0]) is not None:
            return folder
    raise FileNotFoundError(_missing(root))


def _dataset(split: Split) -> EventDataset:
    return EventDataset(split.recordings, torch.tensor(split.labels), SENSOR, CLASSES)


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
