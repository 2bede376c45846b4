"""The folder of a run: its description, metrics, checkpoint and model.

Nothing heavy is imported here, so that the command line can look for runs before it needs PyTorch.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from spikemnist import __version__
from spikemnist._atomic import PREFIX, write_atomically
from spikemnist._descriptions import differences

MODEL, METRICS, CONFIG, CHECKPOINT = FILES = (
    "model.safetensors",
    "metrics.csv",
    "config.json",
    "checkpoint.pt",
)

FREE = ("version", "data.name", "data.root")
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
        raise ValueError(f"resume must be True, False or 'auto'; got {resume!r}")
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


@contextlib.contextmanager
def open_folder(
    folder: Path | None, description: Mapping[str, Any], *, resume: bool
) -> Iterator[None]:
    """Claim a folder by the description of a new run, or with ``resume`` compare it; lock it.

    A resumed run may have more epochs where the learning rate does not depend on their number. The
    files of a new run that fails in its first epoch are removed.

    Raises
    ------
    ValueError
        If the resumed run has another description, or its file is damaged.
    FileExistsError
        If another process has claimed the folder, or is training in it.
    """
    if folder is None:
        yield
        return
    config = folder / CONFIG
    if not resume:
        try:
            claim(config, **description)
        except FileExistsError:
            find_folder(folder, resume=False)  # raises with the reason
            raise
    with locked(folder):
        if resume:
            earlier = read_config(folder)
            settings, former = description.get("config", {}), earlier.get("config")
            if settings.get("schedule") == "constant" and isinstance(former, dict):
                epochs = settings["epochs"]
                earlier["config"] = {**former, "epochs": max(epochs, former.get("epochs", epochs))}
            if named := differences(earlier, description, FREE):
                raise OtherConfigurationError(
                    f"cannot resume {folder} with another configuration: {named}. Resume with the "
                    "same configuration, or start a new run"
                )
            if description["data"].get("name"):  # the files may have moved
                earlier["data"] = description["data"]
            write_atomically(config, lambda new: claim(new, **earlier))
        try:
            yield
        except Exception as error:
            begun = resume or (folder / METRICS).exists() or (folder / MODEL).exists()
            # Where another process has ended, the rest of the run can be resumed.
            if not begun and not isinstance(error, ConnectionError):
                discard(folder)
            raise


def claim(file: Path, **values: object) -> None:
    """Make a new file of plain values, with the version of the package.

    Of several processes that make it at once, one succeeds; the others leave it alone.

    Raises
    ------
    FileExistsError
        If there is such a file.
    """
    text = json.dumps({"version": __version__, **values}, indent=2) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    stream = file.open("x", encoding="utf-8")
    try:
        with stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        file.unlink()
        raise


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run folder against other processes, and remove temporary files of a killed one.

    The system frees the lock when the process ends. Windows has no such lock, and some network file
    systems have none: there the folder is not protected.

    Raises
    ------
    FileExistsError
        If another process has locked the folder.
    """
    with contextlib.ExitStack() as stack:
        if sys.platform != "win32":
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)  # also for forked workers
            except OSError as error:
                if isinstance(error, BlockingIOError):  # else a file system without locks
                    raise FileExistsError(
                        f"another process is training in {folder}: wait for it, or end it"
                    ) from None
        for file in folder.glob(f"{PREFIX}*"):
            file.unlink(missing_ok=True)
        yield


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
    with contextlib.suppress(OSError):  # it holds other files
        folder.rmdir()
