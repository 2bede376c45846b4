r"""Write and read networks in the Neuromorphic Intermediate Representation (NIR).

A neuron of NIR follows the differential equation :math:`\tau \dot v = v_{leak} - v + R I` and is
reset to a voltage when it fires. Euler's method with a timestep :math:`dt` gives

.. math:: v_t = \Bigl(1 - \frac{dt}{\tau}\Bigr) v_{t-1} + \frac{R\,dt}{\tau} I_t

This is `snntorch.Leaky` with :math:`\tau = dt / (1 - \beta)` and weights, of which :math:`I` is the
sum, divided by :math:`1 - \beta`. Then :math:`R = 1`, which tools that ignore it assume.

J. E. Pedersen et al., *Neuromorphic intermediate representation: a unified instruction set for
interoperable brain-inspired computing*, Nature Communications, 2024.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from spikemnist import __version__
from spikemnist._arguments import check_number, must_be
from spikemnist._atomic import write_atomically
from spikemnist._tensors import not_finite
from spikemnist.export.arrays import (
    LayerArrays,
    NetworkArrays,
    Weights,
    build_model,
    one_per_channel,
    read_model,
    square,
)
from spikemnist.export.extra import require

if TYPE_CHECKING:
    import nir
    from numpy.typing import NDArray

    from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP, SpikingNetwork

Layer = TypeVar("Layer", bound=Weights)
TIMESTEP = 1e-4
"""Seconds of a timestep if a graph does not name it, as snnTorch assumes."""
KEY = "spikemnist"
"""Key of the graph's metadata that holds facts beyond NIR, as JSON."""


@overload
def to_nir(
    model: Classifier | SpikingNetwork, path: None = None, *, dt: float = TIMESTEP
) -> nir.NIRGraph: ...
@overload
def to_nir(
    model: Classifier | SpikingNetwork, path: str | os.PathLike[str], *, dt: float = TIMESTEP
) -> Path: ...
def to_nir(
    model: Classifier | SpikingNetwork,
    path: str | os.PathLike[str] | None = None,
    *,
    dt: float = TIMESTEP,
) -> nir.NIRGraph | Path:
    r"""Convert a network to a graph of NIR.

    Each neuron gets its own :math:`\tau = dt / (1 - \beta)` and threshold, and :math:`R = 1`: its
    weights and bias are divided by :math:`1 - \beta`, in double precision, from which `from_nir`
    restores every bit (of a :math:`\beta` between 0 and 1e-8 it loses some). With :math:`\beta = 1`
    neurons become ``IF`` nodes with :math:`R = 1 / dt`. Batch normalisation is folded into the
    convolution. In NIR neurons reset to zero. Reset by subtraction, no reset, readout and
    population are stored in the graph's metadata, which other tools do not read.

    Parameters
    ----------
    model : Classifier or SpikingNetwork
        Dense or convolutional network, with average pooling or none. The graph takes spikes: the
        encoder of a classifier is not part of it.
    path : path, default None
        HDF5 file to write; the usual suffix is ``.nir``. None writes none.
    dt : float, default 1e-4
        Seconds of a timestep. In a tool with another timestep the membranes decay differently.

    Returns
    -------
    pathlib.Path or nir.NIRGraph
        ``path``, or without it the graph from ``input`` to ``output``, for a sample without a batch
        axis.

    Raises
    ------
    ModuleNotFoundError
        Without the package nir: ``pip install "spikemnist[export]"``.
    ValueError
        For a network with maximum pooling, for which NIR has no node, and for a layer in which beta
        is 1 for some neurons only.

    Warns
    -----
    UserWarning
        For any reset but to zero: other tools will read it as a reset to zero. For several betas in
        a layer: snnTorch takes one scale of the weights for all neurons of a layer.

    Examples
    --------
    >>> from spikemnist import LeakyMLP
    >>> graph = to_nir(LeakyMLP(hidden=(20,), reset_mechanism="zero"))
    >>> list(graph.nodes)
    ['input', 'linear_1', 'neurons_1', 'linear_2', 'neurons_2', 'output']
    >>> float(graph.nodes["neurons_1"].tau[0]).__round__(6)
    0.002
    """
    nir = require("nir", "NIR")
    dt = check_number("dt", dt, "(0, inf)")  # seconds
    arrays, _ = read_model(model)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(arrays.in_shape)})}
    for number, layer in enumerate(arrays.layers, 1):
        nodes |= {f"{name}_{number}": node for name, node in _nodes(nir, layer, dt, number)}
    nodes["output"] = nir.Output({"output": np.array(arrays.layers[-1].shape)})
    resets = [layer.reset for layer in arrays.layers]
    if set(resets) != {"zero"}:
        warnings.warn(
            f"NIR cannot describe reset_mechanism={resets[0]!r}. from_nir reads it from the "
            "metadata, but other tools will reset to zero and give different spikes; train with "
            "reset_mechanism='zero' for them",
            UserWarning,
            stacklevel=2,
        )
    if any(len(np.unique(layer.beta)) > 1 for layer in arrays.layers):
        several = "a layer has several betas: snnTorch takes one scale for all of its weights"
        warnings.warn(f"{several}, and will fire other spikes", UserWarning, stacklevel=2)
    metadata = {"version": __version__, "dt": float(dt), "reset": resets, "readout": arrays.readout}
    metadata["population"] = arrays.population
    edges = list(itertools.pairwise(nodes))
    graph = nir.NIRGraph(nodes, edges, metadata={KEY: json.dumps(metadata)})
    if path is None:
        return graph
    # Written in memory: HDF5 would lock the file, which is locked already.
    content = io.BytesIO()
    nir.write(content, graph)
    return write_atomically(path, lambda file: file.write_bytes(content.getvalue()))


