"""The cache of compiled kernels is a convenience: nothing rests on it, and it is never stale."""

from __future__ import annotations

import os
import pickle
import re
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
# What is cached, and how often it was found.
USE = """
import numpy as np
from spikemnist.kernels import small
for dtype in (np.float32,):
    numbers = np.ones(2, dtype)
    small.add_bits(np.zeros(1, np.int64), 1, numbers, np.array([7], np.uint64))
stats = small.add_bits.stats
print(numbers.tolist(), sum(stats.cache_hits.values()), stats.cache_path)
"""
FOUND = "[4.0, 4.0]"


def result(line: str) -> str:
    return line.rpartition("]")[0] + "]"


def hits(line: str) -> int:
    return int(line.rpartition("]")[2].split()[0])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return the folder of a copy of the package with a kernel that is not cached yet."""
    ignored = shutil.ignore_patterns("__pycache__", "viz", "cli", "embedded")
    shutil.copytree(PACKAGE, tmp_path / "copy" / "spikemnist", ignore=ignored)
    (tmp_path / "copy/spikemnist/kernels/small.py").write_text(SMALL, encoding="utf-8")
    return tmp_path / "copy"


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows does not ask HOME for the cache folder"
)
def test_where_nothing_can_be_written_all_works_without_a_cache(copy: Path, tmp_path: Path) -> None:
    """Below a file there are no folders, whatever the rights of who runs the tests."""
    file = tmp_path / "file"
    file.touch()
    for folder in copy.rglob("*"):
        if folder.is_dir():
            (folder / "__pycache__").touch()
    (copy / "spikemnist" / "__pycache__").touch()
    nowhere = {name: str(file / "home") for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    nowhere |= {"NUMBA_CACHE_DIR": str(file / "numba"), "PYTHONPATH": str(copy)}
    warned = (
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    from spikemnist.kernels import small\n"
    )
    use = f"{warned}{USE}\nprint(small.__file__)\nfor each in said: print(each.message)"
    line, place, message = run(use, nowhere)
    assert Path(place).is_relative_to(copy)
    assert result(line) == FOUND
    assert line.endswith(" 0 None")
    assert not list(copy.rglob("*.nb*"))
    assert message == (
        f"NUMBA_CACHE_DIR is {file / 'numba'}, where no file can be written: each process compiles "
        "anew"
    )


# Puts off saving until another process is about to save as well.
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


def test_two_processes_compile_at_once_and_a_third_finds_it(copy: Path, tmp_path: Path) -> None:
    """For the same types and then for others, where Numba would give both the same file."""
    folder = tmp_path / "cache"
    folder.mkdir()
    environment = {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(copy)}
    first, second, all_types = (
        USE.replace("np.float32,", types)
        for types in (
            "np.float32, np.float64",
            "np.float32, np.int64",
            "np.int64, np.float64, np.float32",
        )
    )
    at_once = [start("-c", TOGETHER + code, environment=environment) for code in (first, second)]
    assert [result(*lines(process)) for process in at_once] == [FOUND, "[4, 4]"]
    (third,) = run(all_types, environment)
    assert result(third) == FOUND
    assert hits(third) == 3
    assert str(folder) in third
    assert len(list(folder.rglob("*.nbc"))) == 3


# Uses the kernel, and again after each change, as a new process would.
VERSIONS = f"""
import os, sys
from pathlib import Path
def use():
    for name in [name for name in sys.modules if name.partition(".")[0] == "spikemnist"]:
        del sys.modules[name]
    exec({USE!r}, {{}})
