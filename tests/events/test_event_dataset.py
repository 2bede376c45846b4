"""Recordings in batches, their transforms, and wrong events."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from spikemnist.data import (
    EVENT,
    DropEvents,
    EventBatch,
    EventDataset,
    FirstSaccade,
)
from tests.events.event_recordings import MovingBars, left_half, random_events
from tests.strategies import SEEDS


class Counting:
    """Ten recordings; counts how often each is read."""

    def __init__(self) -> None:
        self.read = [0] * 10

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> np.ndarray:
        self.read[index] += 1
        return random_events(index, seed=index)


def dataset(recordings: object = None) -> EventDataset:
    return EventDataset(recordings or Counting(), torch.arange(10) % 3, (34, 34), ("a", "b", "c"))


def same(batch: EventBatch, index: int, events: np.ndarray) -> bool:
    return bool((batch.recording(index) == events).all()) and len(events) == int(
        batch.starts[index + 1] - batch.starts[index]
    )


@given(st.integers(1, 12), SEEDS | st.none(), st.booleans())
def test_epoch_of_recordings(size: int, seed: int | None, drop_last: bool) -> None:
    data, seen = dataset(), []
    for events, labels in data.batches(size, seed=seed, drop_last=drop_last):
        assert len(events) == len(labels) <= size
        lengths = events.starts.diff().tolist()  # each of another length: see `Counting`
        assert all(same(events, i, random_events(n, seed=n)) for i, n in enumerate(lengths))
        assert labels.tolist() == [n % 3 for n in lengths]
        seen += lengths
    assert len(seen) == len(set(seen)) == (10 - 10 % size if drop_last else 10)
    if seed is None:
        assert seen == sorted(seen)


def test_recordings_read_by_a_batch() -> None:
    recordings = Counting()
    data = dataset(recordings)
    assert (len(data), data.labels.bincount().tolist()) == (10, [4, 3, 3])
    rest, held_out = data.split(0.3, seed=1)
    batches = held_out.batches(2)
    assert sum(recordings.read) == 0
    next(batches)
    assert sum(recordings.read) == 2
    assert len(rest) + len(held_out) == 10


def test_index_beyond_a_batch() -> None:
    batch, _ = next(dataset().batches(3, seed=None))
    for wrong in (-1, 3):
        with pytest.raises(IndexError, match=f"a batch of 3 has no recording {wrong}"):
            batch.recording(wrong)


def test_indexing() -> None:
    data = dataset()
    events, label = data[-1]
    assert (events == random_events(9, seed=9)).all()
    assert int(label) == 0
    for part, lengths in (
        (data[2:4], [2, 3]),
        (data[::-5], [9, 4]),
        (data[[1, 1, 7]], [1, 1, 7]),
        (data[data.labels == 2], [2, 5, 8]),
        (data[2:9][[0, -1]], [2, 8]),
    ):
        assert [len(part[i][0]) for i in range(len(part))] == lengths
        assert part.labels.tolist() == [n % 3 for n in lengths]
    with pytest.raises(IndexError, match="index 10 is out of bounds"):
        data[10]


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader(workers: int) -> None:
    data = MovingBars(9).dataset().transformed(left_half)
    loader = DataLoader(data, batch_size=4, num_workers=workers, collate_fn=data.collate)
    for (ours, labels), (theirs, other) in zip(data.batches(4), loader, strict=True):
        assert torch.equal(labels, other)
        assert ours.sensor == theirs.sensor == (8, 4)
        for name in ("t", "x", "y", "p", "starts"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))


def test_batch_on_another_device() -> None:
    events, _ = next(dataset().batches(10))
    copy = events.to("meta")
    assert len(copy) == 10
    assert {copy.t.device.type, copy.starts.device.type} == {"meta"}
    assert copy.sensor == events.sensor
    assert "10 recordings, 45 events, sensor 34 x 34" in repr(events)


@given(SEEDS)
def test_transforms_by_index_and_seed(seed: int) -> None:
    data = dataset([random_events(60, seed=i) for i in range(10)])
    changed = data.transformed(left_half, DropEvents(0.5))
    assert changed.seen_sensor == (34, 17)
    one = {len(labels): events for events, labels in changed.batches(10, seed=seed)}[10]
    order = torch.randperm(10, generator=torch.Generator().manual_seed(seed)).tolist()
    for events, _ in changed.batches(3, seed=seed):  # in other batches: the same events
        for i in range(len(events)):
            assert same(one, 10 - len(order), events.recording(i))
            order.pop(0)
    other = next(changed.batches(10, seed=seed + 1))[0]
    assert len(one.t) != len(other.t) or not torch.equal(one.t, other.t)


class Thinning:
    """A transform of events alone, as those of tonic: it draws from NumPy's global generator."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, events: np.ndarray) -> np.ndarray:
        dropped = np.random.choice(len(events), int(self.p * len(events)), replace=False)  # noqa: NPY002
        return np.delete(events, dropped)


def jitter(events: np.ndarray) -> np.ndarray:
    """Move the times of events in place, out of their order."""
    events["t"] += np.random.normal(0, 500, len(events)).astype(int)  # noqa: NPY002
    return events


@given(SEEDS)
def test_transforms_of_events_alone(seed: int) -> None:
    recordings = [random_events(60, seed=i) for i in range(10)]
    data = dataset([events.copy() for events in recordings])
    changed = data.transformed(left_half, Thinning(0.25), jitter, DropEvents(0.1))
    assert changed.seen_sensor == (34, 17)
    np.random.seed(seed % 1000)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(seed % 1000)  # noqa: NPY002
    one, again, other = (next(changed.batches(10, seed=s))[0] for s in (seed, seed, seed + 1))
    assert np.random.random() == expected  # noqa: NPY002
    assert torch.equal(one.t, again.t)
    assert len(one.t) != len(other.t) or not torch.equal(one.t.sort()[0], other.t.sort()[0])
    assert all((data[i][0] == recordings[i]).all() for i in range(10))
    assert len(next(data.transformed(Thinning(0.25)).batches(10))[0].t) == 10 * 45


def test_transforms_given_when_a_dataset_is_made() -> None:
    data = EventDataset(Counting(), torch.arange(10), (34, 34), transforms=(jitter,))
    assert "EventsOnly(transform=<function jitter" in repr(data)
    times = data[9][0]["t"]
    assert (np.diff(times) >= 0).all()
    assert not np.array_equal(times, random_events(9, seed=9)["t"])


@pytest.mark.parametrize("frames", [lambda events: np.zeros((5, 2, 3, 4)), lambda events: None])
def test_transforms_to_something_else_than_events(frames: object) -> None:
    with pytest.raises(TypeError, match=r"recording 0 of the batch is .* of dtype \[\('t'"):
        next(dataset().transformed(frames)[1:].batches(3))


def test_share_of_dropped_events() -> None:
    events = random_events(20_000, seed=0)
    left, _ = DropEvents(0.3)(events, (34, 34), np.random.default_rng(0))
    # Five standard deviations of a binomial count.
    assert abs(len(left) - 14_000) < 5 * np.sqrt(20_000 * 0.3 * 0.7)
    assert len(DropEvents(0)(events, (34, 34), np.random.default_rng(0))[0]) == 20_000


def test_first_saccade() -> None:
    events = np.zeros(630, EVENT)
    events["t"] = np.arange(0, 315_000, 500)
    first, sensor = FirstSaccade()(events, (34, 34), np.random.default_rng(0))
    assert (sensor, len(first), first["t"].max()) == ((34, 34), 210, 104_500)
