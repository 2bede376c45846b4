"""Torch's own threads: found where there is one runtime with the interface, else done without."""

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


def addresses(monkeypatch: pytest.MonkeyPatch, maps: Path) -> tuple[int, int]:
    monkeypatch.setattr(openmp, "MAPS", maps)
    return openmp.team_addresses.__wrapped__()


def test_without_a_list_of_libraries_there_is_no_team(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert addresses(monkeypatch, tmp_path / "missing") == openmp.NO_TEAM


@pytest.mark.parametrize(
    "libraries",
    [
        [],
        ["/usr/lib/libc.so.6"],
        ["/opt/libiomp5.so"],
        ["/opt/libomp.so"],
        ["/opt/libgomp.so.1", "/opt/libomp.so"],
        ["/opt/libgomp-a34b3233.so.1", "/usr/lib/libgomp.so.1"],
        [str(openmp.OWN[0] / "libiomp5-lost.so"), "/usr/lib/libgomp.so.1"],
        ["/opt/libgomp.so.1 (deleted)"],
    ],
)
def test_none_or_a_lost_or_a_second_runtime_is_no_team(
    libraries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    entries = [f"7f00-7f01 r-xp 00000000 08:01 123    {library}" for library in libraries]
    maps.write_text("\n".join(["7ffe-7fff rw-p 00000000 00:00 0", *entries]), encoding="utf-8")
    assert addresses(monkeypatch, maps) == openmp.NO_TEAM


def test_the_folder_in_which_wheels_for_arm_keep_it_is_torchs_own() -> None:
    own = str(openmp.OWN[1] / "libgomp-947d5fa1.so.1.0.0")
    entries = [f"7f00-7f01 r-xp 00000000 08:01 123    {path}" for path in (own, "/opt/libomp.so")]
    assert openmp._library("\n".join(entries)) == own
    assert openmp.OWN[1].parent == openmp.OWN[0].parent.parent


@pytest.mark.parametrize("name", ["libgomp.so.1", "libomp.so", "libiomp5.so"])
def test_the_only_runtime_is_torchs(name: str) -> None:
    entries = ["7f00-7f01 r-xp 00000000 08:01 123    /opt/" + file for file in (name, "libm.so.6")]
    assert openmp._library("\n".join(entries)) == f"/opt/{name}"


@linux
def test_a_runtime_without_the_interface_is_no_team(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other, maps = tmp_path / "libomp.so", tmp_path / "maps"
    other.symlink_to(openmp.OWN[0] / "libc10.so")  # a library, and no runtime
    maps.write_text(f"7f00-7f01 r-xp 00000000 08:01 123    {other}", encoding="utf-8")
    assert addresses(monkeypatch, maps) == openmp.NO_TEAM


@linux
def test_a_path_in_another_encoding_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    entry = "7f00-7f01 r-xp 00000000 08:01 123    "
    maps.write_bytes(entry.encode() + b"/opt/M\xfcller/libc.so.6\n")
    assert addresses(monkeypatch, maps) == openmp.NO_TEAM
    maps.write_bytes(entry.encode() + b"/opt/M\xfcller/libgomp.so.1\n")
    assert addresses(monkeypatch, maps) == openmp.NO_TEAM  # there is no such library


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
def test_beside_the_runtime_of_scikit_learn_torchs_own_is_found() -> None:
    if not any(openmp.OWN[0].glob("libgomp*")):
        pytest.skip("this torch brought no OpenMP runtime of its own")
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


def test_no_second_runtime_and_nobody_elses_threads() -> None:
    """Nor has Numba loaded its threading layer."""
    assert run(TOUCH_NOTHING) == ["Numba has not started a thread; event_driven"]
