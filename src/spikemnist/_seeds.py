"""Random numbers that depend on a seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from spikemnist._arguments import SEEDS, check_number


def derive_seed(seed: int, *path: int) -> int:
    """Return a seed for a part of a run, unrelated to the seeds of the other parts.

    Parameters
    ----------
    seed : int
        Seed of the run, not negative.
    *path : int
        Numbers that identify the part, such as the epoch.

    Examples
    --------
    >>> derive_seed(0, 1) != derive_seed(0, 2)
    True
    """
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0]) >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[torch.Generator]:
    """Seed torch's global generators within the context, and yield a generator on the CPU.

    Dropout and a DataLoader's sampler draw from the global generators, whose state is restored
    afterwards. Encoders draw from the generator on the CPU: it gives the same numbers on every
    device, and no device is waited for. On CUDA, convolutions use deterministic algorithms.
    """
    seed, cudnn = check_number("seed", seed, SEEDS), torch.backends.cudnn
    algorithms = cudnn.deterministic, cudnn.benchmark
    mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            if device.type == "cuda":
                cudnn.deterministic, cudnn.benchmark = True, False
            _seed_global(seed, device)
            yield torch.Generator().manual_seed(derive_seed(seed, 0))
        finally:
            cudnn.deterministic, cudnn.benchmark = algorithms
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


def _seed_global(seed: int, device: torch.device) -> None:
    # Not torch.manual_seed, which would also seed devices whose state is not restored.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
