r"""Random numbers without a state: each is a function of a seed and an index.

SplitMix64 in counter form. With all arithmetic modulo :math:`2^{64}`, word i of a seed s is

.. math::

    z_1 &= s + (i + 1) \gamma \\
    z_2 &= (z_1 \oplus \lfloor z_1 / 2^{30} \rfloor)\, m_1 \\
    z_3 &= (z_2 \oplus \lfloor z_2 / 2^{27} \rfloor)\, m_2 \\
    w_i &= z_3 \oplus \lfloor z_3 / 2^{31} \rfloor

A generator seeded with s returns this word at its call i + 1. So each word can be computed alone,
in any order, on any device, and unused words cost nothing.

Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def draw_seed(generator: torch.Generator | None) -> int:
    """Draw 63 bits from a generator, torch's global CPU generator when ``None``."""
    return int(draw_seeds(generator, 1))


def draw_seeds(generator: torch.Generator | None, count: int) -> Tensor:
    """Draw seeds one after the other, as `draw_seed`; return them as int64 ``[N]`` on the CPU."""
    device = "cpu" if generator is None else generator.device
    # In three pieces: MPS draws integers of at most 31 bits, whatever their dtype.
    pieces = torch.randint(1 << 21, (count, 3), generator=generator, device=device).cpu()
    high, middle, low = pieces.unbind(1)
    return high * (1 << 42) + middle * (1 << 21) + low


def word(seed: int, index: int) -> int:
    """Return word ``index`` of a seed, both in 0..2^64 - 1.

    Python's integers do not wrap, so the masks do it. Kernels compile the same lines for unsigned
    64-bit words, on which the masks have no effect.
    """
    z = (int(seed) + int(index) * GAMMA + GAMMA) & MASK
    z = ((z ^ (z >> 30)) * FIRST) & MASK
    z = ((z ^ (z >> 27)) * SECOND) & MASK
    return z ^ (z >> 31)


def words(seed: int | Tensor, indices: Tensor) -> Tensor:
    """Return the words of a seed, or of one for each index, as int64 with the same 64 bits."""
    start = seed if isinstance(seed, Tensor) else _signed(seed & MASK)
    # In place: fresh memory at each of the dozen operations would cost more than the arithmetic.
    z = (indices * _signed(GAMMA)).add_(start).add_(_signed(GAMMA))
    z = _fold(z, 30).mul_(_signed(FIRST))
    z = _fold(z, 27).mul_(_signed(SECOND))
    return _fold(z, 31)


def exact_device(device: torch.device) -> torch.device:
    """Return ``device`` if `words` is exact on it, else the CPU.

    The arithmetic of 64-bit integers on MPS is compared with known words, once per process.
    """
    if device.type != "mps" or _knows_words(device):
        return device
    return torch.device("cpu")


@lru_cache(maxsize=8)
def _knows_words(device: torch.device) -> bool:
    seed, indices = GAMMA, [*range(64), (1 << 40) + 7]
    device_words = words(seed, torch.tensor(indices, device=device)).tolist()
    return bool(device_words == [_signed(word(seed, index)) for index in indices])


def _fold(z: Tensor, bits: int) -> Tensor:
    # A right shift of int64 repeats the sign bit; the mask clears the copies.
    return z.bitwise_xor_((z >> bits).bitwise_and_((1 << (64 - bits)) - 1))


def _signed(unsigned: int) -> int:
    """Return the int64 with the bits of a word."""
    return unsigned - ((unsigned >> 63) << 64)
