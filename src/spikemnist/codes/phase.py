"""Phase code: the binary digits of a pixel, one after the other.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist.encoding.protocol import PixelEncoder, check_steps
from spikemnist.encoding.spikes import timesteps

MOST_PHASES = 16
"""Most digits; single precision holds whole numbers of this size with room to spare."""


@named()
@dataclass(frozen=True, kw_only=True)
class PhaseEncoder(PixelEncoder):
    r"""Encode a pixel as its binary digits: a spike at each phase whose digit is one.

    .. math::

        q = \operatorname{round}\big(x (2^K - 1)\big) = \sum_{k<K} b_k 2^{K-1-k},
        \qquad S_t = b_{t \bmod K}

    A spike at phase k weighs :math:`2^{-(1 + k)}`: the first tells whether a pixel is brighter than
    the middle, and each later one halves the remaining range. After K timesteps the code is
    complete and begins anew.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``; fewer than ``num_phases`` omit the last digits.
    num_phases : int, default 8
        Number of phases :math:`K`, from 1 to 16. Eight represent a uint8 pixel exactly.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Kim, Kim, Huh, Lee, Choi, *Deep neural networks with weighted spikes*, Neurocomputing, 2018.

    Only neurons that weigh a spike by its phase read the code as a number. To other leaky neurons
    it is just a pattern in time.

    Examples
    --------
    >>> import torch
    >>> encoder = PhaseEncoder(num_steps=4, num_phases=4)
    >>> spikes = encoder(torch.tensor([[0.0, 0.4, 1.0]]))
    >>> spikes[:, 0].T
    tensor([[0., 0., 0., 0.],
            [0., 1., 1., 0.],
            [1., 1., 1., 1.]])
    >>> encoder.decode(spikes)
    tensor([[0.0000, 0.4000, 1.0000]])
    """

    num_phases: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        set_numbers(self, num_phases=f"1..{MOST_PHASES}")

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        number = (x * (2**self.num_phases - 1)).round().to(torch.int32)
        phase = timesteps(self.num_steps, number) % self.num_phases
        digits: Tensor = number >> (self.num_phases - 1 - phase) & 1
        return digits.to(dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the number that the digits form, with zeros for missing digits."""
        check_steps(spikes, self.num_steps)
        digits = spikes[: self.num_phases].float()
        phase = timesteps(len(digits), digits[0])
        weights = torch.pow(2.0, self.num_phases - 1 - phase)
        number: Tensor = (digits * weights).sum(0) / (2**self.num_phases - 1)
        return number
