"""Events of an event camera: arrays, batches of tensors, and recordings with one label each.

Shapes: ``N`` recordings, ``B`` recordings of a batch, ``E`` events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset

from spikemnist._arguments import check_number, takes
from spikemnist._descriptions import plain
from spikemnist.data.dataset import LabelledDataset

Events: TypeAlias = NDArray[np.void]

EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.bool_)])
"""Dtype of an event: microseconds, column, row, and whether the pixel became brighter."""


@dataclass(frozen=True, eq=False, repr=False)
class EventBatch:
    """Events of several recordings, one after the other.

    An `spikemnist.encoding.EventEncoder` takes such a batch in place of images. Its length is the
    number of recordings.

    Attributes
    ----------
    t, x, y, p
        ``[E]``: microseconds (int64), column and row (int16), and whether the pixel became
        brighter (bool).
    starts
        ``[B + 1]``, int64. Recording b has the events ``starts[b]`` to ``starts[b + 1] - 1``, in
        order of time.
    sensor
        Height and width, in pixels.

    Examples
    --------
    >>> moving = np.array([(0, 0, 1, True), (100, 1, 1, False)], EVENT)
    >>> batch = EventBatch.gather([moving, moving[:1]], sensor=(2, 3))
    >>> batch
    EventBatch(2 recordings, 3 events, sensor 2 x 3, cpu)
    >>> batch.starts.tolist(), batch.x.tolist()
    ([0, 2, 3], [0, 1, 0])
    """

    t: Tensor
    x: Tensor
    y: Tensor
    p: Tensor
    starts: Tensor
    sensor: tuple[int, int]

    @classmethod
    def gather(cls, recordings: Sequence[Events], sensor: tuple[int, int]) -> EventBatch:
        """Make a batch of recordings.

        Parameters
        ----------
        recordings : sequence of numpy.ndarray
            Arrays ``[E]`` of dtype `EVENT`, each in order of time.
        sensor : tuple of int
            Height and width, in pixels.

        Returns
        -------
        EventBatch

        Raises
        ------
        TypeError, ValueError
            If events have another dtype, lie beyond the sensor, or are not in order of time; the
            message names the recording.
        """
        for index, events in enumerate(recordings):
            check_events(events, sensor, f"recording {index} of the batch")
        starts = np.zeros(len(recordings) + 1, np.int64)
        np.cumsum([len(events) for events in recordings], out=starts[1:])
        rows = np.concatenate([np.empty(0, EVENT), *recordings])
        t, x, y, p = (torch.from_numpy(rows[name].copy()) for name in ("t", "x", "y", "p"))
        return cls(t, x, y, p, torch.from_numpy(starts), sensor)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __repr__(self) -> str:
        height, width = self.sensor
        return (
            f"EventBatch({len(self)} recordings, {len(self.t)} events, sensor {height} x {width}, "
            f"{self.t.device})"
        )

    def recording(self, index: int) -> Events:
        """Return the events of one recording.

        Parameters
        ----------
        index : int
            Index of the recording, from 0 to B - 1.

        Returns
        -------
        numpy.ndarray
            Events ``[E]`` of this recording, of dtype `EVENT`.

        Raises
        ------
        IndexError
            If there is no such recording.
        """
        if not 0 <= index < len(self.starts) - 1:
            raise IndexError(f"a batch of {len(self.starts) - 1} has no recording {index}")
        begin, end = (int(place) for place in self.starts[index : index + 2])
        events = np.empty(end - begin, EVENT)
        for name in EVENT.names or ():
            events[name] = getattr(self, name)[begin:end].cpu().numpy()
        return events

    def to(self, device: torch.device | str) -> EventBatch:
        """Return the batch on another device.

        Parameters
        ----------
        device : torch.device or str
            Target device.

        Returns
        -------
        EventBatch
        """
        t, x, y, p = (field.to(device) for field in (self.t, self.x, self.y, self.p))
        return EventBatch(t, x, y, p, self.starts.to(device), self.sensor)


def check_events(events: Any, sensor: tuple[int, int], what: str) -> None:
    """Raise unless ``events`` lie on the sensor and are in order of time."""
    if not isinstance(events, np.ndarray) or events.dtype != EVENT:
        kind = events.dtype if isinstance(events, np.ndarray) else type(events).__name__
        raise TypeError(f"{what} is {kind}; expected a NumPy array of dtype {EVENT}")
    if not len(events):
        return
    height, width = sensor
    x, y = events["x"], events["y"]
    if x.min() < 0 or y.min() < 0 or x.max() >= width or y.max() >= height:
        raise ValueError(
            f"{what} has events from ({x.min()}, {y.min()}) to ({x.max()}, {y.max()}), columns and "
            f"rows; expected them on a sensor of {width} columns and {height} rows"
        )
    if (np.diff(events["t"]) < 0).any():
        raise ValueError(f"{what} has a decreasing time; expected events sorted by t")


class Recordings(Protocol):
    """A source of events: a list of arrays, or any object that reads them when indexed.

    If it has a method ``path(index)``, error messages name the file of a recording.
    """

    def __len__(self) -> int:
        """Return the number of recordings."""
        ...

    def __getitem__(self, index: int, /) -> Events:
        """Return the events of a recording, of dtype `EVENT`, in order of time."""
        ...


class Transform(Protocol):
    """A change of a recording, applied each time it is read."""

    def __call__(
        self, events: Events, sensor: tuple[int, int], generator: np.random.Generator, /
    ) -> tuple[Events, tuple[int, int]]:
        """Change the events of a recording.

        Parameters
        ----------
        events : numpy.ndarray
            Events ``[E]``, of dtype `EVENT`. They must stay as they are.
        sensor : tuple of int
            Height and width of their sensor, in pixels.
        generator : numpy.random.Generator
            Source of all randomness.

        Returns
        -------
        events : numpy.ndarray
            Changed events, ``[E]``.
        sensor : tuple of int
            Height and width of their sensor, in pixels.
        """
        ...


@dataclass(frozen=True)
class EventsOnly:
    """A transform of events alone, as those of tonic are, called as all others.

    The sensor stays. The events, of which it gets a copy, are sorted by time afterwards. NumPy's
    global random numbers are seeded by the generator for the call, and restored.
    """

    transform: Callable[..., Any]

    def __call__(
        self, events: Events, sensor: tuple[int, int], generator: np.random.Generator, /
    ) -> tuple[Events, tuple[int, int]]:
        """Change the events of a recording."""
        if not len(events):
            return events, sensor
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(generator.integers(2**32))  # noqa: NPY002
        try:
            changed = self.transform(events.copy())
        finally:
            np.random.set_state(state)  # noqa: NPY002
        if getattr(changed, "dtype", None) == EVENT:
            changed = changed[changed["t"].argsort(kind="stable")]
        return changed, sensor


@dataclass(frozen=True, eq=False, repr=False)
class EventDataset(LabelledDataset[Events, EventBatch]):
    """Recordings of an event camera with one label each.

    Events are read only when a batch needs them. An integer index gives one ``(events, label)``
    pair; a slice, a tensor of indices or a boolean mask gives another dataset. A
    `torch.utils.data.DataLoader` with ``collate_fn=data.collate`` reads in its worker processes.

    Parameters
    ----------
    recordings : sequence of numpy.ndarray
        Arrays of dtype `EVENT`: time ``t`` in microseconds, column ``x``, row ``y``, polarity
        ``p``, true if the pixel became brighter. A list, or any object with a length that reads
        them when indexed.
    labels : torch.Tensor
        Integer labels ``[N]`` from 0 on. Stored as int64.
    sensor : tuple of int
        Height and width, in pixels.
    classes : tuple of str, default ()
        Name of each label; ``()`` for labels without names.
    transforms : tuple of callable, default ()
        Transforms applied to each recording when it is read: see `transformed`.
    name, root : str, default ""
        Name of the data set, and the folder of its files: see `ImageDataset`.

    Raises
    ------
    TypeError, ValueError
        If labels, recordings, classes and sensor do not match.

    Examples
    --------
    >>> import numpy as np, torch
    >>> moving = np.array([(0, 0, 2, True), (100, 1, 2, True), (230, 2, 2, False)], EVENT)
    >>> data = EventDataset([moving, moving[:1]], torch.tensor([1, 0]), sensor=(4, 4))
    >>> data
    EventDataset(2 recordings, sensor 4 x 4)
    >>> events, labels = next(data.batches(2))
    >>> len(events), events.t.tolist(), labels.tolist()
    (2, [0, 100, 230, 0], [1, 0])
    """

    recordings: Recordings
    labels: Tensor
    sensor: tuple[int, int]
    classes: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    name: str = ""
    root: str = ""

    def __post_init__(self) -> None:
        height, width = (check_number("each size of sensor", size, "1..") for size in self.sensor)
        object.__setattr__(self, "sensor", (height, width))
        self._set_labels(len(self.recordings), "recordings")
        transforms = (one if takes(one, 3) else EventsOnly(one) for one in self.transforms)
        object.__setattr__(self, "transforms", tuple(transforms))

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes else ""
        transforms = "".join(f", {transform}" for transform in self.transforms)
        height, width = self.seen_sensor
        return (
            f"EventDataset({len(self)} recordings, sensor {height} x {width}{classes}{transforms})"
        )

    @property
    def seen_sensor(self) -> tuple[int, int]:
        """Height and width of the sensor after all transforms."""
        return self._transform(np.empty(0, EVENT), 0, 0)[1]

    @property
    def sample_shape(self) -> tuple[int, int]:
        """Height and width of the sensor after all transforms, as `seen_sensor`."""
        return self.seen_sensor

    def describe(self) -> dict[str, Any]:
        """Return the description of the data of a run, with the transforms.

        Returns
        -------
        dict
            In the types of JSON.
        """
        return {**super().describe(), "changes": plain(self.transforms)}

    def transformed(self, *transforms: Transform | Callable[[Events], Events]) -> EventDataset:
        """Return the dataset with further transforms of each recording.

        Parameters
        ----------
        *transforms : callable
            `FirstSaccade`, `DropEvents`, or your own functions: each takes events, sensor and a
            generator, and returns events and sensor. The generator is seeded with the seed of
            `batches` and the recording's index in the dataset: each epoch of
            `spikemnist.training.fit` draws new numbers, and each run draws the same ones. A
            function of events alone, as the transforms of tonic are, leaves the sensor as it is;
            it draws from NumPy's global generator, seeded alike, and its events are sorted by time.

        Returns
        -------
        EventDataset
            Dataset of the same recordings; nothing is read yet.

        Examples
        --------
        >>> def left_half(events, sensor, generator):
        ...     height, width = sensor[0], sensor[1] // 2
        ...     return events[events["x"] < width], (height, width)
        >>> moving = np.array([(0, 0, 2, True), (100, 1, 2, True), (230, 2, 2, False)], EVENT)
        >>> data = EventDataset([moving], torch.tensor([1]), sensor=(4, 4))
        >>> left = data.transformed(left_half)
        >>> left.seen_sensor, left[0][0]["t"].tolist()
        ((4, 2), [0, 100])
        """
        both: Any = (*self.transforms, *transforms)
        return replace(self, transforms=both)

    def collate(self, samples: Sequence[tuple[Events, Tensor]]) -> tuple[EventBatch, Tensor]:
        """Make a batch of samples of this dataset: the ``collate_fn`` of a DataLoader.

        A DataLoader indexes the dataset. Indexing seeds the transforms with 0, so they draw the
        same numbers in each epoch; `batches` with a new seed draws new ones.

        Parameters
        ----------
        samples : sequence of tuple
            ``B`` pairs of events and label, as indexing gives them.

        Returns
        -------
        events : EventBatch
        labels : torch.Tensor
            Labels ``[B]``, int64.
        """
        events, labels = zip(*samples, strict=True)
        return EventBatch.gather(events, self.seen_sensor), torch.stack(labels)

    def _sample(self, index: int) -> Events:
        return self._read(index % len(self), 0)[0]

    def _subset(self, index: slice | Tensor) -> EventDataset:
        # Any object that reads when indexed will do; torch asks for a class of its own.
        recordings: Any = self.recordings
        subset = Subset(recordings, torch.arange(len(self))[index].tolist())
        return replace(self, recordings=subset, labels=self.labels[index])

    def _batch(self, index: slice | Tensor, seed: int) -> tuple[EventBatch, Tensor]:
        read = [self._read(i, seed) for i in torch.arange(len(self))[index].tolist()]
        sensor = read[0][1]
        return EventBatch.gather([events for events, _ in read], sensor), self.labels[index]

    def _read(self, index: int, seed: int) -> tuple[Events, tuple[int, int]]:
        events = self.recordings[index]
        check_events(events, self.sensor, _name(self.recordings, index))
        return self._transform(events, index, seed)

    def _transform(self, events: Events, index: int, seed: int) -> tuple[Events, tuple[int, int]]:
        sensor = self.sensor
        generator = np.random.default_rng((seed, index))
        for transform in self.transforms:
            events, sensor = transform(events, sensor, generator)
        return events, sensor


def _name(recordings: Any, index: int) -> str:
    """Return the name of a recording in error messages: its file, if it has one."""
    if isinstance(recordings, Subset):
        return _name(recordings.dataset, recordings.indices[index])
    path = getattr(recordings, "path", None)
    return f"recording {index}" if path is None else f"{path(index)} is damaged: it"
