"""``spikemnist export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spikemnist
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import refuse, request
from spikemnist.cli.output import command_line, show
from spikemnist.cli.parser import Command, Options

SUMMARY = "Write a network for a browser, NIR simulators, ONNX or a C compiler."
EXAMPLES = """
spikemnist export mnist-mlp
spikemnist export runs/mnist --to c --weights int8
"""

NAMES = {"html": "{}.html", "nir": "{}.nir", "onnx": "{}.onnx", "c": "{}-c"}


def add_options(add: Options) -> None:
    """Add the options."""
    classifiers.add_argument(add)
    text = (
        "format. html: a page on which you draw a digit. nir: the Neuromorphic Intermediate "
        "Representation. onnx: ONNX, including the encoder. c: a folder of C99"
    )
    add("--to", text, "html", names=NAMES)
    text = "number format, for --to c; int8 uses integers only"
    add("--weights", text, "float32", names=["float32", "int8"])
    text = "first part of names and files, for --to c, by which a program has several networks"
    add("--prefix", text, "network", kind=str, value="NAME")
    text = "file, or folder for c; an existing one is replaced"
    absent = "NAME.html, NAME.nir, NAME.onnx or NAME-c, or the next free name"
    add("--out", text, kind=Path, value="PATH", absent=absent)


def check(command: Command) -> None:
    """Refuse options that do not fit the format."""
    if command.to != "c":
        refuse(command, "weights", "prefix", because="without --to c")


def run(command: Command) -> int:
    """Write a network in another format, and print how to use it."""
    classifier, trained = classifiers.find(command.run)
    folder = classifiers.folder_of(command.run).resolve()
    out = command.out or pictures.unused(NAMES[command.to].format(folder.name))
    names = ("weights", "prefix") if command.to == "c" else ()
    options: dict[str, Any] = {name: getattr(command, name) for name in names}
    if command.to == "html":
        data = sources.options_of(trained)
        if data["data"] not in sources.DIGITS:
            options["examples"] = sources.load(data)[1]
    with request(command, f"--to {command.to}"):
        getattr(spikemnist.export, f"to_{command.to}")(classifier, out, **options)
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    size = sum(file.stat().st_size for file in files)
    show(command, written=out, bytes=size, next=_next(command, out))
    return 0


def _next(command: Command, out: Path) -> str:
    """Return how to use the file or folder that was written."""
    files = (out / "main.c", out / f"{command.prefix}.c")
    return {
        "html": f"open {out} in a browser",
        "nir": f"nir.read({str(out)!r}) in Python",
        "onnx": f"onnxruntime.InferenceSession({str(out)!r}) in Python",
        "c": command_line("cc", "-std=c99", "-O2", *files, "-o", "classify"),
    }[command.to]
