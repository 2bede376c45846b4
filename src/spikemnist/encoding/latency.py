"""Latency code: brighter pixels fire earlier, once.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from spikemnist._arguments import check_choice, named, set_numbers
from spikemnist.encoding.pixels import Ramp, by_sample, code_pixels
from spikemnist.encoding.protocol import (
    Timesteps,
    check_steps,
    intensities,
)
from spikemnist.encoding.spikes import compiled, one_spike, timesteps

EPSILON = 1e-7
"""Distance from the threshold below which the logarithmic code no longer tells pixels apart."""


@named()
@dataclass(frozen=True, kw_only=True)
class LatencyEncoder(Timesteps):
    r"""Encode a pixel as the time of its only spike: the brighter, the earlier.

    .. math::

        t(x) &= \tau (1 - x) + t_0                     && \text{linear} \\
        t(x) &= \tau \ln \frac{x}{x - \theta} + t_0    && \text{log}

    rounded to the nearest timestep (halves to the even one), for a pixel :math:`x \ge \theta`.
    The logarithm is the time that a leaky membrane with time constant :math:`\tau`, driven by
    :math:`x`, needs to reach :math:`\theta`. A pixel below the threshold never fires with
    ``clip``; without it, the pixel fires at the same time as a pixel at the threshold.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    tau : float, default 1.0
        Time constant in timesteps; has no effect with ``normalize``.
    threshold : float, default 0.01
        Threshold :math:`\theta` in [0, 1); at least 1e-7 for the log curve.
    curve : str, default "linear"
        Formula for the spike time, ``"linear"`` or ``"log"``.
    normalize : bool, default True
        Whether to stretch the code over the window. The last timestep then belongs to a pixel of 0
        with the linear curve, and to a pixel at the threshold with the log curve.
    clip : bool, default True
        Whether pixels below the threshold stay silent.
    first_spike_time : int, default 0
        Timestep :math:`t_0` at which a pixel of 1 fires with the linear curve.

    Raises
    ------
    ValueError
        For a parameter out of range, and if the latest spike would fall after the last timestep;
        when called, for images that are not uint8 or floating in [0, 1].

    Notes
    -----
    Equal to `snntorch.spikegen.latency` for the same options, with one exception: the logarithmic
    code is normalised by the latest possible spike time, not by the latest in the batch. So an
    image has the same spikes in any batch.

    Thorpe, Delorme, Van Rullen, *Spike-based strategies for rapid processing*, Neural
    Networks, 2001.

    Examples
    --------
    >>> import torch
    >>> encoder = LatencyEncoder(num_steps=5)
    >>> encoder(torch.tensor([[0.0, 0.02, 0.5, 1.0]])).argmax(0), encoder.num_steps
    (tensor([[0, 4, 2, 0]]), 5)
    >>> encoder(torch.tensor([[0.0, 0.02, 0.5, 1.0]])).sum(0)
    tensor([[0., 1., 1., 1.]])
    """

    binary: ClassVar[bool] = True

    tau: float = 1.0
    threshold: float = 0.01
    curve: Literal["linear", "log"] = "linear"
    normalize: bool = True
    clip: bool = True
    first_spike_time: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("curve", self.curve, ("linear", "log"))
        lowest = EPSILON if self.curve == "log" else 0
        span = f"0..{self.num_steps - 1}"
        set_numbers(self, first_spike_time=span, threshold=f"[{lowest}, 1)", tau="(0, inf)")
        latest = float(self.spike_times(torch.zeros(())))
        if latest > self.num_steps - 1:
            raise ValueError(
                f"the latest spike falls on timestep {latest:g}, after the last of "
                f"num_steps={self.num_steps}: raise num_steps to {int(latest) + 1}, lower tau, or "
                "set normalize=True"
            )

    def spike_times(self, images: Tensor) -> Tensor:
        """Return the timestep at which each pixel fires, without clipping.

        Parameters
        ----------
        images : torch.Tensor
            Images of any shape ``[...]``, uint8 or floating in [0, 1].

        Returns
        -------
        torch.Tensor
            Timesteps ``[...]``, whole numbers in float32.

        Raises
        ------
        ValueError
            For images that are not uint8 or floating in [0, 1].
        """
        return self._times(_single(images))

    def _times(self, x: Tensor) -> Tensor:
        if self.curve == "linear":
            slope, latest, first, _ = self._ramp()
            return (x - 1).mul_(slope).clamp_max_(latest).add_(first).round_()
        lowest = torch.full((), self.threshold + EPSILON, dtype=x.dtype, device=x.device)
        time = self._charging_time(x.clamp_min(lowest))
        if self.normalize:
            window = self.num_steps - 1 - self.first_spike_time
            time = time * window / self._charging_time(lowest)
        return time.add_(self.first_spike_time).round_()

    def _ramp(self) -> Ramp:
        tau = self.num_steps - 1 - self.first_spike_time if self.normalize else self.tau
        silent_below = self.threshold if self.clip else 0
        return Ramp(-tau, -tau * (self.threshold - 1), self.first_spike_time, silent_below)

    def _charging_time(self, x: Tensor) -> Tensor:
        return self.tau * torch.log(x / (x - self.threshold))

    def __call__(
        self,
        images: Tensor,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Encode images ``[B, ...]`` as spikes ``[T, B, ...]``."""
        options: Any = {"num_steps": self.num_steps, "dtype": dtype}
        spikes: Tensor | None = None
        kernel = compiled("one_spike_on", images) if self.curve == "linear" else None
        if kernel and images.dtype == torch.float32:
            # One pass over the pixels, where plain torch takes nine. It returns None for pixels
            # out of range, for which `code_pixels` then raises the error.
            spikes = kernel(self._ramp(), by_sample(images.detach()), **options)
        if spikes is None:
            spikes = one_spike(code_pixels(self, images), **options)
        return spikes.view(self.num_steps, *images.shape)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the pixels that fire at these times, 0 for silent ones."""
        check_steps(spikes, self.num_steps)
        raster = spikes.float()
        time = (timesteps(self.num_steps, raster[0]) * raster).sum(0) - self.first_spike_time
        window = self.num_steps - 1 - self.first_spike_time
        if self.curve == "linear":
            tau = window if self.normalize else self.tau
            x = 1 - time / max(tau, EPSILON)
        else:
            lowest = torch.full((), self.threshold + EPSILON, device=spikes.device)
            scale = self._charging_time(lowest) / max(window, EPSILON) if self.normalize else 1
            x = self.threshold / -torch.expm1(-time * scale / self.tau)
        return torch.where(raster.any(0), x.clamp(self.threshold, 1), 0)

    def _pixel_code(self, images: Tensor) -> Tensor:
        """Return the timestep at which each pixel fires, negative if it does not."""
        x = _single(images).detach()
        times = self._times(x)
        return times.masked_fill_(x < self.threshold, -1) if self.clip else times


def _single(images: Tensor) -> Tensor:
    # One precision for all: near the threshold the logarithm magnifies the last bit, and an
    # image must have the same spikes in any dtype.
    return intensities(images).float()
