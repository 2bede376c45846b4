"""N-MNIST from its official files: folders, archives, and what can be wrong with them."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from spikemnist.data import FirstSaccade, load_nmnist, nmnist
from spikemnist.data.nmnist import decode_recording
from tests.event_recordings import digits, pack_split, random_events, to_bytes, write_split

if TYPE_CHECKING:
    from pathlib import Path

    from spikemnist.data import EventDataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_split(tmp_path / "N-MNIST", "Train", digits(40))
    write_split(tmp_path / "N-MNIST", "Test", digits(20, seed=7))
    return tmp_path


def official(monkeypatch: pytest.MonkeyPatch, *archives: Path) -> None:
    """Take these archives for the official ones."""
    known = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in archives}
    monkeypatch.setattr(nmnist, "MD5", known)


def all_events(data: EventDataset) -> list[list[tuple]]:
    return [data[i][0].tolist() for i in range(len(data))]


def test_folders(root: Path) -> None:
    train, test = load_nmnist(root)
    assert (len(train), len(test)) == (40, 20)
    assert train.labels.tolist() == [i % 10 for i in range(40)]  # in the order of the ids
    assert (train[33][0] == random_events(53, seed=33)).all()
    assert (test[5][0] == random_events(25, seed=12)).all()
    assert repr(test) == "EventDataset(20 recordings, sensor 34 x 34, 10 classes)"


@pytest.mark.parametrize("folder", ["NMNIST", "."])
def test_other_places(root: Path, tmp_path: Path, monkeypatch, folder: str) -> None:
    other = tmp_path / "other"
    (other / folder).mkdir(parents=True)
    for split in ("Train", "Test"):
        (root / "N-MNIST" / split).rename(other / folder / split)
    monkeypatch.setenv("SPIKEMNIST_DATA", str(other))
    assert len(load_nmnist()[0]) == 40


def test_archives_are_read_in_place(tmp_path: Path, monkeypatch) -> None:
    files = digits(12)
    archives = [pack_split(tmp_path, name, files) for name in ("Train", "Test")]
    official(monkeypatch, *archives)
    write_split(tmp_path / "unpacked", "Train", files)
    write_split(tmp_path / "unpacked", "Test", files)
    packed, unpacked = load_nmnist(tmp_path)[0], load_nmnist(tmp_path / "unpacked")[0]
    assert all_events(packed) == all_events(unpacked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Test.zip", "Train.zip", "unpacked"]
    assert all_events(pickle.loads(pickle.dumps(packed))) == all_events(packed)


# A server of forks is handed the same as a process that is spawned.
@pytest.mark.parametrize(
    "start", [how for how in multiprocessing.get_all_start_methods() if how != "forkserver"]
)
def test_workers_read_an_archive_at_once(tmp_path: Path, monkeypatch, start: str) -> None:
    """Forked ones must not share their parent's place in the file."""
    archives = [pack_split(tmp_path, name, digits(48)) for name in ("Train", "Test")]
    official(monkeypatch, *archives)
    train, _ = load_nmnist(tmp_path)
    expected = all_events(train)  # opens the archive before the workers start
    workers = 2 if start == "fork" else 1
    loader = DataLoader(
        train,
        batch_size=3,
        num_workers=workers,
        collate_fn=train.collate,
        multiprocessing_context=start,
    )
    found = [batch.recording(i).tolist() for batch, _ in loader for i in range(len(batch))]
    assert found == expected


def test_an_archive_that_is_not_the_official_one(tmp_path: Path) -> None:
    pack_split(tmp_path, "Train", digits(3))
    with pytest.raises(ValueError, match=r"Train\.zip is not the official archive.*MD5 is .*209"):
        load_nmnist(tmp_path)


def test_no_test_recordings(root: Path) -> None:
    for digit in (root / "N-MNIST" / "Test").iterdir():
        for file in digit.iterdir():
            file.unlink()
        digit.rmdir()
    (root / "N-MNIST" / "Test").rmdir()
    with pytest.warns(UserWarning, match="the 5 of its 40 training recordings with the highest"):
        train, test = load_nmnist(root)
    assert (len(train), len(test)) == (35, 5)
    assert all_events(test) == [random_events(20 + i, seed=i).tolist() for i in range(35, 40)]


def test_no_recordings_at_all(tmp_path: Path, home: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load_nmnist(tmp_path)
    for part in ("neither a folder Train nor Train.zip", str(tmp_path / "N-MNIST"), "mendeley"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match="root= or SPIKEMNIST_DATA names"):
        load_nmnist()
    assert not home.exists()  # nothing is made, nothing is downloaded


@pytest.mark.parametrize("file", ["7/notes.txt", "7/abc.bin", "x/00001.bin", "11/00001.bin"])
def test_files_that_are_no_recordings(root: Path, file: str) -> None:
    write_split(root / "N-MNIST", "Train", {file: b""})
    with pytest.raises(
        ValueError, match=rf"{re.escape(file)}, which is not a recording of N-MNIST"
    ):
        load_nmnist(root)


def test_what_systems_leave_behind_is_passed_over(root: Path) -> None:
    write_split(root / "N-MNIST", "Train", {"7/.DS_Store": b"", "7/._00017.bin": b""})
    assert len(load_nmnist(root)[0]) == 40


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match="has no recordings"):
        load_nmnist(tmp_path)


