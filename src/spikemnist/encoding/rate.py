"""Rate code: brighter pixels fire more often.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from spikemnist.encoding.protocol import (
    check_dtype,
    check_first_spike_time,
    check_num_steps,
    intensities,
)
from spikemnist.encoding.registry import register_encoder

if TYPE_CHECKING:
    from torch import Tensor


@register_encoder("rate")
@dataclass(frozen=True, kw_only=True)
class RateEncoder:
    r"""Independent Bernoulli spikes whose probability is the pixel.

    .. math:: P(S_t = 1) = \min(\max(g x + o, 0), 1) \quad \text{for } t \ge t_0, \text{ else } 0

    for a pixel :math:`x \in [0, 1]`. The mean over time converges to the probability; its
    standard error is :math:`\sqrt{p (1 - p) / T}`.

    Parameters
    ----------
    num_steps
        Number of timesteps, ``T``.
    gain, offset
        :math:`g` and :math:`o`.
    first_spike_time
        :math:`t_0`, the first timestep at which spikes are allowed.
    dtype
        Of the spikes; ``torch.uint8`` or ``torch.bool`` where they should be compact.

    Raises
    ------
    ValueError
        For a parameter out of its range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Draws in the order of `torch.bernoulli`, so with a generator seeded alike the spikes equal
    those of `snntorch.spikegen.rate`. A generator on another device than the images (a CPU
    generator with CUDA images) is honoured: the spikes are drawn there and then moved, and are
    the same on every machine.

    Adrian, Zotterman, *The impulses produced by sensory nerve-endings*, Journal of
    Physiology, 1926.

    Examples
    --------
    >>> import torch
    >>> encoder = RateEncoder(num_steps=1000)
    >>> generator = torch.Generator().manual_seed(0)
    >>> spikes = encoder(torch.tensor([[0.0, 0.5, 1.0]]), generator=generator)
    >>> spikes.shape, spikes.mean(0).round(decimals=1)
    (torch.Size([1000, 1, 3]), tensor([[0.0000, 0.5000, 1.0000]]))
    """

    num_steps: int
    gain: float = 1.0
    offset: float = 0.0
    first_spike_time: int = 0
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        check_num_steps(self.num_steps)
        check_first_spike_time(self.first_spike_time, self.num_steps)
        check_dtype(self.dtype)
        if not (math.isfinite(self.gain) and math.isfinite(self.offset)):
            raise ValueError(f"gain and offset must be finite; got {self.gain} and {self.offset}")

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return spikes ``[T, *images.shape]``.

        Parameters
        ----------
        images
            ``[B, ...]``, uint8 or floating in [0, 1].
        generator
            Source of the randomness; torch's global one when ``None``.
        """
        probability = (intensities(images).float() * self.gain + self.offset).clamp_(0, 1)
        source = probability.device if generator is None else generator.device
        spikes = torch.empty((self.num_steps, *images.shape), dtype=self.dtype, device=source)
        spikes.bernoulli_(
            probability.to(source).expand(self.num_steps, *images.shape), generator=generator
        )
        spikes[: self.first_spike_time] = 0
        return spikes.to(images.device)
