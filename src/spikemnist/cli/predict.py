"""``spikemnist predict``."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from spikemnist import viz
from spikemnist.cli import networks, pictures, runs
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.wording import count
from spikemnist.data.picture import Prepared, prepare
from spikemnist.data.sources import FASHION_MNIST
from spikemnist.encoding import EventEncoder
from spikemnist.models.readout import running_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spikemnist.cli.options import Predict
    from spikemnist.models import Record

INVERT = {"auto": None, "yes": True, "no": False}


def run(command: Predict) -> int:
    """Print the digit in each picture, and draw the network's decision."""
    if runs.is_stdp(command.run):
        raise WrongRequest(
            f"{command.run} holds what STDP has learned: predict takes a network of `train`"
        )
    if not command.pictures:
        raise WrongRequest("spikemnist predict needs PICTURE: a file such as digit.png")
    prepared = [_prepared(picture, command) for picture in command.pictures]
    network = networks.find(command.run)
    if isinstance(network.encoder, EventEncoder):
        raise WrongRequest(f"{command.run} takes recordings of an event camera, and no pictures")
    command.out.mkdir(parents=True, exist_ok=True)
    names = FASHION_MNIST.classes if network.options.get("data") == "fashion_mnist" else ()
    stems = _stems(command.pictures)
    for picture, found, stem in zip(command.pictures, prepared, stems, strict=True):
        image = found.image.unsqueeze(0)
        record = pictures.watch(network.model, network.encoder, image, seed=command.seed)
        print(_answer(picture, found, record, names, invert=command.invert), flush=True)
        drawing = pictures.decision(record, image=found.image)
        written = [pictures.save(drawing, command.out / f"{stem}-decision.png")]
        if command.gif:
            shape = pictures.input_shape(record, found.image)
            animation = viz.animate(record, image_shape=shape)
            written.append(pictures.save_animation(animation, command.out / f"{stem}.gif"))
        print(f"  written   {', '.join(map(str, written))}", flush=True)
    return 0


def _prepared(picture: Path, command: Predict) -> Prepared:
    with request(str(picture)):
        return prepare(picture, invert=INVERT[command.invert])


def _stems(files: tuple[Path, ...]) -> Iterator[str]:
    """Yield a name for the pictures of each file, with a number where files share theirs."""
    taken: set[str] = set()
    for file in files:
        names = itertools.chain([file.stem], (f"{file.stem}-{i}" for i in itertools.count(2)))
        name = next(name for name in names if name not in taken)
        taken.add(name)
        yield name


def _answer(
    picture: Path, found: Prepared, record: Record, names: tuple[str, ...], *, invert: str
) -> str:
    first, second = record.scores[0].topk(2).indices.tolist()
    answer = int(record.predictions[0])
    second = first if answer == second else second  # in a tie, which the readout decides
    shares = record.scores[0].double().softmax(0)
    margin = float(shares[answer] - shares[second])
    running = running_predictions(record)[:, 0]
    changes = (running != answer).nonzero()
    decided = int(changes[-1]) + 2 if len(changes) else 1
    sizes = zip(record.sizes, record.spike_counts[:, 0].tolist(), strict=True)
    spikes = ", ".join(f"{name} {number}" for name, number in sizes)
    height, width = found.size
    paper = "dark on light" if found.inverted else "light on dark"
    source = "as it seems" if invert == "auto" else "as asked for"

    def name(number: Any) -> str:
        return f"{number}, {names[number]}" if names else str(number)

    return (
        f"{picture}: {name(answer)}   margin {margin:.2f}, second choice {name(second)}\n"
        f"  picture   {width} x {height} pixels, strokes {paper}, {source}\n"
        f"  spikes    {spikes}\n"
        f"  decided   after timestep {decided} of {count(len(running), 'timestep')}"
    )