use()
piece, other, *texts = sys.argv[1:]
times = os.stat(piece)
Path(other).write_text(Path(other).read_text(encoding="utf-8") + "UNUSED = 1\\n", encoding="utf-8")
for text in texts:
    Path(piece).write_text(text, encoding="utf-8")
    os.utime(piece, ns=(times.st_atime_ns, times.st_mtime_ns))
    print(*(file.name for file in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*.nbc")))
    use()
"""


def test_a_kernel_is_compiled_anew_when_its_code_changes_and_not_its_words(
    copy: Path, tmp_path: Path
) -> None:
    """A new version of the package may be as old, by the clock of its files, as the one before."""
    piece, other = (copy / "spikemnist" / name for name in ("kernels/bits.py", "models/record.py"))
    text = piece.read_text(encoding="utf-8")
    words_changed = "# a comment\n" + re.sub('"""(?=[A-Z])', '"""Briefly: ', text)
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(copy)}
    changes = (words_changed, text + "UNUSED = 1\n")
    printed = lines(start("-c", VERSIONS, piece, other, *changes, environment=environment))
    first, before, second, same, third = printed
    assert [result(line) for line in (first, second, third)] == [FOUND] * 3
    assert [hits(line) for line in (first, second, third)] == [0, 1, 0]
    (after,) = tmp_path.rglob("*.nbc")
    assert before == same
    assert after.name != before, "that of the old version would never be read again"


@pytest.fixture
def saved(tmp_path: Path) -> tuple[cache.Files, Path]:
    """Return the files of a kernel, and the one that was saved."""
    files = cache.Files(str(tmp_path), result)
    files.save("float32", ["compiled", 1.5])
    (file,) = tmp_path.glob("*.nbc")
    return files, file


def test_any_damage_to_a_file_is_noticed(saved: tuple[cache.Files, Path]) -> None:
    """Whatever byte was flipped, and wherever it was cut."""
    files, file = saved
    whole = file.read_bytes()
    assert files.load("float32") == ["compiled", 1.5]
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        assert files.load("float32") is None, place
        file.write_bytes(whole[:place])
        assert files.load("float32") is None, place
    file.write_bytes(whole + b"0")
    assert files.load("float32") is None
    files.save("float32", ["compiled", 1.5])
    assert file.read_bytes() == whole


class Foreign:
    """What a pickle that nobody here wrote does when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a foreign file was run",)


def test_a_foreign_file_is_not_run(saved: tuple[cache.Files, Path]) -> None:
    files, file = saved
    file.write_bytes(pickle.dumps(Foreign()))
    assert files.load("float32") is None


@pytest.mark.parametrize("error", [EOFError, pickle.UnpicklingError, ModuleNotFoundError, KeyError])
def test_what_cannot_be_read_although_it_is_whole_is_compiled_anew(
    error: type[Exception], saved: tuple[cache.Files, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pickle raises anything, where a release has renamed what a file refers to."""

    def fail(_: bytes) -> object:
        raise error("Memo value not found at index 174812789")

    monkeypatch.setattr(cache.pickle, "loads", fail)
    assert saved[0].load("float32") is None


def _double(queue: Array, units: int, numbers: Array) -> None:
    numbers *= 2


def doubled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[float]]:
    """Use a kernel as a new process does, which has compiled nothing; return it, too."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(folder))
    kernel, numbers = compiler.kernel(_double), np.ones(2)
    kernel(np.zeros(1, np.int64), 1, numbers)
    return kernel.stats, numbers.tolist()


def test_a_cache_folder_that_cannot_be_made_is_done_without_and_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "file" / "cache"
    folder.parent.touch()
    with pytest.warns(RuntimeWarning) as said:
        stats, numbers = doubled(folder, monkeypatch)
    doubled(folder, monkeypatch)  # without a warning, which would be an error here
    assert numbers == [2, 2]
    (warning,) = said
    assert str(warning.message) == (
        f"NUMBA_CACHE_DIR is {folder}, where no file can be written: kernels are cached in "
        f"{stats.cache_path} instead"
    )


def test_damaged_kernels_are_compiled_anew_and_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found in (0, 1, 0, 1):
        stats, numbers = doubled(tmp_path, monkeypatch)
        assert numbers == [2, 2]
        assert sum(stats.cache_hits.values()) == found
        (file,) = tmp_path.rglob("*.nbc")
        if found:
            file.write_bytes(b"")


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file, below which nothing can be written; the home lies there as well."""
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(cache, "user_cache_path", lambda *_, **__: file / "home")
    return file


def test_the_users_cache_folder_is_the_second_choice(
    no_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path beside the source may be too long."""
    monkeypatch.setattr(cache, "user_cache_path", lambda *_, **__: tmp_path / "home")
    files = cache.Files(str(no_home / "folder"), result)
    files.save("float32", [1, 2])
    assert files.load("float32") == [1, 2]
    (file,) = tmp_path.rglob("*.nbc")
    assert file.is_relative_to(tmp_path / "home" / "kernels")


def test_a_disk_that_takes_no_more_is_a_warning(no_home: Path) -> None:
    files = cache.Files(str(no_home / "folder"), result)
    with pytest.warns(RuntimeWarning, match=r"could not be cached \(.*NUMBA_CACHE_DIR"):
        files.save("float32", [1, 2])
    assert files.load("float32") is None


def test_what_a_kernel_is_made_of_follows_imports() -> None:
    found = cache.imported("spikemnist.engine.forward")
    pieces = ("kernels.bits", "kernels.registers", "kernels.blocks", "kernels.compiler")
    assert {f"spikemnist.{name}" for name in (*pieces, "engine.membranes")} <= found
    assert not {name for name in found if name.split(".")[1:2] in (["models"], ["plasticity"])}


ORDER = """
from spikemnist.kernels import cache
found = []
code = "def f(x): return x in {'some', 'words', 'in', 'any', 'order'}"
cache._collect(compile(code, "file", "exec"), found, set())
print(cache._digest(found))
"""


def test_sets_have_one_digest_in_every_process() -> None:
    """Python orders them by hashes that differ from process to process."""
    seeds = ({"PYTHONHASHSEED": str(seed)} for seed in range(3))
    assert len({run(ORDER, environment)[-1] for environment in seeds}) == 1


CLASS = """
class Row:
    \"""A row.\"""
    width: int = 3
    def twice(self):
        \"""Return twice the width.\"""
        return 2 * self.width, "text"
"""


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("A row.", "A row of numbers.", True),
        ("Return twice the width.", "Double it.", True),
        ("class Row", "\n\n# Rows.\nclass Row", True),
        ("= 3", "= 4", False),
        ("2 *", "3 *", False),
        ("text", "other", False),
        ("width: int", "size: int", False),
        ("Row", "Column", False),
    ],
)
def test_what_counts_as_code(before: str, after: str, same: bool) -> None:
    def parts(source: str) -> list[bytes]:
        found: list[bytes] = []
        cache._collect(compile(f'"""Words."""\n{source}', "file", "exec"), found, set())
        return found

    assert (parts(CLASS) == parts(CLASS.replace(before, after))) == same


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


def test_where_numba_cannot_be_imported_the_reference_runs_and_says_why(tmp_path: Path) -> None:
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


def test_only_what_numba_refuses_to_cache_is_compiled_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another error is an error."""

    def njit(**options: object) -> object:
        if options.get("cache"):
            raise RuntimeError("something is broken")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.raises(RuntimeError, match="something is broken"):
        compiler.kernel(lambda queue, units: None)
