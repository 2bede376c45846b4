"""Claims of run folders in processes of their own, without the weight of PyTorch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from spikemnist.cli import runs
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.options import Stdp, Train

PAIRS = 100


def claim(command: Train | Stdp) -> str | None:
    """Return the folder of a new run, or ``None`` where it is refused."""
    try:
        return str(runs.new_run(command))
    except WrongRequest:
        return None


def claim_many(base: str, out: str | None, barrier: Any, pipe: Any) -> None:
    """Claim a folder in each of the folders of ``base``, at the same instant as the others do."""
    for number in range(PAIRS):
        os.chdir(Path(base, str(number)))
        barrier.wait(60)
        pipe.send(claim(Train(out=None if out is None else Path(out))))
