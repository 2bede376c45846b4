"""Population code: several neurons for each pixel, each with a brightness that it prefers.

Shapes: ``T`` timesteps, ``B`` batch, ``M`` receptive fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from spikemnist.encoding.pixels import Coded, by_sample
from spikemnist.encoding.protocol import (
    check_dtype,
    check_num_steps,
    check_spikes,
    intensities,
    is_integer,
)
from spikemnist.encoding.registry import register_encoder
from spikemnist.encoding.spikes import once, timesteps

if TYPE_CHECKING:
    from torch import Tensor

LEAST_FIELDS = 3
"""Two lie at the ends, half outside."""

LEVELS = 256
"""Grey values among which `PopulationEncoder.decode` looks for the most likely one."""


@register_encoder("population")
@dataclass(frozen=True, kw_only=True)
class PopulationEncoder:
    r"""Gaussian receptive fields: the nearer a pixel is to a field's centre, the earlier it fires.

    .. math::

        r_i(x) &= \exp\left(-\frac{(x - \mu_i)^2}{2 \sigma^2}\right), \qquad
        \mu_i = \frac{2 i - 1}{2 (M - 2)}, \qquad \sigma = \frac{1}{\beta (M - 2)} \\
        t_i(x) &= \operatorname{round}\big((1 - r_i(x)) (T - 1)\big)

    for the fields :math:`i = 0 \ldots M - 1`. One whose response lies below the threshold stays
    silent. A dark pixel has its neurons as well, so that there are many more spikes than in other
    codes: what is gained is that each pixel speaks, and that neurons behind see classes of
    brightness apart.

    Parameters
    ----------
    num_steps
        Number of timesteps, ``T``.
    num_fields
        :math:`M`, at least 3.
    overlap
        :math:`\beta`: the larger, the narrower are the fields.
    threshold
        In (0, 1): the smallest response that fires.
    dtype
        Of the spikes; ``torch.uint8`` or ``torch.bool`` where they should be compact.

    Raises
    ------
    ValueError
        For a parameter out of its range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Bohte, Kok, La Poutré, *Error-backpropagation in temporally encoded networks of spiking
    neurons*, Neurocomputing, 2002.

    The fields are a new axis behind the batch, like the channels of an image: a network takes M
    times as many features.

    Examples
    --------
    >>> import torch
    >>> encoder = PopulationEncoder(num_steps=10, num_fields=4)
    >>> spikes = encoder(torch.tensor([[0.0, 0.5, 1.0]]))
    >>> spikes.shape
    torch.Size([10, 1, 4, 3])
    >>> encoder.decode(spikes).round(decimals=1)
    tensor([[0.0000, 0.5000, 1.0000]])
    """

    binary: ClassVar[bool] = True

    num_steps: int
    num_fields: int = 8
    overlap: float = 1.5
    threshold: float = 0.1
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        check_num_steps(self.num_steps)
        check_dtype(self.dtype)
        if not is_integer(self.num_fields, LEAST_FIELDS):
            raise ValueError(
                f"num_fields must be an integer >= {LEAST_FIELDS}; got {self.num_fields!r}"
            )
        if not 0 < self.overlap < float("inf"):
            raise ValueError(f"overlap must be positive and finite; got {self.overlap}")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold must lie in (0, 1); got {self.threshold}")
        between = math.exp(-((self.overlap / 2) ** 2) / 2)
        if between < self.threshold:
            raise ValueError(
                f"a pixel between two fields would be silent: they respond with {between:.3g}, "
                f"and threshold={self.threshold}. Lower threshold or overlap"
            )

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Parameters
        ----------
        images
            ``[B, ...]``, uint8 or floating in [0, 1].
        generator
            Not used: the code is deterministic.

        Returns
        -------
        torch.Tensor
            ``[T, B, M, ...]``, zeros and ones of the dtype asked for.
        """
        times = self._times(intensities(images).detach().float())
        spikes = once(Coded(by_sample(times)), num_steps=self.num_steps, dtype=self.dtype)
        return spikes.view(self.num_steps, *times.shape)

    def _times(self, x: Tensor) -> Tensor:
        """Return when each field fires, ``[B, M, ...]``, below 0 where it does not."""
        spaces = self.num_fields - 2
        fields = torch.arange(self.num_fields, dtype=torch.float32, device=x.device)
        centres = ((2 * fields - 1) / (2 * spaces)).view(-1, *[1] * (x.dim() - 1))
        deviations = (x.unsqueeze(1) - centres) * (self.overlap * spaces)
        response = (-0.5 * deviations * deviations).exp()
        times = ((1 - response) * (self.num_steps - 1)).round()
        return torch.where(response < self.threshold, -1, times)

    def decode(self, spikes: Tensor) -> Tensor:
        """Read images back: the grey value whose spikes are nearest.

        Nearest in the sum of what the times of all fields differ by; a field that is silent
        counts as one that fires after the last timestep. Of several, their mean.

        Parameters
        ----------
        spikes
            ``[T, B, M, ...]``.

        Returns
        -------
        torch.Tensor
            Pixels in [0, 1], float32 ``[B, ...]``.

        Raises
        ------
        ValueError
            For another number of timesteps.
        """
        check_spikes(spikes, self.num_steps)
        fired = spikes.float()
        step = timesteps(self.num_steps, fired[0])
        times = torch.where(fired.any(0), (step * fired).sum(0), self.num_steps)
        levels = torch.arange(LEVELS, device=spikes.device) / (LEVELS - 1)
        known = self._times(levels)
        known = torch.where(known < 0, self.num_steps, known)
        pixels = times.movedim(1, -1)
        distance = torch.cdist(pixels.reshape(-1, self.num_fields), known, p=1)
        nearest = (distance == distance.amin(1, keepdim=True)).float()
        return ((nearest @ levels) / nearest.sum(1)).view(pixels.shape[:-1])
