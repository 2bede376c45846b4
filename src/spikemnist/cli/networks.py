"""Trained networks from a run folder, a model file, or the name of a pretrained one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemnist.cli import runs
from spikemnist.cli.errors import WrongRequest
from spikemnist.encoding import get_encoder
from spikemnist.models import available_pretrained, load_model, load_pretrained, model_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spikemnist.encoding import Encoder
    from spikemnist.models.files import Model

PRETRAINED = "pretrained:"


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes
    ----------
    model, encoder
        The network and its encoder.
    options
        Options of its training; empty for a model file alone.
    folder
        Folder for its pictures.
    """

    model: Model
    encoder: Encoder
    options: Mapping[str, Any]
    folder: Path


def find(run: Path) -> Network:
    """Return the network of a run folder or a model file, or ``pretrained:NAME``.

    Raises
    ------
    WrongRequest
        If there is no such network.
    ValueError
        If the file is damaged, or names no encoder.
    """
    if str(run).startswith(PRETRAINED):
        name = str(run).removeprefix(PRETRAINED)
        if name not in available_pretrained():
            known = ", ".join(PRETRAINED + each for each in available_pretrained())
            raise WrongRequest(f"no pretrained network {name!r}; choose from {known}")
        return Network(*load_pretrained(name), options={}, folder=Path(name))
    is_folder = run.is_dir()
    file = run / runs.MODEL if is_folder else run
    if not file.is_file():
        raise WrongRequest(
            f"no model at {file}: give a run folder, a model file, or {PRETRAINED}NAME"
        )
    options = runs.read_config(run) if is_folder else {}
    stored = model_metadata(file)["encoder"]
    if stored is None:
        raise ValueError(f"{file} does not say which encoder the model was trained with")
    return Network(load_model(file), get_encoder(**stored), options, file.parent)
