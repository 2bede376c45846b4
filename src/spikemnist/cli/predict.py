"""``spikemnist predict``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import FAILURE, WrongRequest, refuse
from spikemnist.cli.output import print_error, say, show, show_detail, with_numbers
from spikemnist.cli.parser import Command, Options

if TYPE_CHECKING:
    from spikemnist.recognition import Decision

SUMMARY = "Recognise digits in pictures of your own, and draw the decisions."
EXAMPLES = """
spikemnist predict mnist-conv digit.png
spikemnist predict runs/mnist photographs --out decisions
"""

INVERT: dict[str, bool | None] = {"auto": None, "yes": True, "no": False}


def add_options(add: Options) -> None:
    """Add the options."""
    classifiers.add_argument(add)
    text = "image file (png, jpg or another format that Pillow reads), or a folder of them"
    add.argument("pictures", text, "PICTURE", several=True)
    text = "whether the strokes are darker than the paper; auto takes the edge for paper"
    add("--invert", text, "auto", names=INVERT)
    add("--gif", "also write an animation", False)
    add.shared("--seed")
    text = "folder for the drawings; existing ones are replaced"
    add("--out", text, Path(), kind=Path, value="PATH")
    pictures.add_format(add)


def check(command: Command) -> None:
    """Refuse a picture in place of a classifier, as when the two are swapped."""
    from PIL import Image

    if command.run.suffix.lower() in Image.registered_extensions():
        raise WrongRequest(f"{command.run} is a picture: predict needs RUN first, then PICTURE")


def run(command: Command) -> int:
    """Print the digit in each picture, and draw the network's decision.

    A picture that cannot be read is named on standard error, and the others are answered.
    """
    from spikemnist.recognition.image_files import read_picture

    classifier, trained = classifiers.find(command.run)
    classifiers.check_options(command, command.run, classifier, "gif", "seed", "out", "format")
    if hasattr(getattr(classifier, "encoder", None), "blank"):
        raise WrongRequest(
            f"{command.run} reads recordings of an event camera; predict needs a network of images"
        )
    options: dict[str, Any] = {"invert": INVERT[command.invert]}
    if (trained.get("name") or "digits") not in sources.DIGITS:
        refuse(command, "invert", because=f"for {command.run}, which reads pictures as in training")
        options["prepare"] = False
    data = sources.options_of(trained)
    if isinstance(classifier, spikemnist.Classifier):
        options["seed"] = command.seed
    show_detail(command, classifier)
    files, failed = _files(command.pictures), False
    width = max(len(str(file)) for file in files) if len(files) > 1 else 0
    if width:
        say(command, f"{'picture':<{width}}  margin  prediction")
    for picture, stem in zip(files, _stems(files), strict=True):
        try:
            pixels: Any = picture
            if data["size"] or data["invert"]:
                pixels = read_picture(picture, data["size"])
            pixels = 255 - pixels if data["invert"] else pixels
            decision = spikemnist.decide(classifier, pixels, **options)
        except (OSError, ValueError) as error:
            text = str(error)
            print_error(text if str(picture) in text else f"{picture}: {text}")
            failed = True
        else:
            _print(command, picture, decision, _draw(command, decision, stem), width)
    return FAILURE if failed else 0


def _print(
    command: Command, picture: Path, decision: Decision, written: list[Path], width: int
) -> None:
    """Print a decision: all about a single picture, a row for each of several."""
    if command.json:
        show(command, picture=picture, **decision.to_json(), written=written)
    elif command.quiet:
        print(f"{picture}: {decision.answer}", flush=True)
    elif width:
        margin = "–" if decision.margin is None else f"{decision.margin:.2f}"
        print(f"{picture!s:<{width}}  {margin:>6}  {decision.answer}", flush=True)
    else:
        rows = {row[0]: row[1] for row in decision.table().rows}
        show(command, picture=picture, **rows, written=written)


def _draw(command: Command, decision: Decision, stem: str) -> list[Path]:
    """Draw the decision of a network, and with ``--gif`` the course of it; return the files."""
    if decision.record is None:
        return []
    images = decision.image.unsqueeze(0)
    figures = spikemnist.viz.of_sample(
        decision.record, images, names=["decision"], animations=command.gif
    )
    named = {f"{stem}-{name}": picture for name, picture in figures.items()}
    return [*pictures.save_all(named, command.out, command.format)]


def _files(paths: Sequence[Path]) -> list[Path]:
    """Return the files, and those in folders that Pillow may read by their endings.

    Raises
    ------
    WrongRequest
        If a folder holds no picture.
    """
    from PIL import Image

    endings = Image.registered_extensions()
    files = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            inside = [file for file in path.iterdir() if file.suffix.lower() in endings]
            inside.sort(key=lambda file: file.name)  # with case, on Windows as well
            if not inside:
                raise WrongRequest(f"{path} holds no picture that Pillow reads")
        files += inside
    return files


def _stems(files: Sequence[Path]) -> list[str]:
    """Return a name for the drawings of each file, with a number where files share theirs.

    Names that differ in case alone are one file on Windows and on a Mac.
    """
    stems: dict[str, str] = {}
    for file in files:
        name = next(name for name in with_numbers(file.stem) if name.casefold() not in stems)
        stems[name.casefold()] = name
    return [*stems.values()]
