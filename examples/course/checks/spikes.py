"""Tasks of sheet 1, a picture becomes spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from spikemnist.encoding import LatencyEncoder, measure_code

from .task import Task


def _few() -> Tensor:
    """Return an image of four pixels, short enough to be written out in a message."""
    return torch.tensor([[[0.0, 0.2, 0.7, 1.0]]])


def _greys(generator: torch.Generator) -> Tensor:
    """Return the brightness [B, H, W] of a batch with black, nearly black and white pixels."""
    grey = torch.randint(0, 256, (3, 5, 4), generator=generator)
    grey[0, 0] = torch.tensor([0, 1, 3, 255])
    return grey / 255


def _rate_code(brightness: Tensor, random: Tensor) -> Tensor:
    """Return spikes [T, B, H, W]: P(spike) = brightness, as of the library's rate code."""
    return (random < brightness).float()


def _draw_random(generator: torch.Generator) -> list[tuple[Any, ...]]:
    cases = [(_few(), torch.tensor([0.5, 0.1, 0.6, 0.9, 0.4, 0.8, 0.3, 0.2]).view(2, 1, 1, 4))]
    for num_steps in (6, 20, 1):
        brightness = _greys(generator)
        random = torch.rand(num_steps, *brightness.shape, generator=generator)
        random[0, 0, 0] = 0.0  # the lowest random number: a black pixel does not fire
        cases.append((brightness, random))
    return cases


def _latency_code(brightness: Tensor, num_steps: int) -> Tensor:
    """Return spikes [T, B, H, W], by the library."""
    return LatencyEncoder(num_steps=num_steps)(brightness)


def _in_time(
    brightness: Tensor,
    num_steps: int,
    *,
    early: str = "bright",
    latest: int = 1,
    whole: Callable[[Tensor], Tensor] = torch.round,
    silent_below: float = 0.01,
    fires: Callable[[Tensor, Tensor], Tensor] = torch.eq,
) -> Tensor:
    """Return the spikes of a latency code that makes one mistake."""
    distance = 1 - brightness if early == "bright" else brightness
    time = whole(distance * (num_steps - latest))
    steps = torch.arange(num_steps).view(-1, 1, 1, 1)
    return (fires(steps, time) & (brightness >= silent_below)).float()


def _draw_windows(generator: torch.Generator) -> list[tuple[Any, ...]]:
    return [(_few(), 5), *((_greys(generator), num_steps) for num_steps in (8, 16, 2, 1))]


def _read_latency(spikes: Tensor) -> Tensor:
    """Return the brightness [B, H, W], by the library; a spike in the last timestep is black."""
    read = LatencyEncoder(num_steps=len(spikes), threshold=0.0).decode(spikes)
    return read * spikes.any(0)


def _from_time(spikes: Tensor, *, latest: int = 1, silent: str = "black") -> Tensor:
    """Return the brightness that a reader with one mistake reads."""
    time = (torch.arange(len(spikes)).view(-1, 1, 1, 1) * spikes).sum(0)
    read = 1 - time / (len(spikes) - latest)
    return read * spikes.sum(0) if silent == "black" else read


def _draw_spikes(generator: torch.Generator) -> list[tuple[Any, ...]]:
    images = [(_few(), 3), (_greys(generator), 9), (_greys(generator), 2)]
    return [(_latency_code(*image),) for image in images]


class _Sent:
    """A code whose spikes are known, and what is read from them."""

    def __init__(self, spikes: Tensor, read: Tensor) -> None:
        self.num_steps, self.spikes, self.read = len(spikes), spikes, read

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return self.spikes

    def decode(self, spikes: Tensor) -> Tensor:
        return self.read


def _spikes_and_error(brightness: Tensor, spikes: Tensor, read: Tensor) -> tuple[float, float]:
    """Return spikes of an image and error of a pixel, by the library."""
    measured = measure_code(_Sent(spikes, read), brightness)
    return measured.spikes, measured.error


def _measured(
    brightness: Tensor,
    spikes: Tensor,
    read: Tensor,
    *,
    count: Callable[[Tensor], Tensor] = lambda spikes: spikes.sum() / spikes.shape[1],
    error: Callable[[Tensor], Tensor] = lambda gap: gap.square().mean().sqrt(),
) -> tuple[float, float]:
    """Return spikes and error as someone measures them who makes one mistake."""
    return float(count(spikes)), float(error(read - brightness))


def _draw_readings(generator: torch.Generator) -> list[tuple[Any, ...]]:
    cases = []
    for brightness, num_steps in ((_few(), 3), (_greys(generator), 8), (_greys(generator), 2)):
        spikes = _latency_code(brightness, num_steps)
        cases.append((brightness, spikes, _read_latency(spikes)))
    brightness = _greys(generator)
    silent = torch.zeros(4, *brightness.shape)
    return [*cases, (brightness, silent, torch.zeros_like(brightness))]