def _nodes(nir: Any, layer: LayerArrays, dt: float, number: int) -> Iterator[tuple[str, Any]]:
    """Return the nodes of a layer in order, each with its kind."""
    beta = layer.beta.astype(np.float64)
    if (beta == 1).any() and (beta < 1).any():
        raise ValueError(
            f"beta is 1 for some neurons of layer {number} and below for others, which no single "
            "node of NIR can describe; use a beta just below 1"
        )
    if (beta < 1).all():
        layer = _scaled(layer, 1 / (1 - beta))
    if layer.is_dense:
        if number > 1 and len(layer.in_shape) > 1:
            shape = {"input": np.array(layer.in_shape)}
            yield "flatten", nir.Flatten(shape, start_dim=0, end_dim=-1)
        yield "linear", nir.Affine(layer.weight, layer.bias)
    else:
        convolution = nir.Conv2d(
            input_shape=layer.in_shape[1:],
            weight=layer.weight,
            stride=layer.stride,
            padding=layer.padding,
            dilation=1,
            groups=1,
            bias=layer.bias,
        )
        yield "conv", convolution
    if layer.pooling == "max":
        raise ValueError(
            f"layer {number} has maximum pooling, for which NIR has no node: build and train the "
            "network with average pooling, AP2 in place of P2"
        )
    if layer.pooling:
        sides = np.array([layer.pool, layer.pool])
        yield "pool", nir.AvgPool2d(kernel_size=sides, stride=sides, padding=0 * sides)
    yield "neurons", _neurons(nir, layer, dt)


def _neurons(nir: Any, layer: LayerArrays, dt: float) -> Any:
    beta, threshold = (
        np.array(np.broadcast_to(values.reshape(-1, *[1] * (len(layer.shape) - 1)), layer.shape))
        for values in (layer.beta.astype(np.float64), layer.threshold)
    )
    # They reset to 0, which is the only voltage of older versions of nir and the default of newer.
    if (beta == 1).all():
        return nir.IF(r=np.full(layer.shape, 1 / dt), v_threshold=threshold)
    tau, zeros = np.divide(dt, 1 - beta), np.zeros(layer.shape)
    return nir.LIF(tau=tau, r=zeros + 1, v_leak=zeros, v_threshold=threshold)


