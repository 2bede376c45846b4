"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import _atomic
from spikemnist._atomic import write_atomically

OLD, NEW = b"old " * 1000, b"new " * 2000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(st.binary(min_size=1, max_size=200))
def test_the_content_is_what_was_written(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("atomic") / "file.bin"
    assert write_atomically(file, lambda path: path.write_bytes(content)) == file
    assert file.read_bytes() == content
    assert names(file.parent) == ["file.bin"]


def test_an_older_file_is_replaced(tmp_path):
    file = tmp_path / "file.bin"
    for content in (OLD, NEW, b"x"):
        write_atomically(file, lambda path, content=content: path.write_bytes(content))
        assert file.read_bytes() == content
    assert names(tmp_path) == ["file.bin"]


def test_the_path_may_be_a_string_and_its_folder_missing(tmp_path):
    file = tmp_path / "a" / "b c" / "fü.txt"
    returned = write_atomically(str(file), lambda path: path.write_text("ü", encoding="utf-8"))
    assert returned == file
    assert file.read_text(encoding="utf-8") == "ü"


@pytest.mark.parametrize("name", ["a.txt", "a.tar.gz", "plain", "x.safetensors"])
def test_the_writer_gets_a_new_path_beside_it_with_its_suffix(tmp_path, name):
    seen = []

    def write(path):
        assert path.read_bytes() == b""
        seen.append(path)
        path.write_bytes(OLD)

    for _ in range(2):
        write_atomically(tmp_path / name, write)
    assert len({*seen, tmp_path / name}) == 3
    assert {path.parent for path in seen} == {tmp_path}
    assert {path.suffix for path in seen} == {Path(name).suffix}
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("moment", ["before", "during"])
def test_an_error_leaves_the_old_file_and_no_litter(tmp_path, error, moment):
    file = tmp_path / "file.bin"

    def fail(path):
        if moment == "during":
            path.write_bytes(NEW[:100])
        raise error

    with pytest.raises(error):
        write_atomically(file, fail)
    assert names(tmp_path) == []
    file.write_bytes(OLD)
    with pytest.raises(error):
        write_atomically(file, fail)
    assert file.read_bytes() == OLD
    assert names(tmp_path) == ["file.bin"]


def test_a_writer_that_writes_nothing(tmp_path):
    file = tmp_path / "file.bin"
    file.write_bytes(OLD)
    with pytest.raises(OSError, match="wrote nothing to the path that it was given"):
        write_atomically(file, lambda path: None)
    assert file.read_bytes() == OLD
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that others replace")
def test_writers_at_the_same_time(tmp_path):
    """Each reader finds one whole content, and the last one stays."""
    file = tmp_path / "file.bin"
    contents = [bytes([65 + number]) * 50_000 for number in range(4)]
    write_atomically(file, lambda path: path.write_bytes(contents[0]))
    errors = []

    def keep_writing(content):
        try:
            for _ in range(10):
                write_atomically(file, lambda path: path.write_bytes(content))
                assert file.read_bytes() in contents
        except BaseException as error:  # a thread's own error would only be printed
            errors.append(error)

    threads = [threading.Thread(target=keep_writing, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert file.read_bytes() in contents
    assert names(tmp_path) == ["file.bin"]


# Says "here" at the moment in question and goes no further.
KILLED = """
import os, sys
from pathlib import Path
from spikemnist._atomic import write_atomically

def wait():
    print("here", flush=True)
    sys.stdin.read()

moment, file, size = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

def write(path):
    if moment == "opened":
        with path.open("wb"):
            wait()
    if moment == "half":
        with path.open("wb", buffering=0) as stream:
            stream.write(b"new " * (size // 2))
            wait()
    path.write_bytes(b"new " * size)
    if moment == "written":
        wait()

def stop_in(owner, name, after=False):
    original = getattr(owner, name)
    def patched(*arguments):
        if not after:
            wait()
        result = original(*arguments)
        wait()
        return result
    setattr(owner, name, patched)

if moment == "unsynchronised":
    stop_in(os, "fsync")
if moment == "synchronised":
    stop_in(os, "fsync", after=True)
if moment == "renamed":
    stop_in(Path, "replace", after=True)
write_atomically(file, write)
"""
MOMENTS = {
    "opened": OLD,
    "half": OLD,
    "written": OLD,
    "unsynchronised": OLD,
    "synchronised": OLD,
    "renamed": NEW,
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("existing", [True, False])
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch, moment, existing):
    file = tmp_path / "file.bin"
    if existing:
        file.write_bytes(OLD)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, moment, str(file), "2000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    line = process.stdout.readline()
    process.kill()
    process.communicate()
    assert line == "here\n"
    wanted = MOMENTS[moment]
    if wanted is OLD and not existing:
        assert not file.exists()
    else:
        assert file.read_bytes() == wanted
    # The next writer in the folder, of whatever file, removes what lies about.
    if sys.platform == "win32":
        monkeypatch.setattr(_atomic, "AGE", 0.0)
    write_atomically(tmp_path / "other.txt", lambda path: path.write_bytes(b"next"))
    assert names(tmp_path) == sorted({"other.txt", *(["file.bin"] if file.exists() else [])})


def test_a_living_writer_keeps_its_temporary_file(tmp_path):
    """In another process, stopped in the middle of its work, while this one writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, "half", str(tmp_path / "file.bin"), "2000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout.readline() == "here\n"
    write_atomically(tmp_path / "other.txt", lambda path: path.write_bytes(b"next"))
    assert len(names(tmp_path)) == 2
    process.communicate("")  # goes on
    assert process.returncode == 0
    assert (tmp_path / "file.bin").read_bytes() == b"new " * 2000
    assert names(tmp_path) == ["file.bin", "other.txt"]


def test_a_living_writer_in_this_process_keeps_its_temporary_file(tmp_path):
    def write(path):
        path.write_bytes(NEW)
        write_atomically(tmp_path / "inner", lambda inner: inner.write_bytes(OLD))

    write_atomically(tmp_path / "outer", write)
    assert (tmp_path / "outer").read_bytes() == NEW
    assert names(tmp_path) == ["inner", "outer"]


def test_files_of_other_programs_are_left_alone(tmp_path):
    others = [".hidden", ".checkpoint.pt", "spikemnist-00000000.pt"]
    for name in others:
        (tmp_path / name).write_bytes(OLD)
    write_atomically(tmp_path / "file", lambda path: path.write_bytes(NEW))
    assert names(tmp_path) == sorted([*others, "file"])


@pytest.mark.parametrize("failures", [0, 1, len(_atomic.WAITS)])
@pytest.mark.parametrize("winerror", _atomic.BUSY)
def test_a_file_that_windows_holds_is_tried_again(tmp_path, monkeypatch, failures, winerror):
    """For two seconds: as long as a virus scanner or a synchronised folder takes."""
    waited, replace = [], Path.replace

    def held(self, target):
        if len(waited) < failures:
            error = PermissionError(13, "held by another program", str(self))
            error.winerror = winerror
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr(_atomic.time, "sleep", waited.append)
    write_atomically(tmp_path / "file", lambda path: path.write_bytes(NEW))
    assert len(waited) == failures
    assert names(tmp_path) == ["file"]


def test_a_file_that_stays_held_is_an_error_with_its_name(tmp_path, monkeypatch):
    waited = []

    def held(self, target):
        error = PermissionError(13, "held by another program", str(self))
        error.winerror = 32
        raise error

    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr(_atomic.time, "sleep", waited.append)
    with pytest.raises(PermissionError, match="held by another program") as caught:
        write_atomically(tmp_path / "file", lambda path: path.write_bytes(NEW))
    assert caught.value.filename == str(tmp_path / "file")
    assert sum(waited) == pytest.approx(2)
    assert names(tmp_path) == []


def test_temporary_names_are_short(tmp_path):
    """Windows counts 260 characters for a whole path, and names of compiled kernels are long."""
    lengths = []
    target = tmp_path / f"{'long' * 30}.nbc"
    write_atomically(target, lambda path: (lengths.append(len(path.name)), path.write_bytes(NEW)))
    assert lengths[0] <= 24


def test_what_cannot_be_made_names_itself(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    for path in (tmp_path / "file" / "below", tmp_path / ("n" * 300) / "file"):
        with pytest.raises(OSError, match=r"file|nnn"):
            write_atomically(path, lambda path: path.write_bytes(NEW))


FULL = """
import resource, signal, sys
from pathlib import Path
from spikemnist._atomic import write_atomically

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(sys.argv[1], lambda path: path.write_bytes(bytes(2000)))
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_full_disk_is_an_error_with_the_path(tmp_path):
    """A limit on the size of files gives EFBIG, as a full disk gives ENOSPC."""
    file = tmp_path / "file"
    file.write_bytes(OLD)
    words = [sys.executable, "-c", FULL, str(file)]
    said = subprocess.run(words, capture_output=True, check=True, encoding="utf-8").stdout
    assert said.strip() == f"{errno.EFBIG} {file}"
    assert file.read_bytes() == OLD
    assert names(tmp_path) == ["file"]
