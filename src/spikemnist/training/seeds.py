"""Randomness that depends on a seed and on nothing else."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


def derive_seed(seed: int, *path: int) -> int:
    """Return a seed for a part of a run, unrelated to those of the other parts.

    Parameters
    ----------
    seed
        The run's, not negative.
    *path
        What the part is: the epoch's number, for example.

    Examples
    --------
    >>> derive_seed(0, 1) != derive_seed(0, 2)
    True
    """
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0]) >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seed torch's global random numbers for a while, and give a generator on the CPU.

    Dropout and a DataLoader's sampler draw from the global ones; the caller's state is put back.
    Encoders draw from the generator: the same numbers on every device, and none is waited for.
    On CUDA, convolutions take algorithms that give the same bits each time.
    """
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        _same_convolutions() if device.type == "cuda" else nullcontext(),
    ):
        mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
        try:
            _seed_global(seed, device)
            yield torch.Generator().manual_seed(derive_seed(seed, 0))
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


@contextmanager
def _same_convolutions() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def _seed_global(seed: int, device: torch.device) -> None:
    # Not torch.manual_seed: it would also reset the devices whose state is not put back.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