TASKS = {
    "rate_code": Task(
        right=_rate_code,
        draw=_draw_random,
        mistakes={
            "Dark pixels fire most: a pixel fires where the random number is below its "
            "brightness, random < brightness.": lambda x, random: (random > x).float(),
            "A black pixel fires where the random number is 0: compare with <, not <=.": (
                lambda x, random: (random <= x).float()
            ),
            "The random numbers of the first timestep decide for all: compare all of random, "
            "[T, B, H, W], with the brightness; torch repeats the brightness for each "
            "timestep.": lambda x, random: (random[:1] < x).float().repeat(len(random), 1, 1, 1),
            "Its spikes are as high as the pixel is bright: a spike is 1, and no spike is 0.": (
                lambda x, random: (random < x) * x
            ),
            "No chance is in it, and a pixel fires always or never: compare the random numbers "
            "with the brightness.": lambda x, random: (x > 0.5).float().expand_as(random),
        },
    ),
    "latency_code": Task(
        right=_latency_code,
        draw=_draw_windows,
        mistakes={
            "Black pixels fire in the last timestep: a pixel below 0.01 never fires; multiply by "
            "(brightness >= 0.01), or use & .": lambda *case: _in_time(*case, silent_below=0),
            "Black pixels fire in the first timestep, as white ones do: a pixel below 0.01 never "
            "fires.": lambda x, num_steps: _in_time(torch.where(x < 0.01, 1.0, x), num_steps),
            "Pixels that are nearly black fire: one below 0.01 is silent, not only one of 0.": (
                lambda *case: _in_time(*case, silent_below=1e-6)
            ),
            "Dark pixels fire first: the time is (1 - brightness) * (num_steps - 1).": (
                lambda *case: _in_time(*case, early="dark")
            ),
            "The times go up to num_steps, and the last timestep is num_steps - 1: multiply by "
            "num_steps - 1.": lambda *case: _in_time(*case, latest=0),
            "The time is not rounded, so most pixels hit no timestep: round it to the nearest one, "
            "with torch.round.": lambda *case: _in_time(*case, whole=lambda time: time),
            "The time is cut off to a whole number: round it to the nearest one, with "
            "torch.round.": lambda *case: _in_time(*case, whole=torch.floor),
            "The time is rounded up: round it to the nearest whole number, with torch.round.": (
                lambda *case: _in_time(*case, whole=torch.ceil)
            ),
            "A pixel goes on firing after its time: it fires once, where the timestep equals its "
            "time.": lambda *case: _in_time(*case, fires=torch.ge),
            "A pixel fires until its time: it fires once, where the timestep equals its time.": (
                lambda *case: _in_time(*case, fires=torch.le)
            ),
        },
    ),
    "read_latency": Task(
        right=_read_latency,
        draw=_draw_spikes,
        mistakes={
            "Silent pixels are read as white, since no spike looks like a spike at t = 0: a pixel "
            "without a spike is 0; multiply by spikes.sum(0).": (
                lambda spikes: _from_time(spikes, silent="white")
            ),
            "The last timestep is num_steps - 1: divide the time by len(spikes) - 1.": (
                lambda spikes: _from_time(spikes, latest=0)
            ),
            "Late pixels are read as bright: the brightness is 1 - t / (num_steps - 1).": (
                lambda spikes: (1 - _from_time(spikes)) * spikes.sum(0)
            ),
            "It counts spikes, as one reads a rate code: here the time of the spike counts.": (
                lambda spikes: spikes.mean(0)
            ),
        },
    ),
    "spikes_and_error": Task(
        right=_spikes_and_error,
        draw=_draw_readings,
        mistakes={
            "It counts the spikes of the whole batch: divide by the number of images.": (
                lambda *case: _measured(*case, count=torch.sum)
            ),
            "It divides by the number of timesteps: divide by the number of images. Time is the "
            "first axis of the spikes, [T, B, H, W].": (
                lambda *case: _measured(*case, count=lambda spikes: spikes.sum() / len(spikes))
            ),
            "It returns the mean of the spikes, over pixels and timesteps: return their sum, "
            "divided by the number of images.": lambda *case: _measured(*case, count=torch.mean),
            "The root is missing: return the square root of the mean square.": (
                lambda *case: _measured(*case, error=lambda gap: gap.square().mean())
            ),
            "It returns the mean distance: square the distances, take the mean, then the root.": (
                lambda *case: _measured(*case, error=lambda gap: gap.abs().mean())
            ),
            "It returns the mean difference, in which too bright and too dark cancel out: square "
            "the differences first.": lambda *case: _measured(*case, error=torch.mean),
            "It adds the squares: take their mean over all pixels, then the root.": (
                lambda *case: _measured(*case, error=lambda gap: gap.square().sum().sqrt())
            ),
        },
    ),
}
