"""Write web pages, one file each: a trained network on which you draw, and one that learns there.

The page is made of the files in ``page``: a template, a style sheet, and modules of plain
JavaScript, which are joined. It loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import zlib
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from spikemnist import __version__
from spikemnist._arguments import must_be
from spikemnist._atomic import write_atomically
from spikemnist.data import ImageDataset, load_digits
from spikemnist.data.feed import by_name
from spikemnist.encoding import DirectEncoder, Encoder, LatencyEncoder, RateEncoder
from spikemnist.export.arrays import LayerArrays, NetworkArrays, read_model
from spikemnist.export.codebook import codebook
from spikemnist.models import Classifier
from spikemnist.models.classifier import check_classifier

CORE = ("network.js", "encoders.js", "surrogates.js", "learning.js", "stdp.js")
MODULES = (
    *CORE, "picture.js", "plots.js", "state.js", "frame.js", "knobs.js", "formula.js",
    "graph.js", "views.js", "training.js", "app.js",
)  # fmt: skip
"""Modules in the order in which they are joined: each uses only earlier ones."""
WORKER = (*CORE, "worker.js")
"""Modules of the Web Worker that trains."""
PAGE_CODES = {LatencyEncoder: "latency", RateEncoder: "rate", DirectEncoder: "direct"}
PIXELS = 28 * 28
TRAINING, HELD_OUT = 2000, 500
"""Digits of the playground."""


def to_html(
    classifier: Classifier,
    path: str | os.PathLike[str],
    *,
    examples: ImageDataset | None = None,
) -> Path:
    """Write a web page on which you draw a digit and see the network spike.

    Parameters
    ----------
    classifier : Classifier
        Network for images of 28 x 28 pixels, with ten classes or fewer, as it is in evaluation
        mode, and an encoder ``"latency"``, ``"rate"`` or ``"direct"``, between which the page can
        switch. Without names of classes the page shows digits.
    path : path
        File to write, usually ``.html``. It needs no other file and loads nothing.
    examples : ImageDataset, default None
        Images of 28 x 28 pixels, of which the page offers the first two of each class; by default
        digits of the package.

    Returns
    -------
    pathlib.Path
        ``path``. Weights are in single precision.

    Raises
    ------
    TypeError
        For anything but a classifier.
    ValueError
        For another encoder, a random rate code with options, images or examples of another size,
        and a layer that cannot be exported.

    Examples
    --------
    >>> import tempfile
    >>> import spikemnist
    >>> classifier = spikemnist.load("mnist-conv")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = to_html(classifier, f"{folder}/digits.html")
    ...     100_000 < page.stat().st_size < 500_000
    True
    """
    check_classifier(classifier, "to_html")
    network, _ = read_model(classifier)
    number = network.classes
    if math.prod(network.in_shape) != PIXELS or number > 10 or len(network.layers) < 2:
        raise ValueError(
            "the page needs an input of 28 x 28 pixels, a hidden layer and at most 10 classes; "
            f"got input {network.in_shape}, {len(network.layers)} layers and {number} classes"
        )
    names = list(classifier.classes) or [str(i) for i in range(number)]
    if len(names) != number:
        raise must_be("classes", f"{number} names", names)
    shown = load_digits()[1] if examples is None else by_name(examples, classifier.classes)
    contents = _contents(classifier, network, names) | {"examples": _examples(shown, number)}
    title = f"Draw {'' if classifier.classes else 'a digit '}and see it spike"
    return _write(path, "export --to html", title, contents)


def to_playground(path: str | os.PathLike[str]) -> Path:
    """Write a web page on which a spiking network learns digits while you watch.

    A network 784-H-10 learns from 2,000 digits of the package, by backpropagation through time with
    a surrogate gradient, in the browser. Another 500 digits test it.

    Parameters
    ----------
    path : path
        File to write, usually ``.html``. It needs no other file and loads nothing.

    Returns
    -------
    pathlib.Path
        ``path``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = to_playground(f"{folder}/playground.html")
    ...     page.stat().st_size < 2_000_000
    True
    """
    train, test = load_digits()
    parts = train[:TRAINING], test[:HELD_OUT]
    pixels = b"".join(part.images.numpy().tobytes() for part in parts)
    labels = bytes(label for part in parts for label in part.labels.tolist())
    contents = {
        "about": (
            f"A network of leaky neurons learns {TRAINING:,} digits in this page, by "
            "backpropagation through time with a surrogate gradient, or without labels. Point at a "
            "neuron or a setting to see what it does."
        ),
        "settings": {
            "rule": "gradient",
            "code": "latency",
            "steps": 8,
            "hidden": 64,
            "beta": 0.95,
            "threshold": 0.5,
            "reset": "subtract",
            "surrogate": "atan",
            "width": 2.0,
            "lr": 0.01,
        },
        "table": None,
        "readout": "mean_membrane",
        "population": 1,
        "classes": [str(digit) for digit in range(10)],
        "hidden": 1,
        "layers": [],
        "examples": _examples(test, 10),
        "digits": {
            "data": base64.b64encode(zlib.compress(pixels + labels, 9)).decode("ascii"),
            "number": TRAINING + HELD_OUT,
            "training": TRAINING,
        },
    }
    return _write(path, "playground", "A spiking network learns digits", contents)


def _write(
    path: str | os.PathLike[str], command: str, title: str, contents: dict[str, Any]
) -> Path:
    """Write a page with its data."""
    # "<" is escaped below, so that no text can end the element that holds it.
    content = json.dumps(contents, separators=(",", ":"))
    words = {
        "VERSION": __version__,
        "COMMAND": command,
        "TITLE": title,
        "STYLE": _read("style.css"),
        "SCRIPT": "\n".join(map(_module_text, MODULES)),
        "WORKER": "\n".join(map(_module_text, WORKER if contents["digits"] else ())),
        "NETWORK": content.replace("<", "\\u003c"),
    }
    text = re.sub("@([A-Z]+)@", lambda match: words[match[1]], _read("page.html"))
    return write_atomically(
        path, lambda file: file.write_text(text, encoding="utf-8", newline="\n")
    )


def _code(encoder: Encoder) -> tuple[str, list[Any] | None]:
    """Return the name of a code, and its table of grey values unless it is random.

    Raises
    ------
    ValueError
        For an encoder that the page does not know.
    """
    if type(encoder) not in PAGE_CODES:
        kind = type(encoder).__name__
        raise ValueError(f"the page supports latency, rate and direct codes; got {kind}")
    if not isinstance(encoder, RateEncoder) or encoder.deterministic:
        return PAGE_CODES[type(encoder)], codebook(encoder).tolist()
    if encoder != RateEncoder(num_steps=encoder.num_steps):
        raise ValueError(f"the page supports the random rate code without options; got {encoder}")
    return PAGE_CODES[type(encoder)], None


def _contents(classifier: Classifier, network: NetworkArrays, names: list[str]) -> dict[str, Any]:
    """Return the data of the page but the examples, ready for JSON: network and code."""
    code, table = _code(classifier.encoder)
    steps = classifier.encoder.num_steps
    shapes = (network.in_shape, *(layer.shape for layer in network.layers))
    sizes = "-".join(str(math.prod(shape)) for shape in shapes)
    model: Any = classifier.network
    surrogate = model.layers[0].leaky.spike_grad
    numbers = [
        x for x in getattr(surrogate, "__dict__", {}).values() if isinstance(x, (int, float))
    ]
    size = network.population
    groups = f" A class shows the mean of its {size} neurons, and a spike where half of them fire."
    return {
        "about": (
            f"A spiking network of leaky neurons, {sizes}. Your drawing is turned into spikes in "
            f"{steps} timesteps ({code} code); the network answers after every stroke."
            f"{groups if size > 1 else ''}"
        ),
        "settings": {
            "code": code,
            "steps": steps,
            "beta": None,
            "threshold": 1.0,
            "surrogate": getattr(surrogate, "name", None),  # the page shows atan for others
            "width": numbers[0] if numbers else 1.0,
        },
        "table": table,
        "readout": network.readout,
        "population": network.population,
        "classes": names,
        "hidden": len(network.layers) - 1,
        "layers": [_layer_data(layer) for layer in network.layers],
        "digits": None,
    }


def _read(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


def _module_text(name: str) -> str:
    """Return a module as a part of one script, without its import and export statements."""
    text = re.sub(r"^import [^;]*;\n", "", _read(name), flags=re.M)
    return re.sub(r"^export ", "", text, flags=re.M)


def _layer_data(layer: LayerArrays) -> dict[str, Any]:
    """Return a layer as JSON; shapes are ``[height, width, channels]``."""

    def last(shape: tuple[int, ...]) -> list[int]:
        return [*shape[1:], shape[0]] if len(shape) == 3 else [1, 1, shape[0]]

    weight = layer.by_input
    return {
        "weight": _base64(weight),
        **{name: _base64(getattr(layer, name)) for name in ("bias", "beta", "threshold")},
        "kernel": weight.shape[1],
        "stride": layer.stride,
        "padding": layer.padding,
        "inShape": [1, 1, weight.shape[0]] if layer.is_dense else last(layer.in_shape),
        "weighedShape": last(layer.weighed_shape),
        "shape": last(layer.shape),
        "pooling": layer.pooling,
        "pool": layer.pool,
        "reset": layer.reset,
    }


def _base64(array: NDArray[Any]) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _examples(images: ImageDataset, classes: int) -> list[dict[str, Any]]:
    """Return the first image of each class, then the second."""
    pixels = images.images
    if not len(pixels) or (pixels.dtype, pixels.shape[1:]) != (torch.uint8, (28, 28)):
        raise must_be("examples", "at least one uint8 image of 28 x 28 pixels", pixels)
    first = [(images.labels == label).nonzero().flatten()[:2].tolist() for label in range(classes)]
    order = [(label, at) for turn in zip_longest(*first) for label, at in enumerate(turn)]
    return [
        {"label": label, "image": _base64(pixels[at].numpy())}
        for label, at in order
        if at is not None
    ]
