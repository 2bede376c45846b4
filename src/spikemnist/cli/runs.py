"""Run folders of commands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from spikemnist._atomic import PREFIX
from spikemnist._run_folder import CONFIG, OtherConfigurationError
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.output import with_numbers
from spikemnist.cli.parser import Command, Options


def add_options(add: Options, *, resume: bool = True) -> None:
    """Add the options of a command that makes a run folder, and may ``resume`` the run in it."""
    text = f"run folder; it must be new or empty{', except with --resume' if resume else ''}"
    add("--out", text, kind=Path, value="PATH", absent="a new folder below runs/")
    if resume:
        add("--resume", "continue the run in --out, with its own options", False)


@contextlib.contextmanager
def run_folder(command: Command, code: str) -> Iterator[Path]:
    """Yield the folder of the run: a new one, or the existing one with ``--resume``.

    A folder that is still empty when an error comes is removed.
    """
    folder = command.out or _make_unused_folder(f"{Path(command.data).stem}-{code}")
    # A process that was killed as it began may have left a temporary file.
    used = folder.is_dir() and any(not one.name.startswith(PREFIX) for one in folder.iterdir())
    can_resume = "resume" in command
    if folder.is_file() or (used and not (can_resume and command.resume)):
        holds_run = can_resume and (folder / CONFIG).is_file()
        resume = "add --resume to continue the run in it, " if holds_run else ""
        raise WrongRequest(
            f"--out: {folder} exists already and is never overwritten: {resume}choose another "
            "--out, or delete it"
        )
    try:
        yield folder
    except OtherConfigurationError as error:
        raise WrongRequest(str(error)) from error
    except BaseException:
        for place in (folder,) if command.out else (folder, folder.parent):
            with contextlib.suppress(OSError):  # it holds files, or `fit` has removed it
                place.rmdir()
        raise


def _make_unused_folder(kind: str) -> Path:
    """Make an unused folder below ``runs/``."""
    for name in with_numbers(f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"):
        with contextlib.suppress(FileExistsError):
            Path("runs", name).mkdir(parents=True)
            return Path("runs", name)
    raise AssertionError("unreachable")
