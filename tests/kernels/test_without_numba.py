"""What runs where Numba is missing, or cannot be imported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikemnist.kernels import compiler
from tests.kernels.processes import PATIENCE, start

# Prints what the import of subpackages imports before it is needed, and hides Numba.
MISSING = """
import importlib, pkgutil, sys, spikemnist
for module in pkgutil.iter_modules(spikemnist.__path__):
    if module.ispkg:
        importlib.import_module(f"spikemnist.{module.name}")
print([name for name in ("tqdm.auto", "numba") if name in sys.modules])
sys.modules |= {"numba": None, "llvmlite": None}
"""
# As after an upgrade of NumPy, which Numba does not know yet.
BROKEN = """
from spikemnist.kernels import compiler
del sys.modules["numba"]
sys.path.insert(0, sys.argv[1])
compiler._memo.clear()
"""
NETWORK = """
import torch
from spikemnist import LeakyMLP, RateEncoder
from spikemnist.ops import select_backend
images = torch.linspace(0, 1, 4 * 784).view(4, 28, 28)
spikes = RateEncoder(num_steps=25)(images, generator=torch.Generator().manual_seed(0))
torch.manual_seed(0)
record = LeakyMLP(hidden=(32,))(spikes)
total = float(record.membrane.detach().sum())
print(record.backend, select_backend("auto"), int(spikes.sum()), total)
for model in (LeakyMLP, lambda **options: LeakyMLP(**options)(spikes)):
    try:
        model(hidden=(32,), backend="event_driven")
    except ValueError as error:
        print(error)
"""


def test_without_numba(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If it is missing, and if it is there but cannot be imported."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(
        'raise ImportError("Numba needs NumPy 2.3 or less.\\nGot NumPy 2.4.")', encoding="utf-8"
    )
    process = start("-c", MISSING + NETWORK + BROKEN + NETWORK, tmp_path)
    printed, warned = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, warned
    imported, *results = printed.splitlines()
    assert imported == "[]", "bars and Numba are imported before they are needed"
    assert compiler.is_available()
    with torch.random.fork_rng(devices=[]):
        exec(NETWORK, {})
    (line,) = capsys.readouterr().out.splitlines()
    backend, automatic, fired, total = line.split()
    assert (backend, automatic) == ("event_driven", "event_driven")
    reason = "(ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.4.)"
    obstacles = (
        "need Numba, which is not installed (pip install numba)",
        f"its kernels need Numba, which cannot be imported here {reason}",
    )
    for obstacle, (first, *refusals) in zip(obstacles, (results[:3], results[3:]), strict=True):
        assert first.split()[:3] == ["reference", "reference", fired]
        # The same spikes, so that the membranes differ by rounding alone.
        assert float(first.split()[3]) == pytest.approx(float(total), rel=1e-4, abs=1e-3)
        assert len(refusals) == 2
        for message in refusals:
            assert "backend='event_driven' cannot run this" in message
            assert obstacle in message
    assert warned.count(f"RuntimeWarning: Numba is installed, but cannot be imported {reason}") == 1
