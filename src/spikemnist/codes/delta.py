"""Delta code: a pixel fires while it is brighter than the estimate from its spikes so far.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist.encoding.protocol import PixelEncoder, check_steps
from spikemnist.encoding.spikes import timesteps


@named()
@dataclass(frozen=True, kw_only=True)
class DeltaEncoder(PixelEncoder):
    r"""Encode a pixel as one spike for each threshold step that its estimate has to rise.

    .. math::

        S_t &= 1 \text{ if } x - \hat x_{t-1} \ge \theta, \text{ else } 0 \\
        \hat x_t &= \hat x_{t-1} + \theta S_t, \qquad \hat x_{-1} = 0

    The picture appears out of the dark and stays. So a pixel fires at the first
    :math:`\min(\lfloor x / \theta \rfloor, T)` timesteps, and the number of spikes tells its
    brightness. There is no spike for darkening, since no pixel becomes darker.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``. Pixels brighter than ``num_steps * threshold`` look the same.
    threshold : float, default 0.1
        Threshold :math:`\theta` in (0, 1], the resolution of the code.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Lichtsteiner, Posch, Delbruck, *A 128 × 128 120 dB 15 μs latency asynchronous temporal
    contrast vision sensor*, IEEE Journal of Solid-State Circuits, 2008. The pixels of that sensor
    send such events. `snntorch.spikegen.delta` does the same for signals given as a sequence.

    Examples
    --------
    >>> import torch
    >>> encoder = DeltaEncoder(num_steps=5, threshold=0.25)
    >>> spikes = encoder(torch.tensor([[0.0, 0.3, 1.0]]))
    >>> spikes.sum(0), encoder.decode(spikes)
    (tensor([[0., 1., 4.]]), tensor([[0.0000, 0.3750, 1.0000]]))
    """

    threshold: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        set_numbers(self, threshold="(0, 1]")

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        rises = (x / self.threshold).floor()
        return (timesteps(self.num_steps, rises) < rises).to(dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the middle of the range that the number of spikes allows."""
        check_steps(spikes, self.num_steps)
        number = spikes.float().sum(0)
        return ((number + 0.5) * self.threshold).clamp_max(1).where(number > 0, 0)
