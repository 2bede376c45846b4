"""The cache of compiled kernels: a convenience that is never outdated."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch

import spikemnist
from spikemnist.kernels import cache, compiler
from tests.kernels.processes import PATIENCE, lines, run, start

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]
PACKAGE = Path(spikemnist.__file__).parent

# A small kernel with a piece of another file, which needs no torch: a process takes a second.
SMALL = """
from spikemnist.kernels.bits import count_bits
from spikemnist.kernels.compiler import kernel
@kernel
def add_bits(queue, units, numbers, word):
    numbers += count_bits(word[0])
"""
# Prints the result, the number of cache hits, and the folder.
USE = """
import numpy as np
from spikemnist.kernels import small
for dtype in (np.float32,):
    numbers = np.ones(2, dtype)
    small.add_bits(np.zeros(1, np.int64), 1, numbers, np.array([7], np.uint64))
stats = small.add_bits.stats
print(numbers.sum(), sum(stats.cache_hits.values()), stats.cache_path)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package with a kernel that is not cached yet."""
    ignored = shutil.ignore_patterns("__pycache__", "viz", "cli", "embedded")
    shutil.copytree(PACKAGE, tmp_path / "copy" / "spikemnist", ignore=ignored)
    (tmp_path / "copy/spikemnist/kernels/small.py").write_text(SMALL, encoding="utf-8")
    return tmp_path / "copy"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not read HOME")
def test_without_a_folder_kernels_work_with_one_warning(copy: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"  # nobody can create a folder below it
    file.touch()
    (copy / "spikemnist/kernels/__pycache__").touch()
    nowhere = {name: str(file / "home") for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    nowhere |= {"NUMBA_CACHE_DIR": str(file / "numba"), "PYTHONPATH": str(copy)}
    other = "small2 = small.kernel(lambda queue, units: None)\n"
    process = start("-c", USE.replace("stats =", other + "stats ="), environment=nowhere)
    printed, warned = process.communicate(timeout=PATIENCE)
    assert printed.split() == ["8.0", "0", "None"], warned
    assert warned.count("RuntimeWarning: compiled kernels cannot be cached (no folder can") == 1
    assert not list(copy.rglob("*.nb*"))


# Waits with saving until another process is about to save as well.
TOGETHER = """
import itertools, os, pathlib, time
from spikemnist.kernels import small
files, counter = small.add_bits._cache._cache_file, itertools.count()
def save(key, data, save=files.save, folder=pathlib.Path(os.environ["NUMBA_CACHE_DIR"])):
    number = next(counter)
    (folder / f"{os.getpid()}.{number}").touch()
    while len(list(folder.glob(f"*.{number}"))) < 2:
        time.sleep(1e-4)
    save(key, data)
files.save = save
"""


def test_processes_share_the_cache_until_a_source_changes(copy: Path, tmp_path: Path) -> None:
    """Numba would give two processes the same file, and not notice a change of a piece."""
    folder = tmp_path / "cache"
    folder.mkdir()
    environment = {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(copy)}
    first, second, third = (
        USE.replace("np.float32,", types)
        for types in ("np.float32, np.float64", "np.float32, np.int64", "float, int, np.float32")
    )
    at_once = [start("-c", TOGETHER + code, environment=environment) for code in (first, second)]
    assert [line.split()[0] for process in at_once for line in lines(process)] == ["8.0", "8"]
    (line,) = run(third, environment)
    assert line.split()[:2] == ["8.0", "3"]
    assert str(folder) in line
    assert len(list(folder.rglob("*.nbc"))) == 3
    piece = copy / "spikemnist/kernels/bits.py"
    times = piece.stat()
    piece.write_text(piece.read_text(encoding="utf-8") + "UNUSED = 1\n", encoding="utf-8")
    os.utime(piece, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run(USE, environment)[0].split()[:2] == ["8.0", "0"]
    assert len(list(folder.rglob("*.nbc"))) == 1, "files of the old version are removed"


def _double(queue: Array, units: int, numbers: Array) -> None:
    numbers *= 2


def test_damaged_files_are_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for hits in (0, 1, 0, 1):
        kernel, numbers = compiler.kernel(_double), np.ones(2)
        kernel(np.zeros(1, np.int64), 1, numbers)
        assert numbers.tolist() == [2, 2]
        assert sum(kernel.stats.cache_hits.values()) == hits  # type: ignore[attr-defined]
        (file,) = tmp_path.rglob("*.nbc")
        if hits:
            file.write_bytes(file.read_bytes()[:-100])


def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = cache.Files(str(tmp_path / "file" / "folder"), _double)
    with pytest.warns(RuntimeWarning, match=r"cannot be cached \(.+\).* Set NUMBA_CACHE_DIR"):
        files.save("float32", [1, 2])
    assert files.load("float32") is None


# `unused` takes the place of the first assignment where Numba is to be there.
WITHOUT_NUMBA = """
import sys
sys.modules |= {"numba": None, "llvmlite": None}
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


def test_without_numba_all_but_the_engine_works(capsys: pytest.CaptureFixture[str]) -> None:
    first, *refusals = run(WITHOUT_NUMBA)
    running, automatic, fired, total = first.split()
    assert (running, automatic) == ("reference", "reference")
    assert len(refusals) == 2
    for message in refusals:
        assert "backend='event_driven' cannot run here" in message
        assert "need Numba, which is not installed (pip install numba)" in message
    assert compiler.is_available()
    with torch.random.fork_rng(devices=[]):
        exec(WITHOUT_NUMBA.replace("sys.modules |=", "unused ="), {})
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == ["event_driven", "event_driven", fired]
    # The same spikes, so that the membranes differ by rounding alone.
    assert float(line.split()[3]) == pytest.approx(float(total), rel=1e-4, abs=1e-3)


BROKEN = 'raise ImportError("Numba needs NumPy 2.3 or less.\\nGot NumPy 2.4.")'


def test_numba_that_cannot_be_imported(tmp_path: Path) -> None:
    """As after an upgrade of NumPy, which Numba does not know yet."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text(BROKEN, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(PACKAGE.parent)])
    code = WITHOUT_NUMBA.replace("sys.modules |=", "unused =")
    process = start("-c", code, environment={"PYTHONPATH": path})
    printed, warned = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, warned
    first, *refusals = printed.splitlines()
    assert first.split()[:2] == ["reference", "reference"]
    reason = "(ImportError: Numba needs NumPy 2.3 or less. Got NumPy 2.4.)"
    for message in refusals:
        assert f"its kernels need Numba, which cannot be imported here {reason}" in message
    assert warned.count(f"RuntimeWarning: Numba is installed, but cannot be imported {reason}") == 1
