"""Run folders: the files of a training, and how to find them again.

A run folder holds ``config.json``, ``metrics.csv``, a checkpoint, ``model.safetensors`` and
pictures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import secrets
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from spikemnist import __version__
from spikemnist._atomic import PREFIX, write_atomically
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.limits import flag, types_of, values_of
from spikemnist.cli.options import Stdp, Train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Run = Train | Stdp
"""Commands that write a run folder."""

CONFIG, METRICS = "config.json", "metrics.csv"
CHECKPOINT, MODEL = "checkpoint.pt", "model.safetensors"
STDP_CHECKPOINT = "checkpoint.safetensors"

# A recipe is stored as the options that it stands for.
_NOT_STORED = ("out", "resume", "recipe", "debug", "quiet", "verbose", "json")

_OF_0_1_0 = {"data", "root", "encoder", "num_steps", "hidden", "epochs", "batch_size", "lr"}
_OF_0_1_0 |= {"device", "backend", "seed"}
"""Options that every run folder has; any others that it lacks have their defaults."""


@contextlib.contextmanager
def run_folder(command: Run) -> Iterator[Path]:
    """Yield the folder of the run: a new one, or the existing one with ``--resume``.

    If a run ends before it has anything to continue from, its new folder is removed, so that it
    does not block the corrected command.
    """
    if command.resume:
        assert command.out is not None  # `check_resumed` ensures it
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
    """Claim the run folder of a new training by writing its configuration.

    If two runs ask for the same folder at the same instant, one gets it.

    Raises
    ------
    WrongRequest
        If the folder is not empty: a run is never overwritten.
    """
    if command.out is None:
        folder = _make_unused_folder(command)
    else:
        folder = command.out
        if not folder.exists() or folder.is_dir():  # else it is refused below
            folder.mkdir(parents=True, exist_ok=True)
    options = {"version": __version__, "command": _name(type(command)), **_stored(command)}
    if not _is_free(folder) or not _create(folder / CONFIG, json.dumps(options, indent=2) + "\n"):
        raise WrongRequest(
            f"--out: {folder} exists already and is never overwritten. Add --resume to continue "
            "the run in it; to start anew, choose another --out or delete the folder"
        )
    return folder


def _is_free(folder: Path) -> bool:
    # A run killed before it had written its configuration leaves at most a hidden temporary file.
    return folder.is_dir() and all(file.name.startswith(".") for file in folder.iterdir())


def _create(file: Path, text: str) -> bool:
    """Write a whole file unless it exists; return whether it was written."""
    # Named as a temporary file: if the run is killed here, the next write removes it.
    whole = file.with_name(f"{PREFIX}{secrets.token_hex(4)}{file.suffix}")
    write_atomically(whole, lambda path: path.write_text(text, encoding="utf-8"))
    try:
        os.link(whole, file)  # a rename would replace the file that another run has just written
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            with file.open("x", encoding="utf-8") as stream:
                stream.write(text)
        except FileExistsError:
            return False
    finally:
        whole.unlink(missing_ok=True)
    return True


def resumed(command: Run) -> Run:
    """Return the options with which the run in ``command.out`` was started.

    Raises
    ------
    WrongRequest
        Without ``--out``, or if there is no run in it.
    """
    if command.out is None:
        raise WrongRequest("--resume needs --out, the folder of the run to continue")
    kind = type(command)
    return _command(kind, read_config(command.out, kind))  # type: ignore[no-any-return]


def check_resumed(command: Run) -> Path:
    """Return the folder of a run to continue, if it was started with the same options.

    Raises
    ------
    WrongRequest
        With each option that differs.
    """
    assert command.out is not None  # `resumed` ensures it
    kind = type(command)
    stored = _stored(_command(kind, read_config(command.out, kind)))
    differences = [
        f"{flag(name)} was {stored[name]}, is {value}"
        for name, value in _stored(command).items()
        if stored[name] != value
    ]
    if differences:
        raise WrongRequest(
            f"cannot resume {command.out} with other options: {'; '.join(differences)}. Leave "
            "them out; to change them, choose another --out or delete the folder"
        )
    return command.out


def read_config(folder: Path, kind: type[Run] = Train) -> dict[str, Any]:
    """Return the options in the ``config.json`` of the run folder of a command.

    Raises
    ------
    WrongRequest
        If the file is missing, damaged, or of another command.
    """
    stored, wanted = _read(folder), _name(kind)
    found = stored.get("command", _name(Train))
    if found != wanted:
        raise WrongRequest(f"{folder} is a run of `spikemnist {found}`, not of `{wanted}`")
    config: dict[str, Any] = {}
    for name, type_ in types_of(kind).items():
        if name in _NOT_STORED:
            continue
        if name not in stored:
            raise WrongRequest(f"{folder / CONFIG} is damaged: it lacks {name!r}")
        if not _fits(stored[name], type_):
            raise WrongRequest(f"{folder / CONFIG} is damaged: {name} is {stored[name]!r}")
        value = stored[name]
        config[name] = tuple(value) if isinstance(value, list) else value
    config["root"] = None if config["root"] is None else Path(config["root"])
    return config


def _command(kind: Any, config: Mapping[str, Any]) -> Any:
    """Return the command, or the group of options, with the given options."""
    given = {
        name: _command(type_, config) if dataclasses.is_dataclass(type_) else config[name]
        for name, type_ in get_type_hints(kind).items()
        if dataclasses.is_dataclass(type_) or name in config
    }
    return kind(**given)


def _fits(value: object, type_: Any) -> bool:
    """Return whether a value from JSON fits an option of the given type."""
    origin, inner = get_origin(type_), get_args(type_)
    if origin is Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if type_ is float:
        return type(value) in (int, float)
    return type(value) is (str if type_ is Path else type_)


def is_stdp(folder: Path) -> bool:
    """Return whether a run folder is from `spikemnist stdp`."""
    return folder.is_dir() and bool(_read(folder).get("command") == _name(Stdp))


def _read(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    if not file.is_file():
        inside = sorted(str(path.parent) for path in folder.glob(f"*/{CONFIG}"))
        hint = f"; run folders in it are {', '.join(inside[:5])}" if inside else ""
        raise WrongRequest(f"{folder} is not a run folder: it has no {CONFIG}{hint}")
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise WrongRequest(f"{file} is damaged: it is not UTF-8 text") from error
    except RecursionError as error:
        raise WrongRequest(f"{file} is damaged: it is nested too deeply") from error
    except ValueError as error:
        raise WrongRequest(f"{file} is damaged: it is not JSON ({error})") from error
    if not isinstance(stored, dict):
        raise WrongRequest(f"{file} is damaged: it holds no options")
    later = {name: value for name, value in _stored(Train()).items() if name not in _OF_0_1_0}
    return {**later, **stored}


def _name(kind: type[Run]) -> str:
    return kind.__name__.lower()


def _stored(command: Run) -> dict[str, Any]:
    options = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values_of(command).items()
        if name not in _NOT_STORED
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
