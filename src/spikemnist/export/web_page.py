"""Write networks as a web page: one file, on which you draw a digit and see the network spike.

The page is made of the files in ``page``: a template, a style sheet, and modules of plain
JavaScript, which are joined. It loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import json
import math
import re
from importlib import resources
from typing import TYPE_CHECKING, Any

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist.data import load_digits
from spikemnist.encoding import DirectEncoder, LatencyEncoder, RateEncoder
from spikemnist.export.arrays import network_of, read_arrays
from spikemnist.export.codebook import codebook
from spikemnist.models.classifier import check_classifier

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

    from spikemnist.encoding import Encoder
    from spikemnist.export.arrays import LayerArrays, NetworkArrays
    from spikemnist.models import Classifier

MODULES = (
    *("network.js", "encoders.js", "picture.js", "plots.js"),
    *("state.js", "views.js", "app.js"),
)
"""Modules in the order in which they are joined: each uses only earlier ones."""
CODES = {LatencyEncoder: "latency", RateEncoder: "rate", DirectEncoder: "direct"}
PIXELS = 28 * 28
EXAMPLES = 20


def to_html(
    classifier: Classifier,
    path: str | os.PathLike[str],
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

    Returns
    -------
    pathlib.Path
        ``path``. Weights are in single precision.

    Raises
    ------
    TypeError
        For anything but a classifier.
    ValueError
        For another encoder, a random rate code with options, another size of images, and a layer
        that cannot be exported.

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
    encoder = classifier.encoder
    _check_code(encoder)
    network = read_arrays(network_of(classifier)[0])
    number = network.layers[-1].shape[0]
    if math.prod(network.in_shape) != PIXELS or number > 10 or len(network.layers) < 2:
        raise ValueError(
            "the page needs an input of 28 x 28 pixels, a hidden layer and at most 10 classes; "
            f"got input {network.in_shape}, {len(network.layers)} layers and {number} classes"
        )
    names = list(classifier.classes) or [str(i) for i in range(number)]
    if len(names) != number:
        raise ValueError(f"classes must have {number} names; got {len(names)}")
    # "<" is escaped below, so that no text can end the element that holds it.
    content = json.dumps(_contents(network, encoder, names), separators=(",", ":"))
    words = {
        "VERSION": __version__,
        "STYLE": _read("style.css"),
        "SCRIPT": "\n".join(map(_module_text, MODULES)),
        "NETWORK": content.replace("<", "\\u003c"),
    }
    text = re.sub("@([A-Z]+)@", lambda match: words[match[1]], _read("page.html"))
    return write_atomically(path, lambda file: file.write_text(text, encoding="utf-8"))


def _check_code(encoder: Encoder) -> None:
    """Raise a `ValueError` for an encoder that the page does not know."""
    if type(encoder) not in CODES:
        raise ValueError(
            f"the page supports latency, rate and direct codes; got {type(encoder).__name__}"
        )
    is_random = isinstance(encoder, RateEncoder) and not encoder.deterministic
    if is_random and encoder != RateEncoder(num_steps=encoder.num_steps):
        raise ValueError(
            f"the page supports the random rate code only without options; got {encoder}"
        )


def _contents(network: NetworkArrays, encoder: Encoder, names: list[str]) -> dict[str, Any]:
    """Return the data of the page, ready for JSON: network, code and examples."""
    code = CODES[type(encoder)]
    is_random = isinstance(encoder, RateEncoder) and not encoder.deterministic
    shapes = (network.in_shape, *(layer.shape for layer in network.layers))
    sizes = "-".join(str(math.prod(shape)) for shape in shapes)
    return {
        "about": (
            f"A spiking network of leaky neurons, {sizes}. Your drawing is turned into spikes in "
            f"{encoder.num_steps} timesteps ({code} code); the network answers after every stroke."
        ),
        "code": code,
        "steps": encoder.num_steps,
        "table": None if is_random else codebook(encoder).tolist(),
        "readout": network.readout,
        "classes": names,
        "layers": [_layer_data(layer) for layer in network.layers],
        "examples": _examples(),
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


def _examples() -> list[dict[str, Any]]:
    """Return test digits, two of each class."""
    test = load_digits()[1]
    labels = test.labels.tolist()
    # Each block of ten digits shows each class once.
    order = sorted(range(EXAMPLES), key=lambda i: (i // 10, labels[i]))
    return [{"label": labels[i], "image": _base64(test.images[i].numpy())} for i in order]