def test_a_damaged_recording_is_named_when_it_is_reached(root: Path) -> None:
    write_split(root / "N-MNIST", "Train", {"3/00004.bin": b"\0" * 12})
    train, _ = load_nmnist(root)
    assert len(train[2][0]) == 22
    with pytest.raises(ValueError, match=r"00004\.bin is damaged: its 12 bytes are not a multiple"):
        next(train.batches(40))


def test_an_empty_recording_is_silence(root: Path) -> None:
    write_split(root / "N-MNIST", "Train", {"3/00004.bin": b""})
    events, _ = next(load_nmnist(root)[0].batches(5))
    assert events.starts.diff().tolist() == [20, 21, 22, 0, 24]


DAMAGED = {
    "beyond the sensor": (b"\x63\x05\x80\x00\x05", r"has events from \(99, 5\) .* 34 columns"),
    "back in time": (
        b"\x01\x01\x00\x00\x09" * 2 + b"\x01\x01\x00\x00\x08",
        "has a decreasing time",
    ),
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("chosen", [slice(None), slice(3, 20), torch.arange(39, -1, -1)])
def test_a_recording_with_wrong_events_is_named_by_its_file(
    root: Path, damage: str, chosen: slice | torch.Tensor
) -> None:
    data, message = DAMAGED[damage]
    write_split(root / "N-MNIST", "Train", {"9/00010.bin": data})
    train = load_nmnist(root)[0][chosen]
    path = re.escape(str(root / "N-MNIST" / "Train" / "9" / "00010.bin"))
    with pytest.raises(ValueError, match=rf"^{path} is damaged: it {message}"):
        list(train.batches(8))
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        list(train[1:].transformed(FirstSaccade()).batches(8, seed=3))


def test_a_recording_with_wrong_events_in_an_archive_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**digits(3), "1/00002.bin": DAMAGED["beyond the sensor"][0]}
    official(monkeypatch, *(pack_split(tmp_path, name, files) for name in ("Train", "Test")))
    with pytest.raises(
        ValueError, match=r"Train\.zip: Train/1/00002\.bin is damaged: it has events"
    ):
        list(load_nmnist(tmp_path)[0].batches(8))


@pytest.mark.parametrize("number", [2, 7])
def test_few_recordings_leave_one_to_test(tmp_path: Path, number: int) -> None:
    write_split(tmp_path, "Train", digits(number))
    with pytest.warns(UserWarning, match=f"the 1 of its {number} training recordings"):
        train, test = load_nmnist(tmp_path)
    assert (len(train), len(test)) == (number - 1, 1)


def test_one_recording_leaves_none_to_test(tmp_path: Path) -> None:
    write_split(tmp_path, "Train", digits(1))
    with pytest.raises(ValueError, match=r"one training recording .* no test recordings"):
        load_nmnist(tmp_path)


@given(st.integers(0, 50), st.integers(0, 10**6))
def test_what_is_written_is_read(number: int, seed: int) -> None:
    events = random_events(number, seed, sensor=(240, 256))
    assert decode_recording(to_bytes(events), "file").tolist() == events.tolist()


def test_every_bit_of_an_event() -> None:
    raw = bytes([33, 0, 0xFF, 0xFF, 0xFF, 0, 33, 0x7F, 0x00, 0x01])
    events = decode_recording(raw, "file")
    assert events.tolist() == [(0x7FFFFF, 33, 0, True), (0x7F0001, 0, 33, False)]


@given(st.lists(st.booleans(), max_size=40))
def test_overflows_of_the_clock(overflows: list[bool]) -> None:
    """Against one event after the other: all from the overflow on are later, it is none itself."""
    raw, expected, late = b"", [], 0
    for i, overflow in enumerate(overflows):
        raw += bytes([i % 34, 240 if overflow else i % 34, 0, 0, i])
        late += overflow
        if not overflow:
            expected.append((i + late * 8192, i % 34, i % 34, False))
    assert decode_recording(raw, "file").tolist() == expected


def test_the_real_recordings(nmnist_root: Path) -> None:
    with pytest.warns(UserWarning, match="no test recordings"):
        train, test = load_nmnist(nmnist_root)
    assert (len(train), len(test)) == (700, 100)
    assert train.labels.bincount(minlength=10).min() > 40
    total = np.zeros((34, 34))
    for events, _ in train.batches(100):
        assert int(events.t.max()) < 330_000
        np.add.at(total, (events.y.numpy(), events.x.numpy()), 1)
    # Digits lie in the middle, and both polarities follow their edges.
    assert total[10:24, 10:24].mean() > 5 * total[:, :4].mean()
    assert 0.4 < float(events.p.float().mean()) < 0.6


def test_nothing_is_kept_of_what_was_read(root: Path) -> None:
    train, _ = load_nmnist(root)
    before = torch.cat([events.t for events, _ in train.batches(8)])
    write_split(root / "N-MNIST", "Train", {"0/00001.bin": to_bytes(random_events(3, seed=99))})
    after = torch.cat([events.t for events, _ in train.batches(8)])
    assert len(after) == len(before) - 17
