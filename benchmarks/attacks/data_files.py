"""Damaged IDX files and N-MNIST recordings, compared with short reference decoders."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.attacks.attack import Attack, one_line
from benchmarks.attacks.damage import damage
from spikemnist.data import load_fashion_mnist, load_nmnist

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

SPLITS = {"train": 20, "t10k": 10}
RECORDINGS = 16


def idx_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Damage one of the four files of a small data set, compressed or not, and load it."""
    del material
    files = _idx_files(np.random.default_rng(draw.randrange(2**32)))
    packed = draw.random() < 0.5
    suffix = ".gz" if packed else ""
    stored = {n: gzip.compress(data, mtime=0) if packed else data for n, data in files.items()}
    victim = draw.choice(sorted(stored))
    how, stored[victim] = damage(stored[victim], draw)
    for name, data in stored.items():
        Path(folder, name + suffix).write_bytes(data)
    expected = _decode_idx(_unpacked(stored[victim]) if packed else stored[victim], victim)
    try:
        train, test = load_fashion_mnist(folder, download=False)
    except (ValueError, OSError) as error:
        if victim not in str(error):
            return f"{victim}, {how}: does not name the file: {one_line(error)}"
        return None if expected is None else f"{victim}, {how}: refused, though it is whole"
    except Exception as error:
        return f"{victim}, {how}: {one_line(error)}"
    read = train if victim.startswith("train") else test
    found = (read.images if "images" in victim else read.labels).numpy()
    if expected is None or not np.array_equal(found, expected):
        return f"{victim}, {how}: accepted, with other contents than the file has"
    return None


def _idx_files(random: np.random.Generator) -> dict[str, bytes]:
    files = {}
    for split, number in SPLITS.items():
        images = random.integers(0, 256, (number, 28, 28), np.uint8).tobytes()
        labels = random.integers(0, 10, number, np.uint8).tobytes()
        files[f"{split}-images-idx3-ubyte"] = struct.pack(">4I", 0x0803, number, 28, 28) + images
        files[f"{split}-labels-idx1-ubyte"] = struct.pack(">2I", 0x0801, number) + labels
    return files


def _unpacked(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return b""


def _decode_idx(data: bytes, name: str) -> NDArray[np.uint8] | None:
    """Return the contents of a file, or None if it is not a valid file of this data set."""
    shape: tuple[int, ...] = (SPLITS[name.split("-")[0]], *((28, 28) if "images" in name else ()))
    header = struct.pack(f">I{len(shape)}I", 0x0800 | len(shape), *shape)
    values = np.frombuffer(data[len(header) :], np.uint8)
    if not data.startswith(header) or values.size != np.prod(shape):
        return None
    if "labels" in name and values.max() > 9:
        return None
    return values.reshape(shape)


def recording_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Damage one of the recordings of a small N-MNIST, and load it."""
    del material
    random = np.random.default_rng(draw.randrange(2**32))
    files = {f"{i % 10}/{i:05d}.bin": _recording(random) for i in range(RECORDINGS)}
    victim = draw.choice(sorted(files))
    how, files[victim] = damage(files[victim], draw)
    for split in ("Train", "Test"):
        for name, data in files.items():
            path = folder / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    expected = _decode_recording(files[victim])
    try:
        train, _ = load_nmnist(folder)
        read = {number: batch for number, (batch, _) in enumerate(train.batches(1))}
    except (ValueError, OSError) as error:
        if str(folder / "Train" / victim) not in str(error):
            return f"{how}: does not name the file: {one_line(error)}"
        return None if expected is None else f"{how}: refused, though every event fits"
    except Exception as error:
        return f"{how}: {one_line(error)}"
    found = read[sorted(files, key=lambda name: name[2:]).index(victim)].recording(0).tolist()
    if expected is None or found != expected:
        return f"{how}: accepted, with other events than the file has"
    return None


def _recording(random: np.random.Generator) -> bytes:
    number = int(random.integers(5, 60))
    raw = np.empty((number, 5), np.uint8)
    raw[:, :2] = random.integers(0, 34, (number, 2))
    time = np.sort(random.integers(0, 300_000, number))
    raw[:, 2] = random.integers(0, 2, number) << 7 | time >> 16
    raw[:, 3], raw[:, 4] = time >> 8 & 0xFF, time & 0xFF
    return raw.tobytes()


def _decode_recording(data: bytes) -> list[tuple[int, int, int, bool]] | None:
    """Return the events in their order, or None if one is invalid."""
    if len(data) % 5:
        return None
    events: list[tuple[int, int, int, bool]] = []
    late = 0
    for place in range(0, len(data), 5):
        x, y, high, middle, low = data[place : place + 5]
        if y == 240:
            late += 1 << 13
            continue
        time = ((high & 0x7F) << 16 | middle << 8 | low) + late
        if x >= 34 or y >= 34 or (events and time < events[-1][0]):
            return None
        events.append((time, x, y, high >= 128))
    return events


def no_material(folder: Path) -> None:
    """Prepare nothing: each case draws its own files."""


ATTACKS = (
    Attack(
        name="idx",
        expectation="A damaged IDX or gzip file is read as what it says, or refused by its name.",
        prepare=no_material,
        case=idx_case,
    ),
    Attack(
        name="recordings",
        expectation="A damaged recording is read as what it says, or refused by its path.",
        prepare=no_material,
        case=recording_case,
    ),
)
