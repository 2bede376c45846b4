"""``spikemnist predict``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist
from spikemnist.cli import classifiers, pictures, sources
from spikemnist.cli.errors import FAILURE, WrongRequest, refuse
from spikemnist.cli.output import print_error, say, show, show_detail

if TYPE_CHECKING:
    from spikemnist.cli.parser import Command, Options
    from spikemnist.data.picture import PreparedPicture
    from spikemnist.models import Record
    from spikemnist.plasticity.assignment import Votes

SUMMARY = "Recognise digits in pictures of your own, and draw the decisions."
EXAMPLES = """
spikemnist predict mnist-conv digit.png
spikemnist predict runs/mnist photographs --out decisions
"""

SURE = 0.5
"""Least margin of an answer that is called sure.

Chosen on the first 5,000 test images of MNIST. On the other 5,000 it doubts 41 to 64 % of the wrong
answers of six networks, and 0.2 to 1.8 % of the right ones; docs/command-line.md has the table.
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
    from spikemnist.data.image_files import as_it_is
    from spikemnist.data.picture import prepare

    source = classifiers.find(command.run)
    classifiers.check_options(command, command.run, source, "gif", "seed", "out", "format")
    classifier: Any = source.classifier
    if isinstance(getattr(classifier, "encoder", None), spikemnist.encoding.EventEncoder):
        raise WrongRequest(
            f"{command.run} reads recordings of an event camera; predict needs a network of images"
        )
    unprepared = (source.data.get("name") or "digits") not in sources.DIGITS
    if unprepared:
        refuse(command, "invert", because=f"for {command.run}, which sees pictures as they are")
    show_detail(command, classifier)
    answered = failed = False
    files = _files(command.pictures)
    for picture, stem in zip(files, _stems(files), strict=True):
        try:
            invert = INVERT[command.invert]
            image = as_it_is(picture) if unprepared else prepare(picture, invert=invert)
            response = _response(command, classifier, image)
        except (OSError, ValueError) as error:
            text = str(error)
            print_error(text if str(picture) in text else f"{picture}: {text}")
            failed = True
            continue
        if answered:
            say(command, "")
        answered = True
        _answer(command, classifier, response, picture, image, stem)
    return FAILURE if failed else 0


def _response(command: Command, classifier: Any, prepared: PreparedPicture) -> Record | Votes:
    """Return what a network or a classifier of `stdp` computes from a picture."""
    image = prepared.image.unsqueeze(0)
    if isinstance(classifier, spikemnist.Classifier):
        return pictures.watch(classifier, image, seed=command.seed)
    votes: Votes = classifier.votes(image)
    return votes


def _answer(
    command: Command,
    classifier: Any,
    response: Any,
    picture: Path,
    prepared: PreparedPicture,
    stem: str,
) -> None:
    """Print the answer to a picture, and draw the decision of a network."""
    about: dict[str, Any] = {
        "parts": prepared.parts,
        "pixels": list(prepared.size[::-1]),
        "strokes": {True: "dark on light", False: "light on dark", None: None}[prepared.inverted],
    }
    if isinstance(classifier, spikemnist.Classifier):
        answer = _of_network(response)
        about["written"] = _draw(command, response, prepared, stem)
    else:
        answer = _of_votes(response, classifier.classes_)
    facts = {"picture": picture, **answer, **about}
    words = _in_words(facts)
    if command.quiet and not command.json:
        print(f"{picture}: {words['prediction']}", flush=True)
        return
    show(command, **(facts if command.json else words))


def _of_network(record: Record) -> dict[str, Any]:
    """Return the answer of a network."""
    first, second, margin = int(record.predictions), int(record.second), float(record.margin)
    names = record.classes
    return {
        "prediction": first,
        "second": second,
        "classes": [names[first], names[second]] if names else None,
        "margin": margin,
        "sure": margin >= SURE,
        "decided_after": int(record.decided),
        "num_steps": len(record.spikes),
        "spikes": dict(zip(record.sizes, record.spike_counts[:, 0].tolist(), strict=True)),
    }


def _of_votes(votes: Votes, classes: Any) -> dict[str, Any]:
    """Return the answer of a classifier of `stdp`, whose votes are no probabilities."""
    order = (-votes.deciding[0]).argsort(kind="stable")
    first, second = classes[order[:2]].tolist()
    spikes = {name: int(counts[0]) for name, counts in votes.spikes.items()}
    return {"prediction": first, "second": second, "spikes": spikes}


def _in_words(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts for people: doubts beside the prediction, and numbers with their range."""
    doubts = [] if facts.get("sure", True) else ["not sure"]
    if facts["parts"] > 1:
        doubts.append(f"ink in {facts['parts']} parts: several digits?")
    remark = f" ({'; '.join(doubts)})" if doubts else ""
    words = {**facts, "parts": None, "sure": None}
    for place, name in zip(("prediction", "second"), facts.get("classes") or (), strict=False):
        words[place] = f"{facts[place]}, {name}"
    words |= {"prediction": f"{words['prediction']}{remark}", "classes": None}
    if "margin" in facts:
        words["margin"] = f"{facts['margin']:.2f} of 1, sure from {SURE}"
        words["decided_after"] = f"{facts['decided_after']} of {facts['num_steps']} timesteps"
        words["num_steps"] = None
    return words


def _draw(command: Command, record: Record, prepared: PreparedPicture, stem: str) -> list[Path]:
    """Draw the decision, and with ``--gif`` the course of it; return the files."""
    drawing = pictures.decision(record, image=prepared.image)
    files = [pictures.save(drawing, command.out / f"{stem}-decision.{command.format}")]
    if command.gif:
        shape = pictures.input_shape(record, prepared.image)
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
