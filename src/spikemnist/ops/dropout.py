"""Dropout by a mask that is a function of a seed.

A seed is one number from torch's global generator. Plain torch here and the kernel of the engine
make the same mask of it, so it does not depend on the backend. `torch.nn.Dropout` draws a number
for each input instead, which takes about as long as the rest of a training step.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from spikemnist import _splitmix as splitmix

NUMBERS = 1 << 16
"""Each input has a number below this one, so probabilities are multiples of its inverse."""


def bound_of(probability: float) -> int:
    """Return the largest number that is dropped; a probability above 0 drops some."""
    return min(max(round(probability * NUMBERS), 1), NUMBERS) - 1


def scale_of(probability: float) -> float:
    """Return the factor of what is kept, with which the expected value stays the same."""
    return 1 / (1 - probability) if probability < 1 else 0.0


def keep(seed: int, rows: int, features: int, probability: float) -> Tensor:
    """Return which inputs ``[R, F]`` are kept, as bool.

    Number j of row i is a quarter of word ``i * Q + j // 4`` of the seed, the lowest first, with
    ``Q`` words for each row.
    """
    quads = -(-features // 4)
    words = splitmix.words(seed, torch.arange(rows * quads))
    # Torch compares them as signed numbers: without the highest bit the order is the same.
    numbers = words.view(torch.int16).view(rows, 4 * quads)[:, :features] ^ -(NUMBERS // 2)
    return numbers > bound_of(probability) - NUMBERS // 2


def drop_out(signal: Tensor, probability: float) -> Tensor:
    """Apply dropout to an input ``[R, F]``, or to images ``[R, C, H, W]``.

    The numbers of an image are in the order ``[H, W, C]``, in which the engine has its images in
    memory. On other devices and in a trace, it is torch's dropout.
    """
    if not probability:
        return signal
    if signal.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(signal, probability)
    pixels = signal.movedim(1, -1)
    mask = keep(splitmix.draw_seed(None), len(signal), pixels.shape[1:].numel(), probability)
    return torch.where(mask.view(pixels.shape).movedim(-1, 1), signal * scale_of(probability), 0)
