"""The operations that a C program counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spikemnist import DirectEncoder, load, measure_energy
from spikemnist.export import to_c
from spikemnist.models import available_pretrained
from tests.export.replay import DIGITS, watch
from tests.export.test_c import SANITIZED, compile_c, pytestmark, run, steps_of

__all__ = ["pytestmark"]


@pytest.mark.parametrize("name", available_pretrained())
def test_operations_of_digits(name: str, tmp_path: Path) -> None:
    classifier = load(name)
    record = watch(classifier)
    steps = len(record.spikes)
    to_c(classifier, tmp_path)
    program = compile_c(tmp_path, *SANITIZED, f"-DSTEPS={steps}")
    grey = isinstance(classifier.encoder, DirectEncoder)
    signal = np.repeat(DIGITS.images.numpy()[:, None], steps, 1) if grey else steps_of(record)
    energy = measure_energy(classifier, DIGITS)
    counted = np.mean([int(line.split()[-1]) for line in run(program, signal)])
    assert counted == pytest.approx(energy.total.acs + energy.total.macs, rel=1e-4)
