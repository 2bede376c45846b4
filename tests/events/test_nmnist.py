"""N-MNIST from its official files: folders, archives, and what can be wrong with them."""

from __future__ import annotations

import multiprocessing
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from spikemnist.data import EventDataset, FirstSaccade, load_nmnist
from spikemnist.events.nmnist import decode_recording
from tests.events.event_recordings import digits, pack_split, random_events, to_bytes, write_split


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_split(tmp_path / "N-MNIST", "Train", digits(40))
    write_split(tmp_path / "N-MNIST", "Test", digits(20, seed=7))
    return tmp_path


def all_events(data: EventDataset) -> list[list[tuple]]:
    return [data[i][0].tolist() for i in range(len(data))]


def test_folders(root: Path) -> None:
    train, test = load_nmnist(root)
    assert (len(train), len(test)) == (40, 20)
    assert (train[:3].name, test.root) == ("nmnist", str(root))
    assert train.labels.tolist() == [i % 10 for i in range(40)]  # in the order of the ids
    assert (train[33][0] == random_events(53, seed=33)).all()
    assert (test[5][0] == random_events(25, seed=12)).all()
    assert repr(test) == "EventDataset(20 recordings, sensor 34 x 34, 10 classes)"


@pytest.mark.parametrize("folder", ["NMNIST", "."])
def test_other_folders(root: Path, tmp_path: Path, monkeypatch, folder: str) -> None:
    other = tmp_path / "other"
    (other / folder).mkdir(parents=True)
    for split in ("Train", "Test"):
        (root / "N-MNIST" / split).rename(other / folder / split)
    monkeypatch.setenv("SPIKEMNIST_DATA", str(other))
    assert len(load_nmnist()[0]) == 40


@pytest.fixture
def packed(tmp_path: Path) -> EventDataset:
    """Return recordings in archives."""
    for name in ("Train", "Test"):
        pack_split(tmp_path / "packed", name, digits(12))
    return load_nmnist(tmp_path / "packed")[0]


def test_archives_in_place(packed: EventDataset, tmp_path: Path) -> None:
    write_split(tmp_path, "Train", digits(12))
    write_split(tmp_path, "Test", digits(12))
    assert all_events(packed) == all_events(load_nmnist(tmp_path)[0])
    assert len(list((tmp_path / "packed").iterdir())) == 2
    assert all_events(pickle.loads(pickle.dumps(packed))) == all_events(packed)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_archive_in_forked_workers(packed: EventDataset) -> None:
    """They must not share their parent's position in the file."""
    expected = all_events(packed)  # opens the archive before the workers start
    loader = DataLoader(
        packed,
        batch_size=1,
        num_workers=2,
        collate_fn=packed.collate,
        multiprocessing_context="fork",
    )
    assert [batch.recording(0).tolist() for batch, _ in loader] == expected


def test_damaged_archive(tmp_path: Path) -> None:
    path = pack_split(tmp_path, "Train", digits(3))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"Train\.zip is damaged: .*Get it again from https://"):
        load_nmnist(tmp_path)


@pytest.mark.parametrize(("number", "held_back"), [(2, 1), (7, 1), (40, 5)])
def test_no_test_recordings(tmp_path: Path, number: int, held_back: int) -> None:
    write_split(tmp_path, "Train", digits(number))
    with pytest.warns(UserWarning, match=f"the {held_back} of its {number} training recordings"):
        train, test = load_nmnist(tmp_path)
    assert all_events(train) + all_events(test) == [
        random_events(20 + i, seed=i).tolist() for i in range(number)
    ]
    assert len(test) == held_back


def test_no_recordings_at_all(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_nmnist(tmp_path)
    for part in ("neither a folder Train nor Train.zip", str(tmp_path / "N-MNIST"), "mendeley"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match="that root or SPIKEMNIST_DATA names"):
        load_nmnist()
    assert not cache.exists()  # nothing is made, nothing is downloaded
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match="has no recordings"):
        load_nmnist(tmp_path)


@pytest.mark.parametrize("file", ["7/.DS_Store", "7/._00017.bin", "7/notes.txt", "11/00001.bin"])
def test_other_files(root: Path, tmp_path: Path, file: str) -> None:
    write_split(root / "N-MNIST", "Train", {file: b""})
    assert len(load_nmnist(root)[0]) == 40
    for name in ("Train", "Test"):
        pack_split(tmp_path / "packed", name, {**digits(3), f"__MACOSX/{file}": b""})
    assert len(load_nmnist(tmp_path / "packed")[0]) == 3


