"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist._atomic import write_atomically

OLD, NEW = b"old " * 1000, b"new " * 2000


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(st.binary(max_size=200))
def test_the_content_is_what_was_written(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("atomic") / "file.bin"
    assert write_atomically(file, lambda path: path.write_bytes(content)) == file
    assert file.read_bytes() == content
    assert names(file.parent) == ["file.bin"]


def test_an_older_file_is_replaced(tmp_path):
    file = tmp_path / "file.bin"
    for content in (OLD, NEW, b""):
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
        assert not path.exists()
        seen.append(path)
        path.write_bytes(b"")

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
    with pytest.raises(FileNotFoundError):
        write_atomically(file, lambda path: None)
    assert file.read_bytes() == OLD


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
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path, moment, existing):
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
    # What lies about does not keep the next writer from its work.
    write_atomically(file, lambda path: path.write_bytes(b"next"))
    assert file.read_bytes() == b"next"
