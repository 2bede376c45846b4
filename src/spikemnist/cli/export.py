"""``spikemnist export``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikemnist.cli import classifiers, pictures
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.wording import command_line
from spikemnist.export import to_c, to_html, to_nir, to_onnx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from spikemnist.cli.options import Export

WRITERS: dict[str, Callable[[Any, Path], object]] = {
    "html": to_html,
    "nir": to_nir,
    "onnx": to_onnx,
}
NAMES = {"html": "{}.html", "nir": "{}.nir", "onnx": "{}.onnx", "c": "{}-c"}


def run(command: Export) -> int:
    """Write a network in another format, and print how to use it."""
    if command.weights != "float32" and command.to != "c":
        raise WrongRequest(f"--weights {command.weights} needs --to c; got --to {command.to}")
    classifier, _, folder = classifiers.find(command.run)
    name = NAMES[command.to].format(folder.resolve().name)
    out = command.out or pictures.unused(name)
    with request(f"--to {command.to}"):
        print(f"written           {_write(command, classifier, out)}")
    print(f"try next          {_next(command, out)}")
    return 0


def _write(command: Export, classifier: Any, out: Path) -> str:
    """Write a file or a folder; return its name and size."""
    if command.to == "c":
        to_c(classifier, out, weights=command.weights)
    else:
        WRITERS[command.to](classifier, out)
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    return f"{out} ({sum(file.stat().st_size for file in files):,} bytes)"


def _next(command: Export, out: Path) -> str:
    """Return how to use the file or folder that was written."""
    if command.to == "html":
        return f"open {out} in a browser"
    if command.to == "nir":
        return f'nir.read("{out}") in Python'
    if command.to == "onnx":
        return f'onnxruntime.InferenceSession("{out}") in Python'
    files = (out / "main.c", out / "network.c")
    return command_line("cc", "-std=c99", "-O2", *files, "-o", "classify")
