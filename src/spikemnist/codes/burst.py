"""Burst code: brighter pixels fire more spikes, closer together.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist.encoding.protocol import PixelEncoder, check_steps
from spikemnist.encoding.spikes import timesteps

MOST_SPIKES = 100_000
"""Limit of ``max_spikes`` and the intervals, which bounds the search for the longest burst."""


@named()
@dataclass(frozen=True, kw_only=True)
class BurstEncoder(PixelEncoder):
    r"""Encode a pixel as a burst from timestep 0; its brightness sets the length and the interval.

    .. math::

        N(x) &= \lceil N_{\max} x \rceil \\
        I(x) &= \lceil I_{\max} - (I_{\max} - I_{\min}) x \rceil \\
        S_t &= 1 \text{ if } t = k I(x) \text{ for some } k < N(x), \text{ else } 0

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    max_spikes : int, default 4
        Number of spikes :math:`N_{\max}` of a pixel of 1.
    min_interval, max_interval : int, default 1 and 2
        Timesteps :math:`I_{\min}` and :math:`I_{\max}` from one spike of a burst to the next.

    Raises
    ------
    ValueError
        For a parameter out of range, and if the longest burst does not fit the window; when
        called, for images that are not uint8 or floating in [0, 1].

    Notes
    -----
    Guo, Fouda, Eltawil, Salama, *Neural coding in spiking neural networks: a comparative study
    for robust neuromorphic systems*, Frontiers in Neuroscience, 2021.

    Examples
    --------
    >>> import torch
    >>> encoder = BurstEncoder(num_steps=9, max_spikes=3, min_interval=1, max_interval=4)
    >>> encoder(torch.tensor([[0.0, 0.1, 0.5, 1.0]]))[:, 0].T
    tensor([[0., 0., 0., 0., 0., 0., 0., 0., 0.],
            [1., 0., 0., 0., 0., 0., 0., 0., 0.],
            [1., 0., 0., 1., 0., 0., 0., 0., 0.],
            [1., 1., 1., 0., 0., 0., 0., 0., 0.]])
    """

    max_spikes: int = 4
    min_interval: int = 1
    max_interval: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        span = f"1..{MOST_SPIKES}"
        set_numbers(self, max_spikes=span, max_interval=span)
        set_numbers(self, min_interval=f"1..{self.max_interval}")
        if self._latest >= self.num_steps:
            raise ValueError(
                f"the longest burst ends on timestep {self._latest}, after the last of "
                f"num_steps={self.num_steps}: raise num_steps to {self._latest + 1}, or lower "
                "max_spikes or max_interval"
            )

    @property
    def _latest(self) -> int:
        """The last timestep with a spike of any burst."""
        # The faintest pixel with n spikes is just brighter than (n - 1) / max_spikes.
        spread = self.max_interval - self.min_interval
        return max(
            (n - 1) * (self.max_interval - spread * (n - 1) // self.max_spikes)
            for n in range(1, self.max_spikes + 1)
        )

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        spikes = (x * self.max_spikes).ceil().to(torch.int32)
        spread = self.max_interval - self.min_interval
        interval = (self.max_interval - x * spread).ceil().to(torch.int32)
        step = timesteps(self.num_steps, spikes)
        return ((step % interval == 0) & (step < spikes * interval)).to(dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the middle of the range that number and interval of the spikes allow."""
        check_steps(spikes, self.num_steps)
        raster = spikes.float()
        number = raster.sum(0)
        low, high = (number - 1) / self.max_spikes, number / self.max_spikes
        spread = self.max_interval - self.min_interval
        if spread:
            # The second spike is one interval after the first, which is at timestep 0.
            later = timesteps(self.num_steps, raster[0]) * raster
            interval = torch.where(later > 0, later, self.num_steps).amin(0)
            several = number > 1
            slowest = (self.max_interval - interval) / spread
            low = torch.where(several, torch.maximum(low, slowest), low)
            high = torch.where(several, torch.minimum(high, slowest + 1 / spread), high)
        return torch.where(number > 0, (low + high) / 2, 0)
