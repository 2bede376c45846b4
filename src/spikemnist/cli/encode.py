"""``spikemnist encode``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import spikemnist
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, sources
from spikemnist.cli.errors import WrongRequest, refuse, request
from spikemnist.cli.output import Block, show
from spikemnist.cli.parser import Command, Options

SUMMARY = "Turn an image into spikes, and draw or store them."
EXAMPLES = """
spikemnist encode
spikemnist encode --encoder rate --num-steps 25 --out spikes.npy
spikemnist encode --compare --num-steps 16
"""


def add_options(add: Options) -> None:
    """Add the options."""
    sources.add_options(add)
    add.shared("--encoder", "--num-steps", "--index", "--seed")
    text = "compare all codes: spikes, error of the decoded image, bits per spike, picture"
    add("--compare", text, False)
    text = "picture (png, pdf, svg) or NumPy array (npy); an existing one is replaced"
    absent = "encoding.png, codes.png with --compare, or the next free name"
    add("--out", text, kind=Path, value="FILE", absent=absent)


def defaults(command: Command) -> dict[str, Any]:
    """Return the code of recordings."""
    return {"encoder": "events"} if command.data == "nmnist" else {}


def check(command: Command) -> None:
    """Refuse options that do not fit each other."""
    sources.check_place(command, command.data)
    sources.check_code(command)
    if not command.compare:
        pictures.check_format(command.out, ".npy")
        return
    pictures.check_format(command.out)
    refuse(command, "encoder", because="with --compare, which shows every code")
    if command.data == "nmnist":
        raise WrongRequest("--compare needs images, but nmnist has events; choose another --data")


def run(command: Command) -> int:
    """Encode an image, store or draw the spikes, and count them; or compare all codes."""
    out = command.out or pictures.unused("codes.png" if command.compare else "encoding.png")
    _, test = sources.load(vars(command))
    samples, label = sources.sample_at(test, command.index)
    results = (_compare if command.compare else _encode)(command, samples, out)
    about = {"data": command.data, "index": command.index, "label": test.classes[label]}
    show(command, **about, **results, written=out)
    return 0


def _encode(command: Command, samples: Any, out: Path) -> dict[str, Any]:
    """Encode a sample in a code, store or draw the spikes, and return their number."""
    import numpy as np
    import torch

    with request(command, "--encoder"):
        encoder = spikemnist.get_encoder(command.encoder, num_steps=command.num_steps)
        generator = torch.Generator().manual_seed(command.seed)
        spikes = encoder(samples, generator=generator)
    if out.suffix == ".npy":
        write_atomically(out, lambda file: np.save(file, spikes[:, 0].numpy()))
    else:
        figures = spikemnist.viz.of_sample(spikes, samples, names=["encoding"])
        pictures.save(figures["encoding"], out)
    total = int(torch.count_nonzero(spikes))
    return {
        "encoder": command.encoder,
        "shape": list(spikes.shape[2:]),
        "num_steps": len(spikes),
        "spikes": total,
        "density": total / spikes.numel(),
    }


def _compare(command: Command, samples: Any, out: Path) -> dict[str, Any]:
    """Encode a sample in every code, draw the codes, and return their measures."""
    from spikemnist.codes.measure import compare_codes

    codes = compare_codes(samples, num_steps=command.num_steps, seed=command.seed)
    pictures.save(spikemnist.viz.codes(codes.spikes, reconstructions=codes.decoded), out)
    return {"num_steps": command.num_steps, "codes": Block(codes.text, codes.measures)}
