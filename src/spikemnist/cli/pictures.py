"""Pictures that commands write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist
from spikemnist._atomic import write_atomically
from spikemnist.cli import sources
from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.output import with_numbers
from spikemnist.cli.parser import Options

if TYPE_CHECKING:
    from spikemnist.models import Classifier

KINDS = ("png", "pdf", "svg")
"""Formats of pictures; animations are always GIF."""


def add_format(add: Options) -> None:
    """Add the option for the format of pictures that get their names from the program."""
    add("--format", "format of the pictures; animations are GIF", KINDS[0], names=KINDS)


def check_format(out: Path | None, *others: str) -> None:
    """Refuse a file that is neither a picture nor of another kind that the command writes.

    Raises
    ------
    WrongRequest
        With the kinds to choose from.
    """
    kinds = (*(f".{kind}" for kind in KINDS), *others)
    if out is not None and out.suffix not in kinds:
        raise WrongRequest(f"--out must end in {', '.join(kinds[:-1])} or {kinds[-1]}; got {out}")


def unused(name: str) -> Path:
    """Return an unused file name in the current folder, with a number if needed."""
    file = Path(name)
    files = (Path(f"{stem}{file.suffix}") for stem in with_numbers(file.stem))
    return next(path for path in files if not path.exists())


def of_sample(
    classifier: Classifier, test: sources.Dataset, index: int = 0, seed: int = 0, **options: Any
) -> dict[str, Any]:
    """Return the pictures of a network's response to a test sample, with its index in the names."""
    import torch

    from spikemnist.data.feed import by_name

    samples, label = sources.sample_at(by_name(test, classifier.classes), index)
    classifier.eval()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        record = classifier(samples, generator=generator, record="all")
    figures = spikemnist.viz.of_sample(record, samples, label=label, **options)
    return {f"{name}-{index}": picture for name, picture in figures.items()}


def save_all(pictures: Mapping[str, Any], folder: Path, kind: str = KINDS[0]) -> Iterator[Path]:
    """Write pictures to files of their names; yield the path of each as soon as it is written."""
    warnings.filterwarnings("ignore", "Animation was deleted")  # after Ctrl-C
    for name, picture in pictures.items():
        ending = kind if hasattr(picture, "savefig") else "gif"
        yield save(picture, folder / f"{name}.{ending}")


def save(picture: Any, path: Path) -> Path:
    """Write a figure or an animation to a file atomically."""
    if path.suffix == ".gif":
        return write_atomically(path, lambda file: picture.save(file, writer="pillow"))
    return write_atomically(path, lambda file: picture.savefig(file, dpi=150))
