from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import snntorch
import torch
from hypothesis import settings

# Processes that tests start import `tests` and `benchmarks` as well.
ROOT = str(Path(__file__).resolve().parent.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, os.environ.get("PYTHONPATH")]))

# Workers of pytest-xdist share the processors; threads that wait for another worker's would spin.
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if WORKERS > 1:
    torch.set_num_threads(max(1, torch.get_num_threads() // WORKERS))
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())

# The same examples each time, so that a red suite is red for everyone. To look for new ones:
# pytest --hypothesis-profile=search
settings.register_profile("same", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=500, print_blob=True)
settings.load_profile("same")


@pytest.fixture
def threads() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def neurons() -> Iterator[list[object]]:
    """The list in which snnTorch keeps every neuron, put back afterwards as it was."""
    instances = snntorch.SpikingNeuron.instances
    before = list(instances)
    yield instances
    instances[:] = before


@pytest.fixture(scope="module")
def interpreted() -> Iterator[None]:
    """Run Triton's kernels in NumPy: Triton reads the variable when their module is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield
