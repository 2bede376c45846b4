"""``spikemnist predict``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist
from spikemnist.cli import classifiers, pictures
from spikemnist.cli.errors import FAILURE, WrongRequest
from spikemnist.cli.output import print_error, say, show, show_detail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spikemnist.cli.parser import Command, Options
    from spikemnist.data.picture import PreparedPicture
    from spikemnist.models import Record

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


def run(command: Command) -> int:
    """Print the digit in each picture, and draw the network's decision.

    A picture that cannot be read is named on standard error, and the others are answered.
    """
    source = classifiers.find(command.run)
    classifiers.check_options(command, command.run, source, "gif", "seed", "out")
    classifier: Any = source.classifier
    if isinstance(getattr(classifier, "encoder", None), spikemnist.encoding.EventEncoder):
        raise WrongRequest(
            f"{command.run} reads recordings of an event camera; predict needs a network of images"
        )
    show_detail(command, classifier)
    answered = failed = False
    files = _files(command.pictures)
    for picture, stem in zip(files, _stems(files), strict=True):
        try:
            digit = spikemnist.data.picture.prepare(picture, invert=INVERT[command.invert])
        except (OSError, ValueError) as error:
            text = str(error)
            print_error(text if str(picture) in text else f"{picture}: {text}")
            failed = True
            continue
        if answered:
            say(command, "")
        answered = True
        _answer(command, classifier, picture, digit, stem)
    return FAILURE if failed else 0


def _answer(
    command: Command, classifier: Any, picture: Path, digit: PreparedPicture, stem: str
) -> None:
    """Print the answer to a picture, and draw the decision of a network."""
    image = digit.image.unsqueeze(0)
    about = {
        "pixels": list(digit.size[::-1]),
        "strokes": "dark on light" if digit.inverted else "light on dark",
    }
    if not isinstance(classifier, spikemnist.Classifier):
        votes = classifier.votes(image)
        order = (-votes.deciding[0]).argsort(kind="stable")
        first, second = classifier.classes_[order[:2]].tolist()
        spikes = {name: int(counts[0]) for name, counts in votes.spikes.items()}
        show(command, picture=picture, prediction=first, second=second, spikes=spikes, **about)
        return
    record = pictures.watch(classifier, image, seed=command.seed)
    first, second = int(record.predictions), int(record.second)
    names, decided, steps = classifier.classes, int(record.decided), len(record.spikes)
    show(
        command,
        picture=picture,
        prediction=first,
        second=second,
        classes=[names[first], names[second]] if names else None,
        margin=float(record.margin),
        decided_after=decided if command.json else f"{decided} of {steps} timesteps",
        num_steps=steps if command.json else None,
        spikes=dict(zip(record.sizes, record.spike_counts[:, 0].tolist(), strict=True)),
        **about,
        written=_draw(command, record, digit, stem),
    )


def _draw(command: Command, record: Record, digit: PreparedPicture, stem: str) -> list[Path]:
    """Draw the decision, and with ``--gif`` the course of it; return the files."""
    drawing = pictures.decision(record, image=digit.image)
    files = [pictures.save(drawing, command.out / f"{stem}-decision.png")]
    if command.gif:
        shape = pictures.input_shape(record, digit.image)
        animation = spikemnist.viz.animate(record, image_shape=shape)
        files.append(pictures.save_animation(animation, command.out / f"{stem}.gif"))
    return files


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
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in endings)
            if not inside:
                raise WrongRequest(f"{path} holds no picture that Pillow reads")
        files += inside
    return files


def _stems(files: Sequence[Path]) -> Iterator[str]:
    """Yield a name for the drawings of each file, with a number where files share theirs."""
    stems: set[str] = set()
    for file in files:
        names = itertools.chain([file.stem], (f"{file.stem}-{i}" for i in itertools.count(2)))
        name = next(name for name in names if name not in stems)
        stems.add(name)
        yield name
