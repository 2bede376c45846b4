"""Checks of the checkpoint of a resumable run: a new file, or a file of the same run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping


def checkpoint_file(path: str | os.PathLike[str] | None, *, resume: bool) -> Path | None:
    """Return the file of a checkpoint; raise if it exists and is not resumed."""
    if path is None:
        if resume:
            raise ValueError("resume=True needs the checkpoint= file to resume from")
        return None
    file = Path(path)
    if file.exists() and not resume:
        raise FileExistsError(
            f"{file} holds an earlier run: pass resume=True to continue it, or another file"
        )
    return file


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return what differs between two descriptions of runs, in words; empty if they are equal."""
    return "; ".join(
        f"{name} was {one.get(name)!r}, is {other.get(name)!r}"
        for name in (*other, *(name for name in one if name not in other))
        if one.get(name) != other.get(name)
    )


def check_settings(checkpoint: Mapping[str, Any], run: Mapping[str, Any], path: Path) -> None:
    """Raise a `ValueError` that names every setting in which a run differs from its checkpoint."""
    if named := differences(checkpoint, run):
        raise ValueError(
            f"cannot resume {path} with another configuration: {named}. Resume with the same "
            "configuration, or start a new run"
        )
