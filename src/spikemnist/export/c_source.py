"""Write networks as C99: one header and one readable source, also for microcontrollers.

Shapes: ``T`` timesteps.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from spikemnist import __version__
from spikemnist._arguments import check_choice, must_be
from spikemnist._atomic import write_atomically
from spikemnist.data import load_digits
from spikemnist.export.arrays import NetworkArrays, read_model
from spikemnist.export.c_numbers import DECAY_OF_ONE, UNIT, Tables, quantise, replay
from spikemnist.export.codebook import codebook
from spikemnist.models import READOUTS, Classifier, SpikingNetwork

EXAMPLES = ("main.c", "test.c")
C_FILES = ("network.h", "network.c", *EXAMPLES, "README.md")
"""Templates in ``c``, in which names and files have the default prefix."""
RESERVED = ("main", "test", "limits", "stddef", "stdint", "stdio", "string")
"""Names of the examples, and of the headers of C, which a file of the same name would hide."""
MOST = 65535
"""Most inputs or neurons of a layer: their indices have 16 bits."""


class _Program(NamedTuple):
    """The content to write: a network, its tables, and the code of grey values.

    ``code`` is the timestep of the only spike of each grey value, ``T`` for none, ``[256]``, or
    bits, ``[T, 32]``: bit g % 8 of byte g / 8 tells whether grey value g spikes. There is none
    where the input is grey values, ``is_grey``, or spikes.
    """

    network: NetworkArrays
    tables: Sequence[Tables]
    code: NDArray[np.uint8] | None
    steps: int
    is_grey: bool

    @property
    def currents(self) -> tuple[int, int]:
        """Numbers of currents that the layers share, and that the first one has of its own.

        Those of a constant input are kept where all belong to a single row of neurons.
        """
        rows = [x.pool**2 * math.prod((x.shape[0], *x.shape[2:])) for x in self.network.layers]
        is_kept = self.is_grey and self.network.layers[0].shape[1:2] in ((), (1,))
        return max(rows[is_kept:], default=0), rows[0] if is_kept else 0


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
        alone takes only spikes, and there is no ``main.c`` and no ``test.c``.
    folder : path
        Folder for ``network.h``, ``network.c``, an example ``main.c``, a ``README.md`` with the
        sizes, and ``test.c``, which compares spikes and classes with those that Python computes
        with the same numbers, integers for ``"int8"``, for ten digits, resized to the images of the
        network. Older files of these names are replaced:
        all of them or, if one cannot be written, none. A C++ program can include the header, too.
    weights : str, default "float32"
        Type of the weights. ``"int8"`` computes in integers from end to end. Its scales come from
        the weights: :math:`s_n = \max_i |w_{in}| / 127` for neuron or channel :math:`n`, more where
        a threshold within reach would exceed 32 bits. All outputs share the largest of their
        scales, since their membranes are compared.
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
        grey values or with numbers other than spikes and the grey value over 255, or a layer that
        cannot be exported or has more than 65,535 inputs or neurons.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist import Classifier, LeakyMLP
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = to_c(Classifier(LeakyMLP(hidden=20), "latency"), place)
    ...     sorted(file.name for file in folder.iterdir())
    ['README.md', 'main.c', 'network.c', 'network.h', 'test.c']
    """
    check_choice("weights", weights, ("float32", "int8"))
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", prefix) or prefix.lower() in RESERVED:
        expected = "a C identifier that begins with a letter, and no name of an example or a header"
        raise must_be("prefix", f"{expected} of C: {', '.join(RESERVED)}", prefix)
    network, encoder = read_model(model)
    for layer in network.layers:
        numbers = math.prod(layer.in_shape), math.prod(layer.shape)
        if max(numbers) > MOST:
            raise ValueError(
                f"a layer must have at most {MOST:,} inputs and neurons, which are numbered in 16 "
                f"bits; got {numbers[0]:,} inputs and {numbers[1]:,} neurons"
            )
    codes = None if encoder is None else codebook(encoder)
    program = _program(network, codes, weights)
    words = {"VERSION": __version__, "TABLES": _source(program), **_numbers(program)}
    words |= _readme(program, words)
    if codes is not None:
        words |= _vectors(program, codes)
    folder = Path(folder)
    names = [name for name in C_FILES if name not in EXAMPLES or encoder]
    texts = {_renamed(name, prefix): _renamed(_fill(name, words), prefix) for name in names}
    _write({folder / name: text for name, text in texts.items()})
    return folder


def _program(network: NetworkArrays, codes: NDArray[np.float32] | None, weights: str) -> _Program:
    """Return the content to write, with codes ``[T, 256]`` if there is an encoder."""
    code = None
    if codes is not None and np.isin(codes, (0, 1)).all():
        if len(codes) < 256 and (codes.sum(0) <= 1).all():
            code = np.where(codes.any(0), codes.argmax(0), len(codes)).astype(np.uint8)
        else:
            code = np.packbits(codes.astype(bool), axis=1, bitorder="little")
    elif codes is not None and not np.allclose(codes, np.arange(256) / 255, rtol=1e-6, atol=0):
        raise ValueError(
            "the code must consist of spikes, 0 and 1, or be the grey value over 255 at each "
            "timestep, as in the direct code; export classifier.network, and pass spikes to it"
        )
    is_grey, layers = codes is not None and code is None, network.layers
    if weights == "float32":
        tables = [Tables(x.by_input, x.bias, x.beta, x.threshold) for x in layers]
    else:
        tables = [
            quantise(layer, is_grey=is_grey and layer is layers[0], is_output=layer is layers[-1])
            for layer in layers
        ]
    return _Program(network, tables, code, 0 if codes is None else len(codes), is_grey)


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


