"""A team of torch's own threads, where torch's OpenMP runtime is known."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spikemnist.kernels import openmp

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's list of libraries")


def maps_of(libraries: list[str]) -> str:
    """Return a list of libraries as Linux writes it."""
    return "".join(f"7f00-7f01 r-xp 00000000 08:01 123    {library}\n" for library in libraries)


def addresses(
    libraries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[int, int]:
    (tmp_path / "maps").write_text(maps_of(libraries), encoding="latin-1")
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
    ids=["none", "two", "lost", "deleted", "not UTF-8"],
)
def test_no_team_without_a_single_runtime(
    libraries: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert addresses(libraries, monkeypatch, tmp_path) == openmp.NO_TEAM


@linux
def test_no_team_without_the_interface(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "libomp.so"
    other.symlink_to(openmp.OWN[0] / "libc10.so")  # a library, but no runtime
    assert addresses([str(other)], monkeypatch, tmp_path) == openmp.NO_TEAM


@pytest.mark.parametrize("folder", openmp.OWN)
def test_a_runtime_that_came_with_torch(folder: Path) -> None:
    """It is in either folder, depending on the processor."""
    own = str(folder / "libgomp-947d5fa1.so.1.0.0")
    assert openmp._runtime({own, "/opt/libomp.so"}) == own


@linux
@pytest.mark.parametrize("lacking", [None, "_dyld_image_count", "_dyld_get_image_name"])
def test_the_list_of_macos(
    lacking: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a stand-in for the loader of macOS, in which an image vanishes while it is read."""
    runtimes = [str(path) for folder in openmp.OWN for path in folder.glob("libgomp*")]
    if not runtimes:
        pytest.skip("this torch has no OpenMP runtime of its own")
    expected, library = openmp.team_addresses.__wrapped__(), ctypes.CDLL(runtimes[0])
    images = [b"/opt/M\xfcller.dylib", None, runtimes[0].encode(), b"/opt/sklearn/libomp.dylib"]
    loader = SimpleNamespace(
        _dyld_image_count=lambda: len(images), _dyld_get_image_name=lambda index: images[index]
    )
    if lacking:
        delattr(loader, lacking)
    monkeypatch.setattr(openmp, "MAPS", tmp_path / "missing")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", {None: loader, runtimes[0]: library}.__getitem__)
    actual = openmp.team_addresses.__wrapped__()
    assert actual == (openmp.NO_TEAM if lacking else expected)
    assert expected != openmp.NO_TEAM


@linux
def test_torchs_runtime_beside_scikit_learns() -> None:
    import sklearn.linear_model  # noqa: F401 - it loads a runtime

    if not any(openmp.OWN[0].glob("libgomp*")):
        pytest.skip("this torch has no OpenMP runtime of its own")
    maps = openmp.MAPS.read_text(encoding="utf-8", errors="surrogateescape")
    runtimes = [line for line in maps.splitlines() if "libgomp" in line]
    own = [line for line in runtimes if str(openmp.OWN[0]) in line]
    assert 0 < len(own) < len(runtimes), maps
    places = [[int(end, 16) for end in line.split()[0].split("-")] for line in own]
    for address in openmp.team_addresses.__wrapped__():
        assert any(begin <= address < end for begin, end in places)
