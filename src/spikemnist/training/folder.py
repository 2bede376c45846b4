"""The folder of a run: its configuration, metrics, checkpoint and model.

Nothing heavy is imported here, so that the command line can look for runs before it needs PyTorch.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist._checkpoints import check_settings
from spikemnist._load import MODEL

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.csv", "checkpoint.pt"
FILES = (MODEL, METRICS, CONFIG, CHECKPOINT)


def find_folder(run: str | os.PathLike[str] | None, *, resume: bool) -> Path | None:
    """Return the folder of a run: a new one, or with ``resume`` one that holds a run.

    Raises
    ------
    ValueError
        If there is nothing to resume.
    FileExistsError
        If the folder of a new run holds a run already.
    FileNotFoundError
        If the folder to resume holds no run.
    """
    if run is None:
        if resume:
            raise ValueError("resume=True needs run=, the folder of the run to continue")
        return None
    folder = Path(run)
    if resume:
        check_file(folder, CONFIG)
    elif folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: run= takes a folder")
    elif any((folder / name).exists() for name in FILES):
        raise FileExistsError(
            f"{folder} holds a run already: pass resume=True to continue it, or another folder"
        )
    return folder


def open_folder(folder: Path, description: Mapping[str, Any], *, resume: bool) -> None:
    """Write the description of a run into its folder, or with ``resume`` compare it.

    A resumed run may have more epochs where the learning rate does not depend on their number.

    Raises
    ------
    ValueError
        If the resumed run has another description, or its file is damaged.
    """
    if resume:
        earlier, settings = read_json(folder / CONFIG, *description), description["settings"]
        former = earlier["settings"]
        if settings["schedule"] == "constant" and former.get("epochs", 0) < settings["epochs"]:
            former["epochs"] = settings["epochs"]
        check_settings(flat(earlier), flat(description), folder)
    write_json(folder / CONFIG, **description)


def flat(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of all parts of a description, which have different names."""
    parts = (part for part in description.values() if isinstance(part, dict))
    return {name: value for part in parts for name, value in part.items()}


def check_file(folder: Path, name: str) -> Path:
    """Return a file that every run has.

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists runs inside the folder.
    """
    if not (folder / name).is_file():
        inside = sorted(str(path.parent) for path in folder.glob(f"*/{name}"))
        hint = f"; run folders in it are {', '.join(inside[:5])}" if inside else ""
        raise FileNotFoundError(f"{folder} is not a run folder: it has no {name}{hint}")
    return folder / name


def write_json(file: Path, **values: object) -> None:
    """Write plain values, with the version of the package, atomically."""
    text = json.dumps({"version": __version__, **values}, indent=2) + "\n"
    write_atomically(file, lambda new: new.write_text(text, encoding="utf-8"))


def read_json(file: Path, *parts: str) -> dict[str, Any]:
    """Return the values of `write_json`.

    Raises
    ------
    ValueError
        If the file is damaged, or lacks one of the parts, which are mappings.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    for part in parts:
        if not isinstance(values, dict) or not isinstance(values.get(part), dict):
            raise ValueError(f"{file} is damaged: it lacks {part!r}")
    return dict(values)


def discard(folder: Path) -> None:
    """Remove the files of a run, or its folder would block the corrected one."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds other files
        folder.rmdir()
