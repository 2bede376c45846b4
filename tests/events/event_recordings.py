"""Synthetic recordings of an event camera, and files in the format of N-MNIST."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from spikemnist.data import EVENT, EventDataset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Events = NDArray[np.void]


def random_events(number: int, seed: int, sensor: tuple[int, int] = (34, 34)) -> Events:
    """Return events anywhere on a sensor, in the order of their time."""
    random = np.random.default_rng(seed)
    events = np.empty(number, EVENT)
    events["t"] = np.sort(random.integers(0, 300_000, number))
    events["y"], events["x"] = (
        random.integers(0, sensor[0], number),
        random.integers(0, sensor[1], number),
    )
    events["p"] = random.integers(0, 2, number)
    return events


def left_half(
    events: Events, sensor: tuple[int, int], generator: np.random.Generator
) -> tuple[Events, tuple[int, int]]:
    """Keep the left half of the sensor; a transform."""
    return events[events["x"] < sensor[1] // 2], (sensor[0], sensor[1] // 2)


class MovingBars:
    """A synthetic event camera before which a bar moves right, left, down or up.

    Each index makes its recording anew, the same each time. Pixels become brighter where the bar
    arrives and darker behind it.
    """

    def __init__(self, number: int, side: int = 8) -> None:
        self.number, self.side = number, side

    def __len__(self) -> int:
        return self.number

    def label(self, index: int) -> int:
        return index % 4

    def __getitem__(self, index: int) -> Events:
        rows, side = [], self.side
        random = np.random.default_rng(index)
        for step in range(side):
            place = step if self.label(index) % 2 == 0 else side - 1 - step
            for across in np.flatnonzero(random.random(side) < 0.8):
                x, y = (place, across) if self.label(index) < 2 else (across, place)
                rows.append((1000 * step + int(random.integers(400)), x, y, True))
                rows.append((1000 * step + 500 + int(random.integers(400)), x, y, False))
        events = np.array(rows, EVENT)
        return events[np.argsort(events["t"], kind="stable")]

    def dataset(self) -> EventDataset:
        labels = torch.tensor([self.label(i) for i in range(self.number)])
        return EventDataset(self, labels, (self.side, self.side), ("right", "left", "down", "up"))


def to_bytes(events: Events) -> bytes:
    """Return a recording as a file of N-MNIST has it."""
    raw = np.empty((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events["x"], events["y"]
    raw[:, 2] = events["p"].astype(np.int64) << 7 | events["t"] >> 16
    raw[:, 3], raw[:, 4] = events["t"] >> 8 & 0xFF, events["t"] & 0xFF
    return raw.tobytes()


def write_split(folder: Path, name: str, recordings: dict[str, bytes]) -> None:
    """Write recordings ``{"7/00016.bin": ...}`` as an unpacked split."""
    for file, data in recordings.items():
        path = folder / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def pack_split(folder: Path, name: str, recordings: dict[str, bytes]) -> Path:
    """Write recordings as an archive."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}/", b"")
        for file, data in recordings.items():
            archive.writestr(f"{name}/{file}", data)
    return folder / f"{name}.zip"


def digits(number: int, seed: int = 0) -> dict[str, bytes]:
    """Return files of recordings of all digits in turn, in a random order."""
    order = np.random.default_rng(seed).permutation(number)
    return {
        f"{i % 10}/{i + 1:05d}.bin": to_bytes(random_events(20 + int(i), seed + int(i)))
        for i in order
    }
