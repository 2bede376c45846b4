"""Run folders: the files of a training, and how to find them again.

A run folder holds ``config.json``, ``metrics.csv``, a checkpoint, ``model.safetensors`` and
pictures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist._load import MODEL as MODEL
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.limits import flag, types_of, values_of
from spikemnist.cli.options import Stdp, Train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Run = Train | Stdp
"""Commands that write a run folder."""

CONFIG, METRICS = "config.json", "metrics.csv"
CHECKPOINT = "checkpoint.pt"

# A recipe is stored as the options that it stands for.
_OMITTED = ("out", "resume", "recipe", "debug", "quiet", "verbose", "json")


@contextlib.contextmanager
def run_folder(command: Run) -> Iterator[Path]:
    """Yield the folder of the run: a new one, or the existing one with ``--resume``.

    If a run ends before it has anything to continue from, its new folder is removed, so that it
    does not block the corrected command.
    """
    if command.resume:
        assert command.out is not None  # `check_same_options` ensures it
        yield command.out
        return
    folder = new_run(command)
    try:
        yield folder
    except BaseException:
        if {file.name for file in folder.iterdir()} == {CONFIG}:
            (folder / CONFIG).unlink()
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def new_run(command: Run) -> Path:
    """Make the folder of a new run, with its configuration.

    Raises
    ------
    WrongRequest
        If the folder is not empty: a run is never overwritten.
    """
    folder = command.out or _make_unused_folder(command)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
    # A run killed before it had written its configuration leaves at most a hidden temporary file.
    if not folder.is_dir() or any(not file.name.startswith(".") for file in folder.iterdir()):
        raise WrongRequest(
            f"--out: {folder} exists already and is never overwritten. Add --resume to continue "
            "the run in it; to start anew, choose another --out or delete the folder"
        )
    options = {"version": __version__, "command": _name(type(command)), **_options_of(command)}
    text = json.dumps(options, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda file: file.write_text(text, encoding="utf-8"))
    return folder


def options_to_resume(command: Run) -> Run:
    """Return the options with which the run in ``command.out`` was started.

    Raises
    ------
    WrongRequest
        Without ``--out``, or if there is no run in it.
    """
    if command.out is None:
        raise WrongRequest("--resume needs --out, the folder of the run to continue")
    kind = type(command)
    return from_values(kind, read_config(command.out, kind))  # type: ignore[no-any-return]


def check_same_options(command: Run) -> Path:
    """Return the folder of a run to continue, if it was started with the same options.

    Raises
    ------
    WrongRequest
        With each option that differs.
    """
    assert command.out is not None  # `options_to_resume` ensures it
    kind = type(command)
    config = _options_of(from_values(kind, read_config(command.out, kind)))
    differences = [
        f"{flag(name)} was {config[name]}, is {value}"
        for name, value in _options_of(command).items()
        if config[name] != value
    ]
    if differences:
        raise WrongRequest(
            f"cannot resume {command.out} with other options: {'; '.join(differences)}. Leave "
            "them out; to change them, choose another --out or delete the folder"
        )
    return command.out


def read_config(folder: Path, kind: type[Run] | None = None) -> dict[str, Any]:
    """Return the name of the command that made a run folder, and its options.

    ``kind`` is the command that is expected; None takes either.

    Raises
    ------
    WrongRequest
        If the file is missing, damaged, or of another command.
    """
    entries = _read(folder)
    kinds = {_name(each): each for each in get_args(Run)}
    command = str(entries.get("command"))
    if command not in (kinds if kind is None else {_name(kind)}):
        expected = "` or `".join(kinds) if kind is None else _name(kind)
        raise WrongRequest(f"{folder} is a run of `spikemnist {command}`, not of `{expected}`")
    config: dict[str, Any] = {"command": command}
    for name in types_of(kinds[command]):
        if name in _OMITTED:
            continue
        if name not in entries:
            raise WrongRequest(f"{folder / CONFIG} is damaged: it lacks {name!r}")
        value = entries[name]
        config[name] = tuple(value) if isinstance(value, list) else value
    config["root"] = None if config["root"] is None else Path(config["root"])
    return config


def from_values(kind: Any, config: Mapping[str, Any]) -> Any:
    """Return the command, or the group of options, with the values that are given."""
    values = {
        name: from_values(type_, config) if dataclasses.is_dataclass(type_) else config[name]
        for name, type_ in get_type_hints(kind).items()
        if dataclasses.is_dataclass(type_) or name in config
    }
    return kind(**values)


def _read(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        inside = sorted(str(path.parent) for path in folder.glob(f"*/{CONFIG}"))
        hint = f"; run folders in it are {', '.join(inside[:5])}" if inside else ""
        raise WrongRequest(f"{folder} is not a run folder: it has no {CONFIG}{hint}")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WrongRequest(f"{file} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise WrongRequest(f"{file} is damaged: it holds no options")
    return config


def _name(kind: type[Run]) -> str:
    return kind.__name__.lower()


def _options_of(command: Run) -> dict[str, Any]:
    options = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values_of(command).items()
        if name not in _OMITTED
    }
    options["root"] = None if command.root is None else str(command.root.resolve())
    return options


def _make_unused_folder(command: Run) -> Path:
    """Make an unused folder below ``runs/``."""
    how = command.encoder if isinstance(command, Train) else _name(Stdp)
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{command.data}-{how}"
    for number in itertools.count(1):
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")
