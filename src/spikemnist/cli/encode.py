"""``spikemnist encode``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from spikemnist import viz
from spikemnist._atomic import write_atomically
from spikemnist.cli import pictures, sources
from spikemnist.cli.errors import WrongRequest, request
from spikemnist.encoding import get_encoder

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from spikemnist.cli.options import Encode
    from spikemnist.data import ImageDataset


def run(command: Encode) -> int:
    """Encode an image, store or draw the spikes, and count them."""
    with request():
        encoder = get_encoder(command.encoder, num_steps=command.num_steps)
    _, test = sources.load(command.data, command.root)
    check_index(command.index, test)
    image, label = test.images[command.index], int(test.labels[command.index])
    generator = torch.Generator().manual_seed(command.seed)
    spikes = encoder(image[None], generator=generator)
    _write(spikes, image, command.out)
    fired = int(torch.count_nonzero(spikes))
    print(
        f"image    test image {command.index} of {command.data}, a {test.classes[label]}\n"
        f"encoder  {encoder}\n"
        f"spikes   {fired} in {len(spikes)} timesteps, {fired / spikes.numel():.2%} of all "
        f"opportunities\n"
        f"written  {command.out}"
    )
    return 0


def check_index(index: int, test: ImageDataset) -> None:
    """Raise a `WrongRequest` unless there is such a test image."""
    if not 0 <= index < len(test):
        raise WrongRequest(f"--index must lie in 0..{len(test) - 1}; got {index}")


def _write(spikes: Tensor, image: Tensor, out: Path) -> None:
    if out.suffix == ".npy":
        write_atomically(out, lambda file: np.save(file, spikes[:, 0].numpy()))
    elif out.suffix in (".png", ".pdf", ".svg"):
        pictures.save(viz.encoding(spikes, image=image), out)
    else:
        raise WrongRequest(f"--out must end in .png, .pdf, .svg or .npy; got {out}")
