"""Population code: several neurons for each pixel, each with a preferred brightness.

Shapes: ``T`` timesteps, ``B`` batch, ``M`` receptive fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist.encoding.pixels import CodedPixels, by_sample
from spikemnist.encoding.protocol import PixelEncoder, check_steps
from spikemnist.encoding.spikes import one_spike, timesteps

LEAST_FIELDS = 3
"""Fewest fields; two lie at the ends, half outside."""

GREY_VALUES = 256
"""Number of grey values that `PopulationEncoder.decode` compares."""


@named()
@dataclass(frozen=True, kw_only=True)
class PopulationEncoder(PixelEncoder):
    r"""Encode a pixel by Gaussian receptive fields: the nearest field fires first.

    .. math::

        r_i(x) &= \exp\left(-\frac{(x - \mu_i)^2}{2 \sigma^2}\right), \qquad
        \mu_i = \frac{2 i - 1}{2 (M - 2)}, \qquad \sigma = \frac{1}{\beta (M - 2)} \\
        t_i(x) &= \operatorname{round}\big((1 - r_i(x)) (T - 1)\big)

    for the fields :math:`i = 0 \ldots M - 1`. A field whose response :math:`r_i` is below the
    threshold stays silent. Dark pixels have their neurons as well, so there are many more spikes
    than in other codes. In return every pixel fires, and later neurons see ranges of brightness
    separately.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    num_fields : int, default 8
        Number of fields :math:`M`, at least 3.
    overlap : float, default 1.5
        Factor :math:`\beta`: the larger, the narrower the fields.
    threshold : float, default 0.1
        Smallest response that fires, in (0, 1).

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Bohte, Kok, La Poutré, *Error-backpropagation in temporally encoded networks of spiking
    neurons*, Neurocomputing, 2002.

    The fields are a new axis after the batch, like the channels of an image: a network takes M
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

    num_fields: int = 8
    overlap: float = 1.5
    threshold: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        spans = {"overlap": "(0, inf)", "threshold": "(0, 1)"}
        set_numbers(self, num_fields=f"{LEAST_FIELDS}..", **spans)
        between = math.exp(-((self.overlap / 2) ** 2) / 2)
        if between < self.threshold:
            raise ValueError(
                f"a pixel between two fields would be silent: both respond with {between:.3g}, "
                f"below threshold={self.threshold}. Lower threshold or overlap"
            )

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the spikes of pixels ``[B, ...]`` as ``[T, B, M, ...]``."""
        times = self._times(x)
        spikes = one_spike(CodedPixels(by_sample(times)), num_steps=self.num_steps, dtype=dtype)
        return spikes.view(self.num_steps, *times.shape)

    def _times(self, x: Tensor) -> Tensor:
        """Return the timestep of each field, ``[B, M, ...]``, negative if it does not fire."""
        spaces = self.num_fields - 2
        fields = torch.arange(self.num_fields, dtype=torch.float32, device=x.device)
        centres = ((2 * fields - 1) / (2 * spaces)).view(-1, *[1] * (x.dim() - 1))
        deviations = (x.unsqueeze(1) - centres) * (self.overlap * spaces)
        response = (-0.5 * deviations * deviations).exp()
        times = ((1 - response) * (self.num_steps - 1)).round()
        return torch.where(response < self.threshold, -1, times)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the grey value whose spikes are nearest.

        The distance is the sum of the time differences of all fields; a silent field counts as
        firing after the last timestep. If several grey values are nearest, their mean is taken.
        """
        check_steps(spikes, self.num_steps)
        raster = spikes.float()
        step = timesteps(self.num_steps, raster[0])
        times = torch.where(raster.any(0), (step * raster).sum(0), self.num_steps)
        levels = torch.arange(GREY_VALUES, device=spikes.device) / (GREY_VALUES - 1)
        references = self._times(levels)
        references = torch.where(references < 0, self.num_steps, references)
        pixels = times.movedim(1, -1)
        distance = torch.cdist(pixels.reshape(-1, self.num_fields), references, p=1)
        nearest = (distance == distance.amin(1, keepdim=True)).float()
        return ((nearest @ levels) / nearest.sum(1)).view(pixels.shape[:-1])
