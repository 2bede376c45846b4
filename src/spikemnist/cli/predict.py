"""``spikemnist predict``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist.cli import classifiers, pictures
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.output import show_detail, show_json
from spikemnist.data.picture import PreparedPicture, prepare
from spikemnist.encoding import EventEncoder
from spikemnist.models import Classifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

    from spikemnist.cli.options import Predict
    from spikemnist.models import Record
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

INVERT = {"auto": None, "yes": True, "no": False}


def run(command: Predict) -> int:
    """Print the digit in each picture, and draw the network's decision."""
    if not command.pictures:
        raise WrongRequest("spikemnist predict needs PICTURE: a file such as digit.png")
    digits = [_prepare(picture, command) for picture in command.pictures]
    source = classifiers.find(command.run)
    classifiers.check_options(command, command.run, source, "gif", "seed", "out")
    classifier = source.classifier
    if isinstance(getattr(classifier, "encoder", None), EventEncoder):
        raise WrongRequest(
            f"{command.run} reads recordings of an event camera; predict needs a network of images"
        )
    command.out.mkdir(parents=True, exist_ok=True)
    stems = _stems(command.pictures)
    show_detail(command, classifier)
    for picture, digit, stem in zip(command.pictures, digits, stems, strict=True):
        image = digit.image.unsqueeze(0)
        record, names = None, tuple[str, ...]()
        if isinstance(classifier, Classifier):
            record, names = pictures.watch(classifier, image, seed=command.seed), classifier.classes
            answer = _answer(record)
        else:
            answer = _vote(classifier, image)
        if not command.json:
            print(_text(picture, digit, answer, names, invert=command.invert), flush=True)
        files = [] if record is None else _draw(command, record, digit, stem)
        if command.json:
            show_json(
                picture=picture,
                size=digit.size,
                dark_on_light=digit.inverted,
                **answer,
                written=files,
            )
        elif files:
            print(f"  written   {', '.join(map(str, files))}", flush=True)
    return 0


def _draw(command: Predict, record: Record, digit: PreparedPicture, stem: str) -> list[Path]:
    """Draw the decision, and with ``--gif`` the course of it; return the files."""
    drawing = pictures.decision(record, image=digit.image)
    files = [pictures.save(drawing, command.out / f"{stem}-decision.png")]
    if command.gif:
        shape = pictures.input_shape(record, digit.image)
        animation = viz.animate(record, image_shape=shape)
        files.append(pictures.save_animation(animation, command.out / f"{stem}.gif"))
    return files


def _prepare(picture: Path, command: Predict) -> PreparedPicture:
    with request(str(picture)):
        return prepare(picture, invert=INVERT[command.invert])


def _stems(files: tuple[Path, ...]) -> Iterator[str]:
    """Yield a name for the pictures of each file, with a number where files share theirs."""
    stems: set[str] = set()
    for file in files:
        names = itertools.chain([file.stem], (f"{file.stem}-{i}" for i in itertools.count(2)))
        name = next(name for name in names if name not in stems)
        stems.add(name)
        yield name


def _answer(record: Record) -> dict[str, Any]:
    """Return the decision on one picture as plain values."""
    return {
        "prediction": int(record.predictions),
        "second": int(record.second),
        "margin": float(record.margin),
        "spikes": dict(zip(record.sizes, record.spike_counts[:, 0].tolist(), strict=True)),
        "decided_after": int(record.decided),
        "num_steps": len(record.spikes),
    }


def _vote(classifier: STDPClassifier | ConvSTDPClassifier, image: Tensor) -> dict[str, Any]:
    """Return the answer of a classifier without a network to one image as plain values."""
    votes = classifier.votes(image)
    first, second = classifier.classes_[(-votes.deciding[0]).argsort(kind="stable")[:2]].tolist()
    spikes = {name: int(counts[0]) for name, counts in votes.spikes.items()}
    return {"prediction": first, "second": second, "spikes": spikes}


def _text(
    picture: Path,
    digit: PreparedPicture,
    answer: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    invert: str,
) -> str:
    def name(number: int) -> str:
        return f"{number}, {names[number]}" if names else str(number)

    spikes = ", ".join(f"{name} {number}" for name, number in answer["spikes"].items())
    height, width = digit.size
    paper = "dark on light" if digit.inverted else "light on dark"
    source = "detected" if invert == "auto" else "by --invert"
    margin = f"margin {answer['margin']:.2f}, " if "margin" in answer else ""
    second = f"second choice {name(answer['second'])}"
    text = (
        f"{picture}: {name(answer['prediction'])}   {margin}{second}\n"
        f"  picture   {width} x {height} pixels, strokes {paper} ({source})\n"
        f"  spikes    {spikes}"
    )
    if "decided_after" in answer:
        steps = f"{answer['decided_after']} of {answer['num_steps']}"
        text += f"\n  decided   after timestep {steps}"
    return text
