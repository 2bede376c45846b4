"""Rate code: brighter pixels fire more often.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist._splitmix import draw_seeds
from spikemnist.encoding.pixels import code_pixels
from spikemnist.encoding.protocol import Timesteps, check_steps, intensities
from spikemnist.encoding.spikes import RANGE, bernoulli, evenly


@named()
@dataclass(frozen=True, kw_only=True)
class RateEncoder(Timesteps):
    r"""Encode brightness as a rate: independent Bernoulli spikes, or evenly spaced ones.

    .. math::

        p &= \min(\max(g x + o, 0), 1) \\
        P(S_t = 1) &= p \quad \text{for } t \ge t_0, \text{ else } 0

    for a pixel :math:`x \in [0, 1]`. The mean over time converges to the probability; its
    standard error is :math:`\sqrt{p (1 - p) / T}`. With ``deterministic``,

    .. math:: S_t = \big\lfloor (t - t_0 + 1) p + \tfrac12 \big\rfloor
              - \big\lfloor (t - t_0) p + \tfrac12 \big\rfloor

    instead: after n timesteps from :math:`t_0` on, the number of spikes is the whole number
    nearest to :math:`n p`.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    gain, offset : float, default 1.0 and 0.0
        Gain :math:`g` and offset :math:`o`. A negative gain needs a positive offset.
    first_spike_time : int, default 0
        First timestep :math:`t_0` at which spikes are allowed.
    deterministic : bool, default False
        Whether spikes are evenly spaced instead of random.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
        in [0, 1]; when decoding with a gain of 0, with which all pixels look the same.

    Notes
    -----
    `snntorch.spikegen.rate` has the same distribution, but other random numbers. A call draws one
    seed for each image from the generator, in order: an image has the same spikes in a batch of any
    size. The random number of a spike is a function of the seed, the position of the pixel in the
    image and the timestep (SplitMix64 in counter form). So it is computed only for lit pixels, and
    the spikes are the same on every device, for every number of threads, with and without Numba.
    Random numbers have 32 bits: a probability is rounded to a multiple of :math:`2^{-32}`, 0 never
    fires and 1 always does.

    The generator may be on another device than the images.

    Adrian, Zotterman, *The impulses produced by sensory nerve-endings*, Journal of
    Physiology, 1926.

    Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.

    Examples
    --------
    >>> import torch
    >>> encoder = RateEncoder(num_steps=1000)
    >>> generator = torch.Generator().manual_seed(0)
    >>> spikes = encoder(torch.tensor([[0.0, 0.5, 1.0]]), generator=generator)
    >>> spikes.shape, spikes.mean(0).round(decimals=1)
    (torch.Size([1000, 1, 3]), tensor([[0.0000, 0.5000, 1.0000]]))
    """

    binary: ClassVar[bool] = True

    gain: float = 1.0
    offset: float = 0.0
    first_spike_time: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        span = f"0..{self.num_steps - 1}"
        set_numbers(self, gain="(-inf, inf)", offset="(-inf, inf)", first_spike_time=span)
        if self.gain < 0 and self.offset <= 0:
            raise ValueError(
                f"no pixel would ever fire with gain={self.gain} and offset={self.offset}: "
                "gain=-1, offset=1 inverts an image"
            )

    def __call__(
        self,
        images: Tensor,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Encode images ``[B, ...]`` as spikes ``[T, B, ...]``."""
        bounds, first = code_pixels(self, images), self.first_spike_time
        if self.deterministic:
            spikes = evenly(bounds, num_steps=self.num_steps, first_spike_time=first)
            return spikes.to(dtype).view(self.num_steps, *images.shape)
        spikes = bernoulli(
            bounds,
            seeds=draw_seeds(generator, len(bounds.levels)),
            num_steps=self.num_steps,
            first_spike_time=first,
            dtype=dtype,
        )
        return spikes.view(self.num_steps, *images.shape)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the pixels that have these rates."""
        check_steps(spikes, self.num_steps)
        if self.gain == 0:
            raise ValueError("with gain=0 the spikes do not depend on the image")
        rate = spikes[self.first_spike_time :].float().mean(0)
        return ((rate - self.offset) / self.gain).clamp(0, 1)

    def _pixel_code(self, images: Tensor) -> Tensor:
        """Return the probabilities times `RANGE`, as whole numbers.

        The product is exact in single precision, since `RANGE` is a power of two.
        """
        probability = (intensities(images).detach().float() * self.gain).add_(self.offset)
        return probability.clamp_(0, 1).mul_(RANGE).round()
