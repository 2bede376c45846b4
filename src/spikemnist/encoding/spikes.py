"""Turn numbers of pixels into spikes: in compiled kernels on the CPU, elsewhere in plain torch.

Both make the same bits. The version in plain torch is easy to read.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` pixels of an image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist._doors import import_object, is_installed
from spikemnist.encoding.pixels import CodedPixels

KERNELS = "spikemnist.kernels.codes"
"""Door to the same functions in compiled kernels."""

RANGE = 1 << 32
"""Exclusive upper bound of the random numbers, which are whole numbers from 0."""


def bernoulli(
    bounds: CodedPixels, *, seeds: Tensor, num_steps: int, first_spike_time: int, dtype: torch.dtype
) -> Tensor:
    """Return spikes ``[T, B, F]``, each with the probability of its pixel.

    The timesteps 2k and 2k + 1 of a pixel get the low and the high half of one random word, whose
    index is k + ceil(T / 2) times the position of the pixel in its image.

    Parameters
    ----------
    bounds
        Probabilities times `RANGE`, whole numbers.
    seeds
        Seeds of the images for `spikemnist._splitmix`, int64 ``[B]`` on the CPU.
    num_steps, first_spike_time, dtype
        As in `RateEncoder`.
    """
    if kernel := compiled("bernoulli", bounds.levels):
        steps = {"num_steps": num_steps, "first_spike_time": first_spike_time}
        return kernel(bounds, seeds=seeds, dtype=dtype, **steps)
    device = bounds.levels.device
    of_pixel = bounds.numbers().to(splitmix.exact_device(device))
    sample, pixel = lit = of_pixel.nonzero().unbind(1)
    pairs = -(-num_steps // 2)
    indices = pixel * pairs + torch.arange(pairs, device=pixel.device)[:, None]
    words = splitmix.words(seeds.to(pixel.device)[sample], indices)
    limits = of_pixel[lit].long()
    even = (words & (RANGE - 1)) < limits
    odd = (words >> 32).bitwise_and_(RANGE - 1) < limits
    raster = torch.stack((even, odd), dim=1).flatten(0, 1)[:num_steps]
    spikes = torch.zeros((num_steps, *of_pixel.shape), dtype=dtype, device=pixel.device)
    spikes[first_spike_time:, sample, pixel] = raster[first_spike_time:].to(dtype)
    return spikes.to(device)


def evenly(bounds: CodedPixels, *, num_steps: int, first_spike_time: int) -> Tensor:
    """Return evenly spaced spikes ``[T, B, F]``, bool, with the rate of each pixel.

    Parameters
    ----------
    bounds
        Rates times `RANGE`, whole numbers, so that their sums are exact.
    num_steps, first_spike_time
        As in `RateEncoder`.
    """
    device = bounds.levels.device
    rate = bounds.numbers().to(splitmix.exact_device(device)).long()
    step = timesteps(num_steps, rate).long() - first_spike_time
    before = (step * rate + RANGE // 2) >> 32
    after = ((step + 1) * rate + RANGE // 2) >> 32
    return ((after > before) & (step >= 0)).to(device)


def one_spike(times: CodedPixels, *, num_steps: int, dtype: torch.dtype) -> Tensor:
    """Return spikes ``[T, B, F]``, one for each pixel at its timestep, none if it is negative.

    Parameters
    ----------
    times
        Timesteps, whole numbers.
    num_steps, dtype
        As in `LatencyEncoder`.
    """
    if kernel := compiled("one_spike", times.levels):
        return kernel(times, num_steps=num_steps, dtype=dtype)
    of_pixel = times.numbers().to(torch.int32)
    steps = torch.arange(num_steps, dtype=torch.int32, device=of_pixel.device)
    return (of_pixel == steps[:, None, None]).to(dtype)


def timesteps(num_steps: int, pixels: Tensor) -> Tensor:
    """Return the timesteps, int32 ``[T, 1, ...]``, to compare with pixels ``[B, ...]``."""
    steps = torch.arange(num_steps, dtype=torch.int32, device=pixels.device)
    return steps.view(-1, *[1] * pixels.dim())


def compiled(name: str, pixels: Tensor) -> Callable[..., Tensor] | None:
    """Return a function of `KERNELS`, or None where plain torch makes the spikes of the pixels."""
    # torch.compile can trace plain torch, but not our kernels.
    if torch.compiler.is_compiling() or not isinstance(pixels, torch.Tensor):
        return None
    if pixels.device.type != "cpu" or not is_installed(KERNELS):
        return None
    available = import_object("spikemnist.kernels.compiler.is_available")()
    return import_object(f"{KERNELS}.{name}") if available else None
