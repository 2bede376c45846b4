"""``spikemnist predict``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist.cli import networks, pictures, runs
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.output import show_detail, show_json
from spikemnist.data.picture import PreparedPicture, prepare
from spikemnist.encoding import EventEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from spikemnist.cli.options import Predict
    from spikemnist.models import Record

INVERT = {"auto": None, "yes": True, "no": False}


def run(command: Predict) -> int:
    """Print the digit in each picture, and draw the network's decision."""
    if runs.is_stdp(command.run):
        raise WrongRequest(
            f"{command.run} is a run of `spikemnist stdp`; predict needs a network of `train`"
        )
    if not command.pictures:
        raise WrongRequest("spikemnist predict needs PICTURE: a file such as digit.png")
    digits = [_prepare(picture, command) for picture in command.pictures]
    classifier, _, _ = networks.find(command.run)
    if isinstance(classifier.encoder, EventEncoder):
        raise WrongRequest(
            f"{command.run} reads recordings of an event camera; predict needs a network of images"
        )
    command.out.mkdir(parents=True, exist_ok=True)
    stems = _stems(command.pictures)
    show_detail(command, classifier.network, classifier.encoder)
    for picture, digit, stem in zip(command.pictures, digits, stems, strict=True):
        image = digit.image.unsqueeze(0)
        record = pictures.watch(classifier, image, seed=command.seed)
        answer = _answer(record)
        if not command.json:
            print(
                _text(picture, digit, answer, classifier.classes, invert=command.invert), flush=True
            )
        drawing = pictures.decision(record, image=digit.image)
        files = [pictures.save(drawing, command.out / f"{stem}-decision.png")]
        if command.gif:
            shape = pictures.input_shape(record, digit.image)
            animation = viz.animate(record, image_shape=shape)
            files.append(pictures.save_animation(animation, command.out / f"{stem}.gif"))
        if command.json:
            show_json(
                picture=picture,
                size=digit.size,
                dark_on_light=digit.inverted,
                **answer,
                written=files,
            )
        else:
            print(f"  written   {', '.join(map(str, files))}", flush=True)
    return 0


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
    return (
        f"{picture}: {name(answer['prediction'])}   margin {answer['margin']:.2f}, "
        f"second choice {name(answer['second'])}\n"
        f"  picture   {width} x {height} pixels, strokes {paper} ({source})\n"
        f"  spikes    {spikes}\n"
        f"  decided   after timestep {answer['decided_after']} of {answer['num_steps']}"
    )
