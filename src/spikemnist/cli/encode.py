"""``spikemnist encode``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, sources
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.encoding import CodeMeasure, available_encoders, get_encoder, measure_code

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from spikemnist.cli.options import Encode


def run(command: Encode) -> int:
    """Encode an image, store or draw the spikes, and count them."""
    if command.compare:
        return _compare(command)
    with request():
        encoder = get_encoder(command.encoder, num_steps=command.num_steps)
    with request():
        encoder(sources.blank(command.data))
    _, test = sources.load(command.data, command.root)
    shown = pictures.Shown(*sources.sample(test, command.index), command.index)
    spikes = encoder(shown.samples, generator=torch.Generator().manual_seed(command.seed))
    _write(spikes, shown.image, command.out)
    fired = int(torch.count_nonzero(spikes))
    what = "events" if shown.image is None else "image"
    noun = sources.noun(command.data)
    print(
        f"{what:<9}test {noun} {command.index} of {command.data}, a {test.classes[shown.label]}\n"
        f"encoder  {encoder}\n"
        f"spikes   {fired} in {len(spikes)} timesteps, {fired / spikes.numel():.2%} of all "
        f"opportunities\n"
        f"written  {command.out}"
    )
    return 0


def _compare(command: Encode) -> int:
    """Encode an image in every code, and draw and print what each costs and keeps."""
    if command.out.suffix == ".npy":
        raise WrongRequest("--compare draws a picture: --out must end in .png, .pdf or .svg")
    if command.data == "nmnist":
        raise WrongRequest("--compare is about images, and nmnist has events: choose other --data")
    _, test = sources.load(command.data, command.root)
    image, label = sources.sample(test, command.index)
    rows, trains, decoded = [], {}, {}
    for name in available_encoders():
        if name == "events":
            continue
        try:
            encoder = get_encoder(name, num_steps=command.num_steps)
        except (TypeError, ValueError) as error:  # a plug-in may want other options
            rows.append(f"{name:<12}{error}")
            continue
        generator = torch.Generator().manual_seed(command.seed)
        trains[name] = encoder(image, generator=generator)
        found = measure_code(encoder, image, generator=generator.manual_seed(command.seed))
        rows.append(f"{name:<12}{_figures(found)}")
        if hasattr(encoder, "decode"):
            decoded[name] = encoder.decode(trains[name])
    pictures.save(viz.codes(trains, decoded=decoded), command.out)
    print(
        f"image    test image {command.index} of {command.data}, a {test.classes[label]}, "
        f"{command.num_steps} timesteps\n\n"
        f"{'code':<12}{'spikes':>8}{'error':>9}{'bits/spike':>13}\n"
        + "\n".join(rows)
        + "\n\nerror: root mean square of what is read back, pixels in [0, 1]\n"
        f"written  {command.out}"
    )
    return 0


def _figures(found: CodeMeasure) -> str:
    spikes = "current" if found.spikes is None else f"{found.spikes:.0f}"
    error = "–" if found.error is None else f"{found.error:.4f}"
    bits = "–" if found.bits_per_spike is None else f"{found.bits_per_spike:.2f}"
    return f"{spikes:>8}{error:>9}{bits:>13}"


def _write(spikes: Tensor, image: Tensor | None, out: Path) -> None:
    if out.suffix == ".npy":
        write_atomically(out, lambda file: np.save(file, spikes[:, 0].numpy()))
    elif out.suffix in (".png", ".pdf", ".svg"):
        pictures.save(pictures.encoding(spikes, image), out)
    else:
        raise WrongRequest(f"--out must end in .png, .pdf, .svg or .npy; got {out}")