def test_damaged_recording(root: Path) -> None:
    write_split(root / "N-MNIST", "Train", {"3/00004.bin": b"\0" * 12})
    train, _ = load_nmnist(root)
    assert len(train[2][0]) == 22
    with pytest.raises(ValueError, match=r"00004\.bin is damaged: its 12 bytes are not a multiple"):
        next(train.batches(40))


def test_empty_recording(root: Path) -> None:
    write_split(root / "N-MNIST", "Train", {"3/00004.bin": b""})
    events, _ = next(load_nmnist(root)[0].batches(5))
    assert events.starts.diff().tolist() == [20, 21, 22, 0, 24]


OUTSIDE = b"\x63\x05\x80\x00\x05", r"has events from \(99, 5\) .* 34 columns"
UNSORTED = b"\x01\x01\x00\x00\x09" + b"\x01\x01\x00\x00\x08", "has a decreasing time"


@pytest.mark.parametrize(("data", "message"), [OUTSIDE, UNSORTED])
@pytest.mark.parametrize("chosen", [slice(None), slice(3, 20), torch.arange(39, -1, -1)])
def test_file_of_wrong_events(
    root: Path, data: bytes, message: str, chosen: slice | torch.Tensor
) -> None:
    write_split(root / "N-MNIST", "Train", {"9/00010.bin": data})
    train = load_nmnist(root)[0][chosen]
    path = re.escape(str(root / "N-MNIST" / "Train" / "9" / "00010.bin"))
    with pytest.raises(ValueError, match=rf"^{path} is damaged: it {message}"):
        list(train.batches(8))
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        list(train[1:].transformed(FirstSaccade()).batches(8, seed=3))


@given(st.integers(0, 50), st.integers(0, 10**6))
def test_decoded_recordings(number: int, seed: int) -> None:
    events = random_events(number, seed, sensor=(240, 256))
    assert decode_recording(to_bytes(events), "file").tolist() == events.tolist()


def test_every_bit_of_an_event() -> None:
    raw = bytes([33, 0, 0xFF, 0xFF, 0xFF, 0, 33, 0x7F, 0x00, 0x01])
    events = decode_recording(raw, "file")
    assert events.tolist() == [(0x7FFFFF, 33, 0, True), (0x7F0001, 0, 33, False)]


@given(st.lists(st.booleans(), max_size=40))
def test_clock_overflows(overflows: list[bool]) -> None:
    """Compare with a loop: an overflow is no event, and delays all events after it."""
    raw, expected, late = b"", [], 0
    for i, overflow in enumerate(overflows):
        raw += bytes([i % 34, 240 if overflow else i % 34, 0, 0, i])
        late += overflow
        if not overflow:
            expected.append((i + late * 8192, i % 34, i % 34, False))
    assert decode_recording(raw, "file").tolist() == expected


@pytest.mark.parametrize("real_data", ["N-MNIST/Train"], indirect=True)
def test_real_recordings(real_data: Path) -> None:
    with pytest.warns(UserWarning, match="no test recordings"):
        train, test = load_nmnist(real_data)
    assert (len(train), len(test)) == (700, 100)
    assert train.labels.bincount(minlength=10).min() > 40
    total = np.zeros((34, 34))
    for events, _ in train.batches(100):
        assert int(events.t.max()) < 330_000
        np.add.at(total, (events.y.numpy(), events.x.numpy()), 1)
    # Digits lie in the middle, and both polarities follow their edges.
    assert total[10:24, 10:24].mean() > 5 * total[:, :4].mean()
    assert 0.4 < float(events.p.float().mean()) < 0.6


def test_recordings_changed_between_batches(root: Path) -> None:
    train, _ = load_nmnist(root)
    before = torch.cat([events.t for events, _ in train.batches(8)])
    write_split(root / "N-MNIST", "Train", {"0/00001.bin": to_bytes(random_events(3, seed=99))})
    after = torch.cat([events.t for events, _ in train.batches(8)])
    assert len(after) == len(before) - 17
