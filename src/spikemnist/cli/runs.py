"""Run folders of commands.

Beside the files of `spikemnist.fit`, a folder holds ``command.json``, the options of the command
that made it.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist._load import MODEL as MODEL
from spikemnist.cli.errors import WrongRequest, flag
from spikemnist.cli.output import command_line
from spikemnist.cli.parser import shown
from spikemnist.training.folder import CONFIG, check_file, claim, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spikemnist.cli.parser import Command, Options

COMMAND = "command.json"

OMITTED = ("given", "out", "resume", "recipe", "diagnose", "debug", "quiet", "verbose", "json")
"""Options that are not stored; a recipe is stored as the options that it stands for."""


def add_options(add: Options) -> None:
    """Add the options of a command that makes a run folder."""
    text = "run folder; it must be new or empty, except with --resume"
    add("--out", text, kind=Path, value="PATH", absent="a new folder below runs/")
    add("--resume", "continue the run in --out, with its own options", False)


@contextlib.contextmanager
def run_folder(name: str, command: Command, code: str) -> Iterator[Path]:
    """Yield the folder of the run: a new one, or the existing one with ``--resume``.

    If a run ends before it has anything to continue from, its new folder is removed, so that it
    does not block the corrected command.
    """
    if command.resume:
        yield command.out
        return
    folder = command.out or _make_unused_folder(f"{Path(command.data).stem}-{code}")
    options = {option: value for option, value in vars(command).items() if option not in OMITTED}
    options["root"] = command.root and str(command.root.resolve())
    try:
        # Hidden files are temporary ones, of a write that was killed.
        if folder.is_dir() and any(not file.name.startswith(".") for file in folder.iterdir()):
            raise FileExistsError
        claim(folder / COMMAND, command=name, options=options)
    except FileExistsError:
        resume = "add --resume to continue the run in it, " if (folder / COMMAND).is_file() else ""
        raise WrongRequest(
            f"--out: {folder} exists already and is never overwritten: {resume}choose another "
            "--out, or delete it"
        ) from None
    try:
        yield folder
    except BaseException:
        if {file.name for file in folder.iterdir()} == {COMMAND}:
            (folder / COMMAND).unlink()
            with contextlib.suppress(OSError):
                folder.rmdir()
                if command.out is None:
                    folder.parent.rmdir()  # unless it holds other runs
        raise


def options_to_resume(name: str, given: Command) -> dict[str, Any]:
    """Return the options with which the run in ``--out`` was started.

    Where the data lie and which device computes may change, and at a constant learning rate there
    may be more epochs.

    Raises
    ------
    WrongRequest
        Without ``--out``, if there is no run of this command in it, or with each option that was
        another one.
    """
    if given.out is None:
        raise WrongRequest("--resume needs --out, the folder of the run to continue")
    command, options = read_options(given.out)
    if command != name:
        raise WrongRequest(f"{given.out} is a run of `spikemnist {command}`, not of `{name}`")
    if (given.out / CONFIG).is_file() and name == "train":  # it may have got more epochs since
        options["epochs"] = read_json(given.out / CONFIG, "settings")["settings"].get("epochs")
    free = {"root", "device"}
    if options.get("schedule") == "constant" and given.epochs >= options["epochs"]:
        free.add("epochs")
    changes = [
        f"{flag(option)} was {shown(options[option]) or 'none'}, "
        f"is {shown(getattr(given, option)) or 'none'}"
        for option in options
        if option in given.given - free and options[option] != getattr(given, option)
    ]
    if changes:
        raise WrongRequest(
            f"cannot resume {given.out} with other options: {'; '.join(changes)}. Leave them out; "
            "to change them, choose another --out or delete the folder"
        )
    return options


def read_options(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return the name of the command that made a run folder, and its options.

    Raises
    ------
    WrongRequest
        If the folder holds no run of a command, or its file is damaged.
    """
    try:
        entries = read_json(check_file(folder, COMMAND), "options")
    except (OSError, ValueError) as error:
        raise WrongRequest(str(error)) from error
    options = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entries["options"].items()
    }
    options["root"] = options.get("root") and Path(str(options["root"]))
    return str(entries.get("command")), options


def to_continue(name: str, folder: Path) -> str:
    """Return the command that continues a run."""
    return command_line("spikemnist", name, "--resume", "--out", folder)


def _make_unused_folder(kind: str) -> Path:
    """Make an unused folder below ``runs/``."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{kind}"
    for number in itertools.count(1):
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("unreachable")
