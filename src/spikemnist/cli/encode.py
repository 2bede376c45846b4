"""``spikemnist encode``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, sources
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.cli.wording import count
from spikemnist.encoding import CodeMeasure, available_encoders, get_encoder, measure_code

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from spikemnist.cli.options import Encode


def run(command: Encode) -> int:
    """Encode an image, store or draw the spikes, and count them."""
    sources.check_root(command.data, command.root)
    if command.compare:
        return _compare(command)
    out = _out(command)
    with request("--encoder"):
        encoder = get_encoder(command.encoder, num_steps=command.num_steps)
        encoder(sources.blank(command.data))
    _, test = sources.load(command.data, command.root)
    sample = sources.sample(test, command.index)
    spikes = encoder(sample.samples, generator=torch.Generator().manual_seed(command.seed))
    _write(spikes, sample.image, out)
    total = int(torch.count_nonzero(spikes))
    what = "events" if sample.image is None else "image"
    noun = sources.noun(command.data)
    print(
        f"{what:<9}test {noun} {command.index} of {command.data}, "
        f"class {test.classes[sample.label]}\n"
        f"encoder  {encoder}\n"
        f"spikes   {total} in {count(len(spikes), 'timestep')}, {total / spikes.numel():.2%} of "
        f"all possible spikes\n"
        f"written  {out}"
    )
    return 0


def _compare(command: Encode) -> int:
    """Encode an image in every code; draw the codes and print their measures."""
    out = _out(command)
    if out.suffix == ".npy":
        raise WrongRequest("--compare draws a picture: --out must end in .png, .pdf or .svg")
    if command.data == "nmnist":
        raise WrongRequest("--compare needs images, but nmnist has events; choose another --data")
    _, test = sources.load(command.data, command.root)
    sample = sources.sample(test, command.index)
    rows, trains, reconstructions = [], {}, {}
    for name in available_encoders():
        if name == "events":
            continue
        try:
            encoder = get_encoder(name, num_steps=command.num_steps)
        except (TypeError, ValueError) as error:  # a plug-in may need other options
            rows.append(f"{name:<12}{error}")
            continue
        generator = torch.Generator().manual_seed(command.seed)
        trains[name] = encoder(sample.samples, generator=generator)
        generator.manual_seed(command.seed)
        measure = measure_code(encoder, sample.samples, generator=generator)
        rows.append(f"{name:<12}{_cells(measure)}")
        if hasattr(encoder, "decode"):
            reconstructions[name] = encoder.decode(trains[name])
    pictures.save(viz.codes(trains, reconstructions=reconstructions), out)
    print(
        f"image    test image {command.index} of {command.data}, "
        f"class {test.classes[sample.label]}, {count(command.num_steps, 'timestep')}\n\n"
        f"{'code':<12}{'spikes':>8}{'error':>9}{'bits/spike':>13}\n"
        + "\n".join(rows)
        + "\n\nerror: root mean square error of the decoded image, pixels in [0, 1]\n"
        f"written  {out}"
    )
    return 0


def _out(command: Encode) -> Path:
    """Return the file to write: the given one, or an unused one.

    Raises
    ------
    WrongRequest
        For a file of another format.
    """
    if command.out is None:
        return pictures.unused("encoding.png")
    pictures.check_format(command.out, ".npy")
    return command.out


def _cells(measure: CodeMeasure) -> str:
    spikes = "current" if measure.spikes is None else f"{measure.spikes:.0f}"
    error = "–" if measure.error is None else f"{measure.error:.4f}"
    bits = "–" if measure.bits_per_spike is None else f"{measure.bits_per_spike:.2f}"
    return f"{spikes:>8}{error:>9}{bits:>13}"


def _write(spikes: Tensor, image: Tensor | None, out: Path) -> None:
    if out.suffix == ".npy":
        write_atomically(out, lambda file: np.save(file, spikes[:, 0].numpy()))
    else:
        pictures.save(pictures.encoding(spikes, image), out)
