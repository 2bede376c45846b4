"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist._atomic import write_atomically

OLD, NEW = b"old " * 1000, b"new " * 2000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3))
def test_the_content_last_written(tmp_path_factory, contents):
    file = tmp_path_factory.mktemp("atomic") / "new folder" / "fü.tar.gz"
    for content in contents:
        write = partial(Path.write_bytes, data=content)
        assert write_atomically(str(file), write) == file
        assert file.read_bytes() == content
        assert names(file.parent) == ["fü.tar.gz"]


def test_name_of_the_temporary_file(tmp_path):
    """Windows limits paths to 260 characters, and the names of compiled kernels are long."""
    seen = []
    target = tmp_path / f"{'long' * 30}.safetensors"
    write_atomically(target, lambda path: (seen.append(path), path.write_bytes(NEW)))
    assert seen[0].parent == tmp_path
    assert seen[0].suffix == target.suffix
    assert len(seen[0].name) <= 32


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_permissions(tmp_path):
    (tmp_path / "usual").write_bytes(NEW)
    file = write_atomically(tmp_path / "file", lambda path: path.write_bytes(NEW))
    assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), FULL], ids=repr)
@pytest.mark.parametrize("old", [OLD, None], ids=["old", "new"])
def test_an_error_leaves_the_old_file_and_no_other(tmp_path, error, old):
    file = tmp_path / "file.bin"
    if old:
        file.write_bytes(old)

    def fail(path):
        path.write_bytes(NEW[:100])
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(file, fail)
    assert str(caught.value).startswith(str(error))
    assert error is not FULL or caught.value.filename == str(file)
    assert names(tmp_path) == (["file.bin"] if old else [])
    assert not old or file.read_bytes() == old


def test_a_temporary_file_that_stays(tmp_path, monkeypatch):
    """The reason of the failure is told, not that of the removal."""

    def held(self, missing_ok=False):
        raise PermissionError(errno.EACCES, "held by another program", str(self))

    def fail(path):
        path.write_bytes(NEW)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "unlink", held)
    with pytest.raises(OSError, match="No space left on device"):
        write_atomically(tmp_path / "file", fail)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that others replace")
def test_writers_at_the_same_time(tmp_path):
    """A reader sees one whole content, and the last one stays."""
    file = tmp_path / "file.bin"
    contents = [bytes([65 + number]) * 50_000 for number in range(4)]
    write_atomically(file, lambda path: path.write_bytes(contents[0]))

    def write_often(content):
        for _ in range(10):
            write_atomically(file, lambda path: path.write_bytes(content))
            assert file.read_bytes() in contents

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_often, contents))  # raises what a thread raises
    assert file.read_bytes() in contents
    assert names(tmp_path) == ["file.bin"]


# Prints "here" at the moment in question and waits.
KILLED = """
import os, sys
from pathlib import Path
from spikemnist._atomic import write_atomically

def wait(*arguments):
    print("here", flush=True)
    sys.stdin.read()

moment, file = sys.argv[1], Path(sys.argv[2])
if moment == "before the flush":
    os.fsync = wait
if moment == "before the rename":
    Path.replace = wait

def write(path):
    with path.open("wb", buffering=0) as stream:
        stream.write(b"new " * 1000)
        if moment == "half":
            wait()
        stream.write(b"new " * 1000)

write_atomically(file, write)
wait()
"""


@pytest.mark.parametrize(
    ("moment", "content"),
    [("half", OLD), ("before the flush", OLD), ("before the rename", OLD), ("at the end", NEW)],
)
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path, moment, content):
    file = tmp_path / "file.bin"
    file.write_bytes(OLD)
    words = [sys.executable, "-c", KILLED, moment, str(file)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        process.kill()
    assert line.strip() == b"here"
    assert file.read_bytes() == content


@pytest.mark.parametrize("failures", [1, 4, 5])
def test_a_file_that_another_program_holds(tmp_path, monkeypatch, failures):
    """For over a second: as long as a virus scanner or a synchronised folder takes."""
    waited, replace, left = [], Path.replace, [failures]

    def held(self, target):
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "held by another program", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr(time, "sleep", waited.append)
    file = tmp_path / "file"
    if failures < 5:
        write_atomically(file, lambda path: path.write_bytes(NEW))
        assert file.read_bytes() == NEW
    else:
        with pytest.raises(PermissionError, match="held by another program") as caught:
            write_atomically(file, lambda path: path.write_bytes(NEW))
        assert caught.value.filename == str(file)
        assert sum(waited) > 1
        assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (".", "is not a regular file: choose another path"),
        (os.devnull, "is not a regular file: choose another path"),
        ("file/below", "file is not a folder: choose another one"),
        (f"{'n' * 300}/file", "nnn"),
    ],
    ids=["folder", "device", "file as a folder", "long name"],
)
def test_wrong_paths(tmp_path, path, message):
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(OSError, match=message):
        write_atomically(tmp_path / path, lambda path: path.write_bytes(NEW))
