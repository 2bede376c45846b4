"""The installed version, and a light import."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import spikemnist

HEAVY = ["matplotlib", "numba", "torchvision", "triton", "spikemnist.cli"]
ROOMS = [room for room in ("encoding", "energy", "models", "training") if room in dir(spikemnist)]


def test_installed_version() -> None:
    assert importlib.metadata.version("spikemnist") == spikemnist.__version__


@pytest.mark.parametrize(
    ("names", "unwanted"),
    [
        # A script that only trains must not pay for plots, kernels and the command line.
        ("Classifier, LeakyMLP, LatencyEncoder, TrainConfig, fit, evaluate, load_digits", HEAVY),
        # The command line lists options, codes and networks at once.
        (", ".join(ROOMS), [*HEAVY, "torch", "numpy"]),
    ],
)
def test_light_import(names: str, unwanted: list[str]) -> None:
    code = (
        f"import sys; from spikemnist import {names}; "
        f"print([name for name in {unwanted} if name in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    assert loaded.stdout == "[]\n"
