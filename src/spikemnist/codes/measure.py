"""Measure the spikes and the information of a code, with the same numbers for all codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikemnist.encoding import available_encoders, get_encoder
from spikemnist.encoding.protocol import Encoder, intensities

GREY_NOISE = 1 / (12 * 255**2)
"""Mean square error of a pixel rounded to one of 256 grey values."""


@dataclass(frozen=True)
class CodeMeasure:
    """Spikes, error and information of a code.

    Attributes
    ----------
    spikes
        Mean number of spikes of an image; ``None`` for a code of currents.
    error
        Root mean square error of decoded pixels, which lie in [0, 1]; ``None`` if the encoder has
        no ``decode``.
    bits_per_spike
        Information about the image per spike: see `measure_code`. ``None`` without spikes or error.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.encoding import DirectEncoder
    >>> measure_code(DirectEncoder(num_steps=4), torch.rand(1, 28, 28))
    CodeMeasure(spikes=None, error=0.0, bits_per_spike=None)
    """

    spikes: float | None
    error: float | None
    bits_per_spike: float | None


def measure_code(
    encoder: Encoder | str, images: Tensor, *, generator: torch.Generator | None = None
) -> CodeMeasure:
    r"""Encode images, decode them, and measure the error and the number of spikes.

    .. math::

        \text{bits of an image} = \frac{P}{2} \log_2
        \frac{\operatorname{var} x + q}{\operatorname{mse} + q}, \qquad q = \frac{1}{12 \cdot 255^2}

    with P pixels: the information that Gaussian noise of this strength would leave in pixels of
    this variance (Shannon, *Communication in the presence of noise*, 1949). q is the noise of the
    256 grey values; it keeps the number of bits finite if decoding is exact. The correlation of
    neighbouring pixels is not taken into account, so the number serves only to compare codes on
    the same images.

    Parameters
    ----------
    encoder : Encoder or str
        Any encoder; its ``decode(spikes)``, if it has one, returns the images. A name stands for
        that encoder with its defaults.
    images : torch.Tensor
        Images ``[B, ...]``, uint8 or floating in [0, 1].
    generator : torch.Generator, default None
        Source of the random numbers of the encoder.

    Returns
    -------
    CodeMeasure

    Examples
    --------
    >>> import torch
    >>> from spikemnist.encoding import PhaseEncoder
    >>> images = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    >>> found = measure_code(PhaseEncoder(num_steps=8), images)
    >>> found.spikes, found.error, round(found.bits_per_spike, 1)
    (1024.0, 0.0, 2.0)
    """
    encoder = get_encoder(encoder) if isinstance(encoder, str) else encoder
    spikes = encoder(images, generator=generator)
    decode = getattr(encoder, "decode", None)
    return _measure(images, spikes, None if decode is None else decode(spikes))


class CodeComparison(NamedTuple):
    """The same images in several codes, by the name of the code.

    Attributes
    ----------
    spikes
        Spikes or currents ``[T, B, ...]``.
    decoded
        Decoded images, of the codes that have ``decode``.
    measures
        Spikes, error and bits per spike.
    text
        The measures as lines, and why a code cannot encode in so few timesteps.
    """

    spikes: dict[str, Tensor]
    decoded: dict[str, Tensor]
    measures: dict[str, CodeMeasure]
    text: str


def compare_codes(images: Tensor, *, num_steps: int, seed: int = 0) -> CodeComparison:
    """Encode images in every code of images, decode and measure them.

    Parameters
    ----------
    images : torch.Tensor
        Images ``[B, ...]``, uint8, or floating in [0, 1].
    num_steps : int
        Number of timesteps of each code.
    seed : int, default 0
        Seed of the codes that draw random numbers.

    Returns
    -------
    CodeComparison

    Examples
    --------
    >>> from spikemnist import load_digits
    >>> codes = compare_codes(load_digits()[1].images[:1], num_steps=4)
    >>> codes.measures["direct"]
    CodeMeasure(spikes=None, error=0.0, bits_per_spike=None)
    >>> print(codes.text)  # doctest: +ELLIPSIS
    code          spikes    error   bits/spike
    burst       the longest burst ends on timestep 6, after the last of num_steps=4...
    """
    spikes, decoded, measures = dict[str, Tensor](), dict[str, Tensor](), dict[str, CodeMeasure]()
    lines = [f"{'code':<12}{'spikes':>8}{'error':>9}{'bits/spike':>13}"]
    for name in available_encoders():
        if name == "events":
            continue
        try:
            encoder: Any = get_encoder(name, num_steps=num_steps)
        except ValueError as error:  # the longest burst may not fit the window
            lines.append(f"{name:<12}{error}")
            continue
        spikes[name] = encoder(images, generator=torch.Generator().manual_seed(seed))
        if hasattr(encoder, "decode"):
            decoded[name] = encoder.decode(spikes[name])
        measures[name] = _measure(images, spikes[name], decoded.get(name))
        lines.append(f"{name:<12}{_cells(measures[name])}")
    lines += ["", "error: root mean square error of the decoded image, pixels in [0, 1]"]
    return CodeComparison(spikes, decoded, measures, "\n".join(lines))


def _measure(images: Tensor, spikes: Tensor, decoded: Tensor | None) -> CodeMeasure:
    """Return the measure of images from their spikes, and from what is decoded of these."""
    count: float | None = None
    if bool(((spikes == 0) | (spikes == 1)).all()):
        count = int(torch.count_nonzero(spikes)) / len(images)
    if decoded is None:
        return CodeMeasure(count, None, None)
    x, read = _numbers(intensities(images)), _numbers(decoded)
    square, variance = float(np.square(read - x).mean()), float(x.var())
    bits = x[0].size / 2 * math.log2((variance + GREY_NOISE) / (square + GREY_NOISE))
    return CodeMeasure(count, math.sqrt(square), max(bits, 0.0) / count if count else None)


def _cells(measure: CodeMeasure) -> str:
    spikes = "current" if measure.spikes is None else f"{measure.spikes:.0f}"
    error = "–" if measure.error is None else f"{measure.error:.4f}"
    bits = "–" if measure.bits_per_spike is None else f"{measure.bits_per_spike:.2f}"
    return f"{spikes:>8}{error:>9}{bits:>13}"


def _numbers(pixels: Tensor) -> NDArray[np.float64]:
    # In NumPy: MPS has no float64.
    return pixels.float().numpy(force=True).astype(np.float64)
