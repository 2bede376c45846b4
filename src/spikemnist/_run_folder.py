"""The folder of a run: its description, metrics, checkpoint and model.

Nothing heavy is imported here, so that the command line can look for runs before it needs PyTorch.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spikemnist import __version__
from spikemnist._arguments import must_be
from spikemnist._atomic import PREFIX, write_atomically
from spikemnist._descriptions import differences

MODEL, METRICS, CONFIG, CHECKPOINT = FILES = (
    "model.safetensors",
    "metrics.csv",
    "config.json",
    "checkpoint.pt",
)

FREE = ("version", "threads", "data.name", "data.root")
"""Entries of a description that may differ when a run is resumed: the digest tells the data."""


class OtherConfigurationError(ValueError):
    """Raised where a run is resumed with another configuration than it began with."""


def find_folder(
    run: str | os.PathLike[str] | None, *, resume: bool | Literal["auto"]
) -> tuple[Path | None, bool]:
    """Return the folder of a run, a new one or one that holds a run, and whether to resume it.

    Raises
    ------
    ValueError
        If there is nothing to resume, or ``resume`` has another value.
    FileExistsError
        If the folder of a new run holds a run already.
    FileNotFoundError
        If the folder to resume holds no run.
    """
    if resume not in (True, False, "auto"):
        raise must_be("resume", "True, False or 'auto'", resume)
    if run == "":
        raise must_be("run", "the path of a folder, '.' for the current one", run)
    if run is None:
        if resume:
            raise ValueError(f"resume={resume!r} needs run=, the folder of the run to continue")
        return None, False
    folder = Path(run)
    if resume == "auto":
        resume = (folder / CONFIG).exists()
    if resume:
        check_run(folder, "; resume='auto' begins a run there")
    elif folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: run= takes a folder")
    elif any((folder / name).exists() for name in FILES):
        raise FileExistsError(
            f"{folder} holds a run already: continue it with resume=True, or `--resume` on the "
            "command line; or choose another folder"
        )
    return folder, resume


class RunFolder(NamedTuple):
    """The folder of a run that is training, and its number on the disk, which a new name keeps."""

    path: Path
    number: tuple[int, int]

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """Return the folder that is there now."""
        status = path.stat()
        return cls(path, (status.st_dev, status.st_ino))

    @property
    def is_there(self) -> bool:
        """Whether the folder was neither renamed nor replaced nor deleted."""
        return self.path.is_dir() and RunFolder.at(self.path) == self

    def file(self, name: str) -> Path:
        """Return the path of a file of the run.

        Raises
        ------
        FileNotFoundError
            If the folder is not there any more.
        """
        if not self.is_there:
            raise FileNotFoundError(
                f"{self.path} was renamed, replaced or deleted while its run was training, which "
                "ends the run. Its last checkpoint is in the folder: resume it there"
            )
        return self.path / name


@contextlib.contextmanager
def open_folder(
    folder: Path | None, description: Mapping[str, Any], *, resume: bool
) -> Iterator[RunFolder | None]:
    """Claim a folder by the description of a new run, or with ``resume`` compare it; lock it.

    A resumed run may have more epochs where the learning rate does not depend on their number, and
    warns of another number of threads. The files of a new run that fails in its first epoch are
    removed.

    Raises
    ------
    ValueError
        If the resumed run has another description, or its file is damaged.
    FileExistsError
        If another process has claimed the folder, or is training in it.
    """
    if folder is None:
        yield None
        return
    config = folder / CONFIG
    if not resume:
        try:
            write_atomically(config, _writer(description), new=True)
        except OSError:
            find_folder(folder, resume=False)  # raises with the reason, if there is a run
            raise
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, folder)  # once the lock is gone, which is a file on Windows
        stack.enter_context(locked(folder))
        opened = RunFolder.at(folder)
        if resume:
            write_atomically(config, _writer(_continued(folder, description)))
        try:
            yield opened
        except Exception as error:
            begun = resume or (folder / METRICS).exists() or (folder / MODEL).exists()
            # Where another process has ended, the rest of the run can be resumed.
            if not begun and opened.is_there and not isinstance(error, ConnectionError):
                discard(folder)
            raise


def _continued(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a run that is resumed; refuse one that differs from before."""
    earlier = read_config(folder)
    settings, former = description.get("config", {}), earlier.get("config")
    epochs = former.get("epochs") if isinstance(former, dict) else None
    if settings.get("schedule") == "constant" and isinstance(epochs, int):
        earlier["config"]["epochs"] = max(settings["epochs"], epochs)
    if named := differences(earlier, description, FREE):
        raise OtherConfigurationError(
            f"cannot resume {folder} with another configuration: {named}. Resume with the "
            "same configuration, or start a new run"
        )
    if description["data"].get("name"):  # the files may have moved
        earlier["data"] = description["data"]
    before, now = (values.get("threads") for values in (earlier, description))
    if before != now:
        warnings.warn(
            f"the number of threads was {before} when {folder} began, and is {now}: bits may "
            "differ from those of a run that was not stopped",
            stacklevel=2,
        )
    return earlier


