"""Events of a camera as spikes: the events only have to be sorted into timesteps.

Shapes: ``T`` timesteps, ``B`` batch, ``E`` events, ``H`` height and ``W`` width of the sensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from spikemnist._arguments import check_choice, named, set_numbers
from spikemnist.encoding.protocol import Timesteps
from spikemnist.events.recordings import EVENT, EventBatch


@named()
@dataclass(frozen=True, kw_only=True)
class EventEncoder(Timesteps):
    r"""Sort events into timesteps; a pixel fires once in each timestep with any of its events.

    An event at the time :math:`t_i` falls into timestep

    .. math:: \lfloor T (t_i - t_1) / D \rfloor

    where :math:`D` is ``duration`` or, without it, the duration :math:`t_n - t_1 + 1` of the
    recording.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    duration : int, default None
        Microseconds that the timesteps cover from the first event of a recording; later events are
        dropped. ``None`` takes the duration of each recording, so its end must be known before its
        first spike.
    polarity : str, default "channels"
        ``"channels"``: one channel for pixels that became darker, then one for brighter pixels.
        ``"merged"``: one channel for both.

    Raises
    ------
    ValueError
        For a parameter out of range.
    TypeError
        If called with images in place of events.

    Examples
    --------
    >>> import numpy as np
    >>> from spikemnist.data import EVENT, EventBatch
    >>> moving = np.array([(0, 0, 1, True), (100, 1, 1, True), (230, 2, 1, False)], EVENT)
    >>> events = EventBatch.gather([moving], sensor=(2, 3))
    >>> spikes = EventEncoder(num_steps=3)(events)
    >>> spikes.shape
    torch.Size([3, 1, 2, 2, 3])
    >>> spikes[:, 0].nonzero().tolist()  # timestep, channel, row, column
    [[0, 1, 1, 0], [1, 1, 1, 1], [2, 0, 1, 2]]
    """

    binary: ClassVar[bool] = True

    duration: int | None = None
    polarity: Literal["channels", "merged"] = "channels"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("polarity", self.polarity, ("channels", "merged"))
        set_numbers(self, duration="1..")

    def __call__(
        self,
        events: EventBatch,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Sort the events of B recordings into spikes ``[T, B, channels, H, W]``."""
        if not hasattr(events, "starts"):
            raise TypeError(
                "EventEncoder needs an EventBatch, the events of a spikemnist.data.EventDataset; "
                f"got {type(events).__name__}. Use another encoder for images"
            )
        height, width = events.sensor
        channels = 2 if self.polarity == "channels" else 1
        shape = (self.num_steps, len(events), channels, height, width)
        counts = events.starts.diff()
        sample = torch.arange(len(events), device=counts.device).repeat_interleave(counts)
        step = self._steps(events, sample)
        place = step * len(events) + sample
        if channels == 2:
            place = place * 2 + events.p
        place = (place * height + events.y) * width + events.x
        spikes = torch.zeros(shape, dtype=dtype, device=counts.device)
        spikes.view(-1)[place[step < self.num_steps]] = 1
        return spikes

    def blank(self, sensor: tuple[int, int]) -> EventBatch:
        """Return a recording without events.

        Parameters
        ----------
        sensor : tuple of int
            Height and width of the sensor.

        Returns
        -------
        EventBatch
        """
        return EventBatch.gather([np.empty(0, EVENT)], sensor)

    def _steps(self, events: EventBatch, sample: Tensor) -> Tensor:
        """Return the timestep of each event, ``[E]``; T or more for dropped events."""
        since = events.t - events.t[events.starts[sample]]
        if self.duration is not None:
            return since * self.num_steps // self.duration
        last = events.starts[1:][sample] - 1
        return since * self.num_steps // (since[last] + 1)
