"""Events as arrays and as tensors.

Shapes: ``B`` recordings of a batch, ``E`` events of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Events = NDArray[np.void]

EVENT = np.dtype([("t", np.int64), ("x", np.int16), ("y", np.int16), ("p", np.bool_)])
"""Of an event: microseconds, column, row, and whether it became brighter."""


@dataclass(frozen=True, eq=False, repr=False)
class EventBatch:
    """Events of several recordings, one after the other.

    What an `spikemnist.encoding.EventEncoder` takes in place of images. Its length is the number
    of recordings.

    Attributes
    ----------
    t, x, y, p
        ``[E]``: microseconds (int64), column, row (int16), and whether it became brighter (bool).
    starts
        ``[B + 1]``, int64: the events of recording b are those from ``starts[b]`` to before
        ``starts[b + 1]``, in the order of their time.
    sensor
        Height and width.

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
        recordings
            Arrays ``[E]`` of dtype `EVENT`, each in the order of its time.
        sensor
            Height and width.

        Returns
        -------
        EventBatch

        Raises
        ------
        TypeError, ValueError
            If events have another dtype, lie beyond the sensor, or go back in time; the message
            names the recording.
        """
        for index, events in enumerate(recordings):
            check_events(events, sensor, f"recording {index} of the batch")
        starts = np.zeros(len(recordings) + 1, np.int64)
        np.cumsum([len(events) for events in recordings], out=starts[1:])
        joined = np.concatenate([np.empty(0, EVENT), *recordings])
        t, x, y, p = (torch.from_numpy(joined[name].copy()) for name in ("t", "x", "y", "p"))
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
        index
            Which recording, from 0 to B - 1.

        Returns
        -------
        numpy.ndarray
            ``[E]``, of dtype `EVENT`: the events of this recording alone.

        Raises
        ------
        IndexError
            When there is no such recording.
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
        device
            Where its tensors shall be.

        Returns
        -------
        EventBatch
        """
        t, x, y, p = (field.to(device) for field in (self.t, self.x, self.y, self.p))
        return EventBatch(t, x, y, p, self.starts.to(device), self.sensor)


def check_events(events: Any, sensor: tuple[int, int], what: str) -> None:
    """Raise unless these are events of such a sensor, in the order of their time."""
    if not isinstance(events, np.ndarray) or events.dtype != EVENT:
        found = events.dtype if isinstance(events, np.ndarray) else type(events).__name__
        raise TypeError(f"{what} is {found}; expected a NumPy array of dtype {EVENT}")
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
        raise ValueError(f"{what} goes back in time; expected events in the order of t")