def _writer(values: Mapping[str, object]) -> Callable[[Path], object]:
    """Return a function that writes plain values to a file, with the version of the package."""
    text = json.dumps({"version": __version__, **values}, indent=2) + "\n"
    return lambda file: file.write_text(text, encoding="utf-8", newline="\n")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder against other processes, and remove temporary files of a killed one.

    The system frees the lock when the process ends. Some network file systems have no locks: there
    the folder is not protected.

    Raises
    ------
    FileExistsError
        If another process has locked the folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            _lock(folder, stack)
        except OSError as error:
            if sys.platform == "win32" or isinstance(error, BlockingIOError):
                raise FileExistsError(
                    f"another process is training in {folder}: wait for it, or end it"
                ) from None
            # else a file system without locks
        for file in folder.glob(f"{PREFIX}*"):
            with contextlib.suppress(PermissionError):  # a living process writes it, on Windows
                file.unlink(missing_ok=True)
        yield


def _lock(folder: Path, stack: contextlib.ExitStack) -> None:
    """Lock a folder until the stack is closed."""
    if sys.platform == "win32":
        import msvcrt

        # The file is gone with its last handle, so with the process.
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_TEMPORARY)
        stack.callback(os.close, handle)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)  # also for forked workers


def check_run(folder: Path, advice: str = "") -> Path:
    """Return the file that every run has.

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists runs inside the folder.
    """
    if not (folder / CONFIG).is_file():
        inside = sorted(str(path.parent) for path in folder.glob(f"*/{CONFIG}"))
        hint = f"; run folders in it are {', '.join(inside[:5])}" if inside else ""
        raise FileNotFoundError(f"{folder} is not a run folder: it has no {CONFIG}{hint}{advice}")
    return folder / CONFIG


def read_config(folder: Path) -> dict[str, Any]:
    """Return the description of the run in a folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    ValueError
        If the description is damaged, or says nothing of the data.
    """
    file = check_run(folder)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("data"), dict):
        raise ValueError(f"{file} is damaged: it lacks 'data'")
    return values


def command_of(description: Mapping[str, Any]) -> str:
    """Return the name of the command that makes such a run."""
    return "stdp" if "classifier" in description else "train"


def model_file(source: str | os.PathLike[str]) -> Path:
    """Return the model file in the folder of a run, or a path to a file unchanged.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run, or its run has not finished.
    """
    path = Path(source)
    if not path.is_dir():
        return path
    if not (path / MODEL).is_file():
        advice = (
            f"continue it with `spikemnist train --resume --out {path}`, or in Python with "
            "fit(..., resume=True)"
        )
        if command_of(read_config(path)) == "stdp":
            advice = "delete the folder, and start the run again"
        raise FileNotFoundError(
            f"{path} has no {MODEL}, because the run has not finished; {advice}"
        )
    return path / MODEL


def discard(folder: Path) -> None:
    """Remove the files of a run, or its folder would block the corrected one."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it holds files
        folder.rmdir()
