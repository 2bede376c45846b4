"""A team of torch's own threads, where torch's OpenMP runtime is known."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from spikemnist.kernels import openmp
from tests.kernels.processes import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's libraries")


def addresses(
    libraries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[int, int]:
    lines = (f"7f00-7f01 r-xp 00000000 08:01 123    {library}\n" for library in libraries)
    (tmp_path / "maps").write_text("".join(lines), encoding="latin-1")
    monkeypatch.setattr(openmp, "MAPS", tmp_path / "maps")
    return openmp.team_addresses.__wrapped__()


@pytest.mark.parametrize(
    "libraries",
    [
        ["/usr/lib/libc.so.6"],
        ["/opt/libgomp.so.1", "/opt/libomp.so"],
        [str(openmp.OWN[0] / "libiomp5-lost.so"), "/usr/lib/libgomp.so.1"],
        ["/opt/libgomp.so.1 (deleted)"],
        ["/opt/M\xfcller/libgomp.so.1"],
    ],
)
def test_no_team_without_a_single_runtime(
    libraries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert addresses(libraries, monkeypatch, tmp_path) == openmp.NO_TEAM


@linux
def test_a_runtime_without_the_interface_is_no_team(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = tmp_path / "libomp.so"
    other.symlink_to(openmp.OWN[0] / "libc10.so")  # a library, but no runtime
    assert addresses([str(other)], monkeypatch, tmp_path) == openmp.NO_TEAM


@pytest.mark.parametrize("folder", openmp.OWN)
def test_the_runtime_that_came_with_torch_is_torchs(folder: Path) -> None:
    """It is in either folder, depending on the processor."""
    own = str(folder / "libgomp-947d5fa1.so.1.0.0")
    entries = [f"7f00-7f01 r-xp 00000000 08:01 123    {path}" for path in (own, "/opt/libomp.so")]
    assert openmp._library("\n".join(entries)) == own


BESIDE_ANOTHER = """
import sklearn.linear_model, torch
from pathlib import Path
from spikemnist.kernels import openmp

found = openmp.team_addresses()
maps = Path("/proc/self/maps").read_text()
own = [line for line in maps.splitlines() if str(openmp.OWN[0]) in line and "libgomp" in line]
others = [line for line in maps.splitlines() if "libgomp" in line and line not in own]
assert own and others, maps
places = [[int(end, 16) for end in line.split()[0].split("-")] for line in own]
assert all(any(begin <= place < end for begin, end in places) for place in found), found
print("torch's own")
"""


@linux
def test_scikit_learns_runtime_is_not_taken_for_torchs() -> None:
    if not any(openmp.OWN[0].glob("libgomp*")):
        pytest.skip("this torch has no OpenMP runtime of its own")
    assert run(BESIDE_ANOTHER) == ["torch's own"]


TOUCH_NOTHING = """
import numba, re, torch
from pathlib import Path

def runtimes():
    text = Path("/proc/self/maps").read_text() if Path("/proc/self/maps").exists() else ""
    return sorted(set(re.findall(r"\\S*lib(?:gomp|omp|iomp|tbb)\\S*", text)))

torch.set_num_threads(2)
torch.rand(1000, 1000) @ torch.rand(1000, 1000)
before = runtimes()
from spikemnist.encoding import RateEncoder
from spikemnist.models import LeakyMLP
images = torch.arange(16 * 784).view(16, 784).remainder(256).to(torch.uint8)
record = LeakyMLP(784, (130,), 10, backend="event_driven")(RateEncoder(num_steps=25)(images))
record.scores.sum().backward()
assert runtimes() == before, (before, runtimes())
assert torch.get_num_threads() == 2
try:
    numba.threading_layer()
except ValueError:
    print("Numba has not started a thread;", record.backend)
assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
"""


def test_no_second_runtime_and_no_thread_settings() -> None:
    assert run(TOUCH_NOTHING) == ["Numba has not started a thread; event_driven"]
