"""The cache of compiled kernels: a convenience that is never outdated."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import spikemnist
from spikemnist.kernels import cache, compiler
from tests.kernels.processes import lines, start

pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]
PACKAGE = Path(spikemnist.__file__).parent


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not read HOME")
def test_a_cache_without_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("file", "__pycache__"):  # nobody can create a folder below them
        (tmp_path / name).touch()
    for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path / "file" / "home"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "file" / "numba"))
    source = tmp_path / "source.py"
    source.write_text("def double(queue, numbers):\n    numbers *= 2", encoding="utf-8")
    double, numbers = runpy.run_path(str(source))["double"], np.ones(2)
    cache.warn.cache_clear()
    message = r"^compiled kernels cannot be cached \(no folder can"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        kernels: list[Any] = [compiler.kernel(double) for _ in range(2)]
    assert len(caught) == 1
    for kernel in kernels:
        kernel(np.zeros(1, np.int64), numbers)
        assert (kernel.stats.cache_path, sum(kernel.stats.cache_hits.values())) == (None, 0)
    assert numbers.tolist() == [4, 4]
    assert not list(tmp_path.rglob("*.nb*"))


# A small kernel with a piece of another file, which needs no torch: a process takes a second.
SMALL = """
from spikemnist.kernels.bits import count_bits
from spikemnist.kernels.compiler import kernel
@kernel
def add_bits(queue, numbers, word):
    numbers += count_bits(word[0])
"""
# Prints the result, the numbers of cache hits and files, and the folder.
USE = """
import pathlib
import numpy as np
from spikemnist.kernels import small
for dtype in (np.float32,):
    numbers = np.ones(2, dtype)
    small.add_bits(np.zeros(1, np.int64), numbers, np.array([7], np.uint64))
stats = small.add_bits.stats
files = list(pathlib.Path(stats.cache_path).glob("*.nbc"))
print(numbers.sum(), sum(stats.cache_hits.values()), len(files), stats.cache_path)
"""
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
# Changes a piece, but not the time of its file, and reads the sources anew, as a new process does.
CHANGE = """
import importlib, os
from spikemnist.kernels import bits, cache
piece = pathlib.Path(bits.__file__)
times = piece.stat()
piece.write_text(piece.read_text(encoding="utf-8") + "UNUSED = 1\\n", encoding="utf-8")
os.utime(piece, ns=(times.st_atime_ns, times.st_mtime_ns))
cache._sources.cache_clear()
importlib.reload(small)
"""


def test_a_cache_of_several_processes(tmp_path: Path) -> None:
    """Numba would give two processes the same file, and not notice a change of a piece."""
    copy, folder = tmp_path / "copy" / "spikemnist", tmp_path / "cache"
    ignored = shutil.ignore_patterns("__pycache__", "viz", "cli", "embedded")
    shutil.copytree(PACKAGE, copy, ignore=ignored)
    (copy / "kernels" / "small.py").write_text(SMALL, encoding="utf-8")
    folder.mkdir()
    environment = {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(copy.parent)}
    first, second, third = (
        USE.replace("np.float32,", types)
        for types in ("np.float32, np.float64", "np.float32, np.int64", "float, int, np.float32")
    )
    at_once = [start("-c", TOGETHER + code, environment=environment) for code in (first, second)]
    assert [line.split()[0] for process in at_once for line in lines(process)] == ["8.0", "8"]
    process = start("-c", third + CHANGE + USE, environment=environment)
    loaded, changed = lines(process)
    assert loaded.split()[:3] == ["8.0", "3", "3"]
    assert str(folder) in loaded
    assert changed.split()[:3] == ["8.0", "0", "1"], "files of the old version are removed"


def _double(queue: Array, numbers: Array) -> None:
    numbers *= 2


def test_damaged_files_are_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for hits in (0, 1, 0, 1):
        kernel, numbers = compiler.kernel(_double), np.ones(2)
        kernel(np.zeros(1, np.int64), numbers)
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