def _scaled(synapses: Layer, gain: NDArray[Any]) -> Layer:
    """Return synapses with the weights and bias of each neuron or channel multiplied by a gain."""
    along = gain.reshape(-1, *[1] * (synapses.weight.ndim - 1))
    return replace(synapses, weight=synapses.weight * along, bias=synapses.bias * gain)


def from_nir(
    graph: nir.NIRGraph | str | os.PathLike[str], *, dt: float | None = None
) -> LeakyMLP | LeakyConvNet:
    """Build the network that a graph of NIR describes.

    Parameters
    ----------
    graph : nir.NIRGraph or path
        Chain of ``Affine``, ``Linear`` or ``Conv2d`` nodes, each followed by ``LIF`` or ``IF``
        neurons, with ``AvgPool2d`` or ``SumPool2d`` before or behind the neurons, or none. Sum
        pooling becomes average pooling with larger weights. Pooling behind neurons becomes part of
        the next weights: a kernel of 3 pixels behind a pool of 2 becomes one of 6 with stride 2. A
        resistance is folded into the weights; an ``IF`` of resistance 1 adds its whole input at
        each timestep, as Norse and Sinabs mean it. A file is read alone: one that takes data from
        other files is refused.
    dt : float, default None
        Seconds of a timestep. None takes the value that `to_nir` wrote, or 1e-4 as in snnTorch.

    Returns
    -------
    LeakyMLP or LeakyConvNet
        Network with reset to zero, the readout ``"spike_count"`` and one neuron for each class,
        unless `to_nir` wrote otherwise.

    Raises
    ------
    ModuleNotFoundError
        Without the package nir: ``pip install "spikemnist[export]"``.
    FileNotFoundError
        If there is no such file.
    ValueError
        For any other graph; the message names the node that does not fit, and the file.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import LeakyMLP
    >>> model = LeakyMLP(hidden=(20,), reset_mechanism="zero", readout="spike_count")
    >>> again = from_nir(to_nir(model))
    >>> spikes = (torch.rand(8, 2, 784) < 0.1).float()
    >>> model(spikes).spikes.equal(again(spikes).spikes)
    True
    """
    nir = require("nir", "NIR")
    if dt is not None:
        dt = check_number("dt", dt, "(0, inf)")  # seconds
    file = None if isinstance(graph, nir.NIRGraph) else Path(graph)
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"no file at {file}")
    try:
        if file is not None:
            h5py = require("h5py", "NIR")
            with h5py.File(file) as content:
                _check_group(nir, h5py, content)
            graph = nir.read(file)
        return _model_of(nir, graph, dt)
    except Exception as error:  # nir and h5py raise nearly anything for other content
        reason = error if isinstance(error, ValueError) else repr(error)
        name = "this" if file is None else file
        raise ValueError(f"{name} is not a NIR graph that from_nir reads: {reason}") from error


def _check_group(nir: Any, h5py: Any, group: Any) -> None:
    """Raise a `ValueError` if HDF5 reads other files, whose bytes would become weights."""
    for name in group:
        link = group.get(name, getlink=True)
        entry = link if isinstance(link, h5py.ExternalLink) else group[name]
        if isinstance(entry, h5py.Group):
            _check_group(nir, h5py, entry)
        elif entry is link or entry.is_virtual or entry.external:
            raise ValueError(f"{name} in {group.name} has its data in another file")
        elif name == "type" and not hasattr(nir, kind := entry.asstr()[()]):
            raise ValueError(f"{group.name} is of a type unknown to nir: {kind}")


