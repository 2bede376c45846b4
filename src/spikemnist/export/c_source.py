r"""Write networks as C99: one header and one readable source, also for microcontrollers.

With ``int8`` weights all numbers are integers. A weight is a multiple of :math:`s_n`, the scale of
neuron or channel :math:`n`; its membrane, bias and threshold are multiples of a fraction of
:math:`s_n`. So each neuron computes in its own unit, and nothing is ever multiplied by a scale.

Shapes: ``I`` inputs or input channels, ``O`` neurons or output channels, ``K`` kernel size.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist.export.arrays import LayerArrays, NetworkArrays, read_model
from spikemnist.export.codebook import codebook
from spikemnist.models import READOUTS, Classifier, SpikingNetwork

FILES = ("network.h", "network.c", "main.c", "README.md")
"""Templates in ``c``, in which names and files have the default prefix."""
ONE = 65536
"""Integer that stands for a decay of 1."""
UNIT = 256
"""Parts of :math:`s_n` in which a membrane is counted, so that its decay is not rounded off."""
LARGEST = 2**28
"""Largest threshold in these parts, which leaves headroom for membranes of 32 bits."""
MOST = 65535
"""Most inputs or neurons of a layer: their indices have 16 bits."""


class _Tables(NamedTuple):
    """Numbers of a layer in the order of the C code, weights ``[I, K, K, O]``, others ``[O]``."""

    weight: NDArray[Any]
    bias: NDArray[Any]
    beta: NDArray[Any]
    threshold: NDArray[Any]


class _Program(NamedTuple):
    """The content to write: a network, its tables, and the code of grey values, ``[T, 256]``.

    ``is_grey`` tells whether the input is grey values, not spikes.
    """

    network: NetworkArrays
    tables: Sequence[_Tables]
    code: NDArray[np.float32] | None
    is_grey: bool
    weights: str


def to_c(
    model: Classifier | SpikingNetwork,
    folder: str | os.PathLike[str],
    *,
    weights: Literal["float32", "int8"] = "float32",
    prefix: str = "network",
) -> Path:
    r"""Write a network as C99.

    Parameters
    ----------
    model : Classifier or SpikingNetwork
        What to write, as it is in evaluation mode. A classifier takes images in
        ``network_classify``: its encoder is in the source as a table of grey values. A network
        alone takes only spikes, and there is no ``main.c``.
    folder : path
        Folder for ``network.h``, ``network.c``, an example ``main.c`` and a ``README.md`` with the
        sizes. Older files of these names are replaced: all of them or, if one cannot be written,
        none. A C++ program can include the header, too.
    weights : str, default "float32"
        Type of the weights. ``"int8"`` computes in integers from end to end. Its scales come from
        the weights alone: :math:`s_n = \max_i |w_{in}| / 127` for neuron or channel :math:`n`. All
        outputs share the largest of their scales, since their membranes are compared.
    prefix : str, default "network"
        Beginning of all public names and of the files of the network, so that a program can have
        several networks: ``"digit"`` writes ``digit.h`` and ``digit.c``, with ``digit_classify``
        and ``DIGIT_INPUTS``. Each network needs a folder of its own for its example.

    Returns
    -------
    pathlib.Path
        ``folder``.

    Raises
    ------
    ValueError
        For another type of weights, a prefix that is no C identifier, an encoder without a table of
        grey values, or a layer that cannot be exported or has more than 65,535 inputs or neurons.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist import Classifier, LeakyMLP
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = to_c(Classifier(LeakyMLP(hidden=20), "latency"), place)
    ...     sorted(file.name for file in folder.iterdir())
    ['README.md', 'main.c', 'network.c', 'network.h']
    """
    if weights not in ("float32", "int8"):
        raise ValueError(f"weights must be 'float32' or 'int8'; got {weights!r}")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", prefix) or prefix == "main":
        raise ValueError(
            "prefix must be a C identifier that begins with a letter, other than 'main', which is "
            f"the name of the example; got {prefix!r}"
        )
    network, encoder = read_model(model)
    for layer in network.layers:
        numbers = math.prod(layer.in_shape), math.prod(layer.shape)
        if max(numbers) > MOST:
            raise ValueError(
                f"a layer must have at most {MOST:,} inputs and neurons, which are numbered in 16 "
                f"bits; got {numbers[0]:,} inputs and {numbers[1]:,} neurons"
            )
    code = None if encoder is None else codebook(encoder)
    is_grey = code is not None and not bool(np.isin(code, (0, 1)).all())
    if weights == "int8":
        first, last = network.layers[0], network.layers[-1]
        tables = [
            _quantise(layer, is_grey=is_grey and layer is first, is_output=layer is last)
            for layer in network.layers
        ]
    else:
        tables = [_Tables(x.by_input, x.bias, x.beta, x.threshold) for x in network.layers]
    program = _Program(network, tables, code, is_grey, weights)
    words = {
        "VERSION": __version__,
        "TABLES": _source(program),
        **_numbers(program),
        **_readme(program),
    }
    folder = Path(folder)
    names = [name for name in FILES if name != "main.c" or code is not None]
    texts = {_renamed(name, prefix): _renamed(_fill(name, words), prefix) for name in names}
    _write({folder / name: text for name, text in texts.items()})
    return folder


def _fill(name: str, words: dict[str, str]) -> str:
    """Return a template with its placeholders replaced.

    Of ``#if @NAME@``, ``#else`` and ``#endif``, which are not nested, the lines that apply remain.
    """
    text = (resources.files(__package__) / "c" / name).read_text(encoding="utf-8")
    text = re.sub(
        r"^#if @(\w+)@\n(.*?)(?:^#else\n(.*?))?^#endif\n",
        lambda match: match[2] if words[match[1]] != "0" else match[3] or "",
        text,
        flags=re.M | re.S,
    )
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _renamed(text: str, prefix: str) -> str:
    """Return a text with this prefix, in place of ``network``, in all names and files."""
    text = re.sub(r"\bnetwork(?=_|\.[ch]\b)", prefix, text)
    return re.sub(r"\bNETWORK(?=_)", prefix.upper(), text)


def _write(texts: dict[Path, str]) -> None:
    """Write all files or, if one cannot be written, none."""
    (file, text), *others = texts.items()

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8", newline="\n")
        if others:  # all are complete under temporary names before the first is moved into place
            _write(dict(others))

    write_atomically(file, write)


def _quantise(layer: LayerArrays, *, is_grey: bool, is_output: bool) -> _Tables:
    weight = layer.by_input
    largest = np.abs(weight.astype(np.float64)).max((0, 1, 2))
    scale = (largest.max() if is_output else largest) / 127
    # Grey values are multiples of 1/255. Average pooling leaves sums, and the unit is smaller.
    parts = (255 if is_grey else UNIT) * (layer.pool**2 if layer.pooling == "average" else 1)
    scale = np.maximum(scale, layer.threshold.astype(np.float64) * parts / LARGEST)
    scale = np.broadcast_to(scale.max() if is_output else scale, largest.shape)
    scale = np.where(scale > 0, scale, 1)  # of weights and a threshold that are all zero

    def integers(values: NDArray[Any], unit: NDArray[Any] | float, kind: type = np.int32) -> Any:
        limit = np.iinfo(kind).max // (1 if kind is np.int8 else 2)
        return (values / unit).round().clip(-limit, limit).astype(kind)

    unit = scale / parts
    return _Tables(
        integers(weight, scale, np.int8),
        integers(layer.bias, unit),
        integers(layer.beta, 1 / ONE),
        integers(layer.threshold, unit),
    )


def _numbers(program: _Program) -> dict[str, str]:
    """Return the numbers and conditions of header and source."""
    layers, steps = program.network.layers, 0 if program.code is None else len(program.code)
    values = {
        "LAYERS": len(layers),
        "INPUTS": math.prod(layers[0].in_shape),
        "CLASSES": program.network.classes,
        "POPULATION": program.network.population,
        "STEPS": steps,
        "GREY": program.is_grey,
        "CODE": steps > 0 and not program.is_grey,
        "INTEGER": program.weights == "int8",
        "ONE": ONE,
        "UNIT": UNIT,
        "FIRST_UNIT": 1 if program.is_grey else UNIT,
        "SCORE": program.network.readout != "mean_membrane",
        **{name.upper(): name == program.network.readout for name in READOUTS},
    }
    return {name: str(int(value)) for name, value in values.items()}


def _source(program: _Program) -> str:
    """Return C code of the tables, the memory, and the layers that point to them."""
    layers, parts = program.network.layers, []
    if program.code is not None and not program.is_grey:
        # Bit g % 8 of byte g / 8: whether grey value g has a spike.
        bits = np.packbits(program.code.astype(bool), axis=1, bitorder="little")
        parts.append(_array("uint8_t code", bits))
    for i, tables in enumerate(program.tables):
        for name, values in tables._asdict().items():
            kind = "weight_t" if name == "weight" else "number_t"
            parts.append(_array(f"{kind} {name}_{i}", values))
    parts.append(f"static number_t current_0[{math.prod(layers[0].weighed_shape)}];")
    if len(layers) > 1:  # by all layers but the first, whose input may be repeated
        parts.append(f"static number_t current_shared[{_shared_size(layers)}];")
    for i, layer in enumerate(layers):
        neurons = math.prod(layer.shape)
        parts.append(f"static number_t membrane_{i}[{neurons}];")
        parts.append(f"static uint16_t spikes_{i}[{neurons}];")
    text = ",\n".join(map(_entry, itertools.count(), layers, program.tables))
    return "\n".join([*parts, f"static const struct network_layer layers[] = {{\n{text}\n}};"])


def _shared_size(layers: Sequence[LayerArrays]) -> int:
    """Return the largest number of currents in any layer after the first."""
    return max((math.prod(layer.weighed_shape) for layer in layers[1:]), default=0)


def _entry(number: int, layer: LayerArrays, tables: _Tables) -> str:
    """Return the C initialiser of a layer, in the order of ``struct network_layer``."""
    inputs, kernel, _, channels = tables.weight.shape
    width = 1 if layer.is_dense else layer.in_shape[2]
    behind, out = ((*shape[1:], 1, 1)[:2] for shape in (layer.weighed_shape, layer.shape))
    pooling = f"POOL_{(layer.pooling or 'none').upper()}"
    words = [width, inputs, kernel, layer.stride, layer.padding, *behind, pooling]
    words += [layer.pool, *out, channels, f"RESET_{layer.reset.upper()}"]
    words += [f"{name}_{number}" for name in tables._fields]
    words += ["current_shared" if number else "current_0", f"membrane_{number}", f"spikes_{number}"]
    return f"    {{{', '.join(map(str, words))}}}"


def _array(declaration: str, values: NDArray[Any]) -> str:
    """Return the C code of a constant array with the declared type and name."""
    flat = values.reshape(-1)
    if flat.dtype == np.float32:
        words = [f"{np.format_float_scientific(x, trim='-')}f" for x in flat]
    else:
        words = list(map(str, flat.tolist()))
    rows = (", ".join(words[i : i + 16]) for i in range(0, len(words), 16))
    text = ",\n    ".join(rows)
    return f"static const {declaration}[] = {{\n    {text}\n}};"


def _readme(program: _Program) -> dict[str, str]:
    """Return the placeholders of the README and the example, filled for a network."""
    layers, code = program.network.layers, program.code
    inputs = math.prod(layers[0].in_shape)
    constant = sum(array.nbytes for tables in program.tables for array in tables)
    constant += 0 if code is None or program.is_grey else 32 * len(code)
    numbers = math.prod(layers[0].weighed_shape) + _shared_size(layers)
    neurons = sum(math.prod(layer.shape) for layer in layers)
    # Of an output: the sum of its membranes, of 8 bytes with int8, and its score, if any.
    words = 1 + (program.weights == "int8") + (program.network.readout != "mean_membrane")
    memory = 4 * (numbers + len(layers) + 2 + words * layers[-1].shape[0]) + 6 * neurons
    sizes = "-".join(map(str, (inputs, *(math.prod(layer.shape) for layer in layers))))
    takes = "spikes alone" if code is None else f"images, in {len(code)} timesteps"
    # Three channels are a colour picture; one, or another number side by side, a grey one.
    *channels, height, width = (1, 1, *program.network.image_shape)
    is_colour = channels[-1] == 3
    return {
        "NETWORK": (
            f"Neurons {sizes} for {program.network.classes} classes, "
            f"weights in {program.weights}, readout {program.network.readout}; "
            f"takes {takes}."
        ),
        "CONSTANT": f"{constant:,}",
        "MEMORY": f"{memory:,}",
        "FORMAT": "PPM" if is_colour else "PGM",
        "MAGIC": "P6" if is_colour else "P5",
        "WIDTH": str(width if is_colour else inputs // height),
        "HEIGHT": str(height),
    }
