"""Wording of the output of commands: counts, commands to copy, written files."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def count(number: int, noun: str) -> str:
    """Return ``1 epoch``, ``1,000 images``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def command_line(*words: str | Path) -> str:
    """Return a command to type, with each word quoted for the system's shell."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def to_continue(command: str, folder: Path, done: str) -> str:
    """Return lines on the progress of an interrupted run and the command that continues it."""
    words = command_line("spikemnist", command, "--resume", "--out", folder)
    return f"interrupted after {done}, which are saved\ncontinue with  {words}"


def file_lines(folder: Path, files: Iterable[str], pictures: Iterable[Path]) -> str:
    """Return lines that name a run folder and the files written to it."""
    rows = [str(folder), ", ".join(files), ", ".join(path.name for path in pictures)]
    return f"written to        {rows[0]}\n" + "".join(f"{'':18}{row}\n" for row in rows[1:])