def _model_of(nir: Any, graph: nir.NIRGraph, dt: float | None) -> LeakyMLP | LeakyConvNet:
    metadata: dict[str, Any] = json.loads(graph.metadata.get(KEY, "{}"))
    dt = metadata.get("dt", TIMESTEP) if dt is None else dt
    dt = check_number("dt", dt, "(0, inf)")  # seconds
    with np.errstate(over="ignore"):  # found below
        layers = _read_layers(nir, graph, dt)
    resets = metadata.get("reset", ["zero"] * len(layers))
    if len(resets) != len(layers):
        raise ValueError(f"the metadata has {len(resets)} resets for {len(layers)} layers")
    layers = [replace(layer, reset=reset) for layer, reset in zip(layers, resets, strict=True)]
    readout, population = metadata.get("readout", "spike_count"), metadata.get("population", 1)
    model = build_model(NetworkArrays(tuple(layers), readout, population))
    if bad := not_finite(model.state_dict()):
        raise ValueError(f"{bad} exceeds the range of single precision")
    return model


def _read_layers(nir: Any, graph: nir.NIRGraph, dt: float) -> list[LayerArrays]:
    layers: list[LayerArrays] = []
    synapses: Weights | None = None
    shape: tuple[int, ...] = ()
    side, gain = 1, 1  # of pooling behind the last neurons
    for name, node in _chain(graph):
        if isinstance(node, nir.Input):
            shape = tuple(map(int, node.input_type["input"]))
        elif isinstance(node, (nir.Affine, nir.Linear, nir.Conv2d)) and synapses is None:
            pooled = (*shape[:1], *(size // side for size in shape[1:]))
            synapses = _behind_pool(name, _weights(nir, name, node, pooled), shape, side, gain)
            side, gain = 1, 1
        elif isinstance(node, (nir.AvgPool2d, nir.SumPool2d)):
            size, factor = _pool(nir, name, node, synapses.shape if synapses else shape)
            if synapses:
                scaled, pool = _scaled(synapses, np.full(1, factor)), synapses.pool * size
                synapses = replace(scaled, pooling="average", pool=pool)
            else:
                side, gain = side * size, gain * factor
        elif isinstance(node, (nir.LIF, nir.IF)) and synapses is not None:
            layers.append(_with_neurons(nir, name, node, synapses, dt))
            synapses, shape = None, layers[-1].shape
        elif not isinstance(node, (nir.Flatten, nir.Output)):
            raise ValueError(
                f"{name} is a {type(node).__name__} node where none is expected: a layer is "
                "Affine, Linear or Conv2d, then LIF or IF, with AvgPool2d or SumPool2d before or "
                "behind LIF or IF, or neither"
            )
    if synapses is not None or side > 1 or not layers:
        raise ValueError("the graph does not end in neurons, LIF or IF")
    return layers


def _chain(graph: nir.NIRGraph) -> list[tuple[str, Any]]:
    """Return the nodes of a graph in the order in which a signal passes them."""
    successors = dict(graph.edges)
    names = list(graph.inputs)
    if len(successors) != len(graph.edges) or len(names) != 1:
        raise ValueError("the graph branches; from_nir reads only a chain of nodes from one input")
    while names[-1] in successors and len(names) <= len(graph.nodes):
        names.append(successors[names[-1]])
    if len(names) != len(graph.nodes):
        raise ValueError("the graph has nodes outside the chain from its input, or a cycle")
    return [(name, graph.nodes[name]) for name in names]


def _numbers(name: str, node: Any, part: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a parameter of a node; raise a `ValueError` for another shape or kind of numbers."""
    values = np.asarray(getattr(node, part))
    if values.shape != shape:
        raise must_be(f"{part} of {name}", f"of shape {shape}", values)
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise ValueError(f"{part} of {name} must be finite real numbers")
    return values.astype(np.float64)


def _weights(nir: Any, name: str, node: Any, shape: tuple[int, ...]) -> Weights:
    size = np.shape(node.weight)
    is_dense = not isinstance(node, nir.Conv2d)
    if not is_dense and (len(shape) != 3 or len(size) != 4):
        raise ValueError(
            f"{name} must convolve (channels, height, width) with weights of four axes; got "
            f"{shape} and weights of shape {size}"
        )
    fitting = (*size[:1], math.prod(shape)) if is_dense else (size[0], shape[0], *size[2:])
    weight = _numbers(name, node, "weight", fitting)  # in double precision until the last factor
    bias: NDArray[Any] = np.zeros(len(weight))
    if not isinstance(node, nir.Linear):
        bias = _numbers(name, node, "bias", bias.shape)
    if is_dense:
        return Weights(in_shape=shape, weight=weight, bias=bias)
    if node.groups != 1 or set(np.ravel(node.dilation)) != {1} or isinstance(node.padding, str):
        raise ValueError(
            f"{name} has groups, dilation or padding by name, which from_nir does not support"
        )
    square(name, "the kernel", size[2:], least=1)
    stride = square(name, "stride", node.stride, least=1)
    padding = square(name, "padding", node.padding)
    return Weights(in_shape=shape, weight=weight, bias=bias, stride=stride, padding=padding)


def _pool(nir: Any, name: str, node: Any, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the side of the square that a node pools, and its output for a mean of 1."""
    side = square(name, "kernel_size", node.kernel_size, least=1)
    if square(name, "stride", node.stride) != side or np.any(node.padding):
        raise ValueError(f"{name} must pool squares side by side, without padding")
    if len(shape) != 3:
        raise ValueError(f"{name} must follow a convolution or its neurons")
    return side, side**2 if isinstance(node, nir.SumPool2d) else 1


def _behind_pool(
    name: str, synapses: Weights, shape: tuple[int, ...], side: int, gain: int
) -> Weights:
    """Return synapses that take an input of this shape, of which they got the pooled squares."""
    if side == 1:
        return synapses
    weight = synapses.weight
    rest = [size % side for size in shape[1:]]
    if synapses.padding and any(rest):
        raise ValueError(
            f"{name} pads what the pooling before it has cropped, {shape} by {side}, which "
            "from_nir does not support"
        )
    if synapses.is_dense:
        weight = weight.reshape(-1, *synapses.in_shape)
    weight = np.kron(weight, np.full((side, side), gain / side**2))
    if synapses.is_dense:
        margins = [(0, 0), (0, 0), *((0, size) for size in rest)]
        weight = np.pad(weight, margins).reshape(len(weight), -1)
    stride, padding = synapses.stride * side, synapses.padding * side
    return replace(synapses, in_shape=shape, weight=weight, stride=stride, padding=padding)


def _with_neurons(nir: Any, name: str, node: Any, synapses: Weights, dt: float) -> LayerArrays:
    """Return a layer; the resistance of its neurons is folded into the weights."""
    if np.any(getattr(node, "v_reset", 0)) or np.any(getattr(node, "v_leak", 0)):
        raise ValueError(
            f"{name} has a resting or reset voltage other than 0, which from_nir does not support"
        )
    shape = synapses.shape
    if min(shape) < 1:
        raise ValueError(f"{name} has no neurons: the weights before it give the shape {shape}")

    def read(part: str) -> NDArray[Any]:
        return one_per_channel(f"{part} of {name}", _numbers(name, node, part, shape))

    threshold, resistance = read("v_threshold"), read("r")
    beta, gain = np.ones(len(threshold)), np.where(resistance == 1, 1, resistance * dt)
    if isinstance(node, nir.LIF):
        tau = read("tau")
        if (tau < dt).any():
            raise ValueError(
                f"{name} has a time constant below the timestep of {dt:g} s; pass a smaller dt"
            )
        beta, gain = 1 - dt / tau, resistance * (dt / tau)
    return LayerArrays(
        **vars(_scaled(synapses, gain)),
        beta=beta.astype(np.float32),
        threshold=threshold.astype(np.float32),
        reset="zero",
    )