def _numbers(program: _Program) -> dict[str, str]:
    """Return the numbers and conditions of header and source."""
    network, layers, code = program.network, program.network.layers, program.code
    values = {
        "LAYERS": len(layers),
        "INPUTS": math.prod(layers[0].in_shape),
        "CLASSES": network.classes,
        "OUTPUTS": layers[-1].shape[0],
        "NEURONS": sum(math.prod(layer.shape) for layer in layers),
        "CURRENTS": sum(program.currents),
        "STEPS": program.steps,
        "GREY": program.is_grey,
        "ONCE": code is not None and code.ndim == 1,
        "BITS": code is not None and code.ndim == 2,
        "INTEGER": program.tables[0].is_integer,
        "ONE": DECAY_OF_ONE,
        "UNIT": UNIT,
        "SCORE": network.readout != "mean_membrane",
        **{name.upper(): name == network.readout for name in READOUTS},
    }
    return {name: str(int(value)) for name, value in values.items()}


def _source(program: _Program) -> str:
    """Return C code of the tables, and of the layers that point to them."""
    parts = [] if program.code is None else [_array("uint8_t code", program.code)]
    entries, neurons = [], 0
    shared, own = program.currents
    for i, (layer, tables) in enumerate(zip(program.network.layers, program.tables, strict=True)):
        for name, values in tables._asdict().items():
            kind = "weight_t" if name == "weight" else "number_t"
            parts.append(_array(f"{kind} {name}_{i}", values))
        inputs, kernel, _, channels = tables.weight.shape
        width = 1 if layer.is_dense else layer.in_shape[2]
        words = [int(layer.is_dense), width, inputs, kernel, layer.stride, layer.padding]
        words += [f"POOL_{(layer.pooling or 'none').upper()}", layer.pool]
        words += [*(*layer.shape[1:], 1, 1)[:2], channels, f"RESET_{layer.reset.upper()}"]
        words += [f"{name}_{i}" for name in tables._fields]
        words += [shared if own and i == 0 else 0, neurons]
        entries.append(f"    {{{', '.join(map(str, words))}}}")
        neurons += math.prod(layer.shape)
    text = ",\n".join(entries)
    return "\n".join([*parts, f"static const struct network_layer layers[] = {{\n{text}\n}};"])


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


def _readme(program: _Program, numbers: dict[str, str]) -> dict[str, str]:
    """Return the placeholders of the README, and the order of the inputs."""
    inputs, outputs, neurons = (int(numbers[name]) for name in ("INPUTS", "OUTPUTS", "NEURONS"))
    network, is_integer = program.network, program.tables[0].is_integer
    constant = sum(array.nbytes for tables in program.tables for array in tables)
    constant += 0 if program.code is None else program.code.nbytes
    # The fields of the state. With int8 a sum of membranes has 8 bytes, to which all is aligned.
    large, layers = 8 if is_integer else 4, len(network.layers)
    words = sum(program.currents) + neurons + layers + 2 + outputs * int(numbers["SCORE"])
    memory = large * outputs + 4 * words + 2 * (layers + neurons + inputs)
    sizes = "-".join(map(str, (inputs, *(math.prod(layer.shape) for layer in network.layers))))
    takes = f"images, in {program.steps} timesteps" if program.steps else "spikes alone"
    order = "row by row, channels last", "(y * width + x) * channels + channel"
    if len(network.in_shape) == 1:  # as Python flattens a sample, [C, H, W]
        order = "channel by channel, row by row", "(channel * height + y) * width + x"
    return {
        "ORDER": order[0],
        "NUMBER": order[1],
        "DIGITS": str(int(program.steps > 0 and network.image_shape == (28, 28))),
        "NETWORK": (
            f"Neurons {sizes} for {network.classes} classes, weights in "
            f"{'int8' if is_integer else 'float32'}, readout {network.readout}; takes {takes}."
        ),
        "CONSTANT": f"{constant:,}",
        "MEMORY": f"{-(-memory // large) * large:,}",
    }


def _vectors(program: _Program, codes: NDArray[np.float32]) -> dict[str, str]:
    """Return the placeholders of the test: ten images, and what the network does with them.

    In single precision a membrane within rounding of its threshold may fire on one processor and
    not on another, so of 20 digits those are taken whose membranes stay farthest from theirs.
    """
    channels, *sides = (1, 1, *program.network.image_shape)[-3:]
    digits = load_digits()[1].images[:20, None].float()
    images = interpolate(digits, sides, mode="bilinear").round().long()
    images = images.expand(-1, channels, -1, -1).movedim(1, -1).flatten(1)
    if program.tables[0].is_integer:
        codes = (codes * (255 if program.is_grey else UNIT)).round()
    signal = torch.from_numpy(codes)[:, images]
    spikes, classes, distances = replay(program.network, program.tables, signal)
    best = distances.topk(10).indices.sort().values
    expected = zip(classes[best].tolist(), spikes[best].tolist(), strict=True)
    rows = [f"    {{{label}, {{{', '.join(map(str, counts))}}}}}" for label, counts in expected]
    pixels = _array("uint8_t images", images[best].numpy())
    return {"EXPECTED": ",\n".join(rows), "PIXELS": pixels}
