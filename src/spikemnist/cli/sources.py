"""Data sets on the command line: names, and paths of other sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import spikemnist
from spikemnist._names import DataName
from spikemnist.cli.errors import WrongRequest, refuse
from spikemnist.cli.parser import Command, Options, one_of, whole

if TYPE_CHECKING:
    from spikemnist.data.feed import Dataset as Dataset

DATA = get_args(DataName)
IMAGES = DATA[:3]
DIGITS = ("digits", "mnist", "nmnist")
"""Data sets of digits: their classes need no names, and pictures for them are prepared."""

TEXT = (
    "data set. digits: 6,000 images of MNIST that come with the package. mnist, fashion_mnist: the "
    "full sets, read from --root, SPIKEMNIST_DATA or the cache, else downloaded. A path: any other "
    "set of images, as IDX files, an npz or CSV file or a folder of pictures by class"
)


def add_options(add: Options, names: tuple[str, ...] = DATA, absent: str = "") -> None:
    """Add the options for a data set; ``absent`` describes the data without ``--data``."""
    more = ". nmnist: N-MNIST, event-camera recordings, never downloaded" if names == DATA else ""
    default = None if absent else "digits"
    add("--data", TEXT + more, default, kind=_data(names), value="NAME|PATH", absent=absent)
    root = "folder of the data files"
    add("--root", root, kind=Path, value="PATH", absent="SPIKEMNIST_DATA, else the cache")
    text = "height and width to resize pictures to, or of the rows of a CSV file"
    add("--size", text, kind=_size, value="N|HxW", absent="as they are; rows are squares")
    add("--invert", "turn dark strokes on light paper into light ones on dark", False)


def _data(names: tuple[str, ...]) -> Callable[[str], str]:
    """Return the type of an option that takes the name of a data set or the path of another."""

    def convert(word: str) -> str:
        if word not in names and ({"/", "\\"} & {*word} or (word and Path(word).exists())):
            return str(Path(word).resolve())
        return one_of([*names, "a path"])(word)

    return convert


def _size(word: str) -> tuple[int, int]:
    """Return the height and width of ``28`` or ``12x20``."""
    height, _, width = word.partition("x")
    return whole(1, 10_000)(height), whole(1, 10_000)(width or height)


def load(options: Mapping[str, Any]) -> tuple[Dataset, Dataset]:
    """Return the training and the test set of the options of a command: see `options_of`."""
    rooms, data, root = spikemnist.data, options["data"], options["root"]
    if data == "digits":
        return rooms.load_digits()
    if data not in DATA:
        return rooms.load_images(data, size=options["size"], invert=options["invert"])
    if data != "nmnist":
        return {"mnist": rooms.load_mnist, "fashion_mnist": rooms.load_fashion_mnist}[data](root)
    train, test = rooms.load_nmnist(root)
    share = options.get("drop_events", 0.0)
    changes = [rooms.FirstSaccade()] * options.get("first_saccade", False)
    dropped = [rooms.DropEvents(share)] if share else []
    return train.transformed(*changes, *dropped), test.transformed(*changes)


def options_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by which a command loads the data that a run describes.

    Raises
    ------
    WrongRequest
        If recordings were changed by what has no option.
    """
    changes = {
        (change["name"] if isinstance(change, Mapping) else change).rpartition(".")[2]: change
        for change in data.get("changes", ())
    }
    if others := changes.keys() - {"FirstSaccade", "DropEvents"}:
        raise WrongRequest(
            f"no option changes recordings by {', '.join(others)}, as this run did: use Python"
        )
    return {
        "data": data.get("name") or "digits",
        "root": Path(data["root"]) if data.get("root") else None,
        "size": tuple(data["size"]) if "size" in data else None,
        "invert": data.get("inverted", False),
        "first_saccade": "FirstSaccade" in changes,
        "drop_events": changes.get("DropEvents", {}).get("probability", 0.0),
    }


def test_set(command: Command, described: Mapping[str, Any]) -> tuple[str, Dataset]:
    """Return name and samples of the requested test set, else of the run's test set.

    ``described`` are the data of the run, including the changes to recordings before they are
    encoded. It is empty for a model file alone.
    """
    options = options_of(described)
    for name in ("data", "root", "size", "invert"):
        if command.data or vars(command)[name]:
            options[name] = vars(command)[name]
    check_place(command, options["data"])
    return options["data"], load(options)[1]


def check_place(command: Command, data: str) -> None:
    """Refuse a folder for data whose place is known, and a size for named data."""
    if data == "digits":
        refuse(command, "root", because="for digits, which come with the package")
    if data in DATA:
        refuse(command, "size", because=f"for {data}, whose images have one size")
        refuse(command, "invert", because=f"for {data}, which is light on dark")
    else:
        refuse(command, "root", because="for --data with a path")


def check_code(command: Command) -> None:
    """Refuse a code of the package that does not read the data.

    Raises
    ------
    WrongRequest
        If recordings meet another code than ``events``, or images this one.
    """
    code, data = command.encoder, command.data
    if code in spikemnist.encoding.ENCODERS and (code == "events") != (data == "nmnist"):
        raise WrongRequest(
            f"--encoder {code} does not read {data}: events, and no other code, is for recordings"
        )


def sample_at(dataset: Dataset, index: int) -> tuple[Any, int]:
    """Return a batch of one image or recording of a data set, and its label.

    Raises
    ------
    WrongRequest
        If there is no such sample.
    """
    if not 0 <= index < len(dataset):
        raise WrongRequest(f"--index must lie in 0..{len(dataset) - 1}; got {index}")
    samples, labels = next(dataset[index : index + 1].batches(1))
    return samples, int(labels)
