"""Write networks in ONNX, with the loop over time as a ``Scan``.

The weights of a layer are applied to all timesteps at once, folded into the batch; a ``Scan`` then
steps its neurons through time. So the number of timesteps and the batch size are free, and matrix
products are as large as possible.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemnist import __version__
from spikemnist._arguments import check_number, must_be
from spikemnist._atomic import write_atomically
from spikemnist.export.arrays import LayerArrays, NetworkArrays, read_model
from spikemnist.export.codebook import codebook
from spikemnist.export.extra import require
from spikemnist.models import Classifier, SpikingNetwork

OPSET, IR_VERSION = 17, 8
"""Versions of 2022, so that older runtimes can read the file too."""


def to_onnx(
    model: Classifier | SpikingNetwork,
    path: str | os.PathLike[str],
    *,
    num_steps: int | None = None,
) -> Path:
    """Write a network as an ONNX file.

    Parameters
    ----------
    model : Classifier or SpikingNetwork
        What to write, as it is in evaluation mode. The input of a classifier is images, uint8
        ``[B, height, width]`` under the name ``images``, or ``[B, channels, height, width]`` with
        several channels: its encoder is in the file as a table of grey values. The input of a
        network is spikes, float32 ``[T, B, ...]`` under the name ``input``.
    path : path
        File to write; the usual suffix is ``.onnx``.
    num_steps : int, default None
        Fixed number of timesteps; None leaves it open until the file is run. An encoder has its
        own.

    Returns
    -------
    pathlib.Path
        ``path``. The outputs of the file are, in this order, ``predictions`` ``[B]``, ``scores``
        ``[B, C]``, and spikes and membrane of each layer, ``[T, B, ...]``: ``hidden_1_spikes``,
        ``output_membrane`` and so on.

    Raises
    ------
    ModuleNotFoundError
        Without the package onnx: ``pip install "spikemnist[export]"``.
    ValueError
        For ``num_steps`` below 1, an encoder without a table of grey values, or with another number
        of timesteps than ``num_steps``, and for a layer that cannot be exported.

    Examples
    --------
    >>> import tempfile
    >>> from spikemnist import LatencyEncoder, LeakyMLP
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = to_onnx(LeakyMLP(hidden=(20,)), f"{folder}/model.onnx")
    ...     60_000 < file.stat().st_size < 70_000
    True
    """
    onnx = require("onnx", "ONNX")
    if num_steps is not None:
        num_steps = check_number("num_steps", num_steps, "1..")
    arrays, encoder = read_model(model)
    steps = num_steps if encoder is None else encoder.num_steps
    if num_steps not in (None, steps):
        raise must_be("num_steps", f"{steps}, as in the encoder", num_steps)
    graph = _Graph(onnx)
    graph.output("predictions", ["B"], np.int64)
    graph.output("scores", ["B", arrays.classes])
    axes: list[int | str] = [steps or "T", "B"]
    constant = False
    if encoder is None:
        signal = graph.input("input", np.float32, [*axes, *arrays.in_shape])
    else:
        table = codebook(encoder)
        constant = not np.ptp(table, axis=0).any()  # then the first product needs one timestep
        signal = _encode(graph, table[:1] if constant else table, arrays)
    names = [*(f"hidden_{n}" for n in range(1, len(arrays.layers))), "output"]
    for name, layer in zip(names, arrays.layers, strict=True):
        current = _weigh(graph, name, layer, signal)
        if constant:
            times = graph.shape("timesteps", steps or 1, *[1] * (1 + len(layer.shape)))
            current, constant = graph.node("Expand", [current, times], f"{name}_currents"), False
        signal, membrane = _integrate(graph, name, layer, current)
        for value in (signal, membrane):
            graph.output(value, [*axes, *layer.shape])
    _read_out(graph, arrays, signal, membrane)
    content = graph.finish()
    return write_atomically(path, lambda file: file.write_bytes(content))


class _Graph:
    """A graph under construction: nodes in order, constants, inputs and outputs."""

    def __init__(self, onnx: Any) -> None:
        self.onnx, self.helper = onnx, onnx.helper
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.arrays: dict[str, Any] = {}

    def _value(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Any:
        kind = self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.helper.make_tensor_value_info(name, kind, shape)

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        self.inputs.append(self._value(name, dtype, shape))
        return name

    def output(self, name: str, shape: Sequence[int | str], dtype: Any = np.float32) -> None:
        self.outputs.append(self._value(name, dtype, shape))

    def array(self, name: str, values: NDArray[Any]) -> str:
        """Add a constant; the same name stands for the same constant."""
        self.arrays[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def shape(self, name: str, *sizes: int) -> str:
        return self.array(name, np.array(sizes, np.int64))

    def node(self, kind: str, inputs: Sequence[str], output: str, **options: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, list(inputs), [output], output, **options))
        return output

    def scan(self, body: _Graph, state: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a loop over the first axis, starting from a state."""
        loop = self.helper.make_node(
            "Scan",
            [state, *inputs],
            [f"{outputs[0]}_final", *outputs],
            outputs[0],
            num_scan_inputs=len(inputs),
            body=self.helper.make_graph(body.nodes, "timestep", body.inputs, body.outputs),
        )
        self.nodes.append(loop)

    def finish(self) -> bytes:
        graph = self.helper.make_graph(
            self.nodes, "spikemnist", self.inputs, self.outputs, list(self.arrays.values())
        )
        model = self.helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[self.helper.make_opsetid("", OPSET)],
            producer_name="spikemnist",
            producer_version=__version__,
        )
        self.onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content


def _encode(graph: _Graph, table: NDArray[np.float32], arrays: NetworkArrays) -> str:
    """Look images up in a table of grey values; return the input of the network."""
    images = graph.input("images", np.uint8, ["B", *arrays.image_shape])
    greys = graph.node("Cast", [images], "greys", to=graph.onnx.TensorProto.INT32)
    codes = graph.node("Gather", [graph.array("grey_values", table), greys], "encoded", axis=1)
    return graph.node("Reshape", [codes, graph.shape("in_shape", 0, 0, *arrays.in_shape)], "input")


def _weigh(graph: _Graph, name: str, layer: LayerArrays, signal: str) -> str:
    """Return the current ``[T, B, ...]``, all timesteps in one product."""
    lead = graph.node("Shape", [signal], f"{name}_lead", start=0, end=2)
    sizes = (math.prod(layer.in_shape),) if layer.is_dense else layer.in_shape
    flat_shape = graph.shape(f"{name}_folded_shape", -1, *sizes)
    tensor = graph.node("Reshape", [signal, flat_shape], f"{name}_folded")
    weights = [graph.array(f"{name}_{part}", getattr(layer, part)) for part in ("weight", "bias")]
    if layer.is_dense:
        tensor = graph.node("Gemm", [tensor, *weights], f"{name}_weighed", transB=1)
    else:
        space = {"strides": [layer.stride] * 2, "pads": [layer.padding] * 4}
        tensor = graph.node("Conv", [tensor, *weights], f"{name}_weighed", **space)
    if layer.pooling:
        kind = {"max": "MaxPool", "average": "AveragePool"}[layer.pooling]
        sides = [layer.pool] * 2
        tensor = graph.node(kind, [tensor], f"{name}_pooled", kernel_shape=sides, strides=sides)
    behind = graph.shape(f"{name}_shape", *layer.shape)
    shape = graph.node("Concat", [lead, behind], f"{name}_unfolded_shape", axis=0)
    return graph.node("Reshape", [tensor, shape], f"{name}_current")


def _integrate(graph: _Graph, name: str, layer: LayerArrays, current: str) -> tuple[str, str]:
    """Run neurons over all timesteps; return their spikes and membranes, ``[T, B, ...]``."""
    along = (-1, *[1] * (len(layer.shape) - 1))
    beta, threshold = (
        graph.array(f"{name}_{part}", getattr(layer, part).reshape(along))
        for part in ("beta", "threshold")
    )
    rest = graph.node("Shape", [current], f"{name}_rest_shape", start=1)
    rest = graph.node("ConstantOfShape", [rest], f"{name}_rest")
    step = _Graph(graph.onnx)
    shape: list[int | str] = ["B", *layer.shape]
    before = step.input("before", np.float32, shape)
    inflow = step.input("inflow", np.float32, shape)
    if layer.reset != "none":
        step.node("Greater", [before, threshold], "above_before")
        spike = step.node("Cast", ["above_before"], "fired", to=graph.onnx.TensorProto.FLOAT)
    if layer.reset == "zero":
        before = step.node("Sub", [before, step.node("Mul", [before, spike], "lost")], "kept")
    total = step.node("Add", [step.node("Mul", [before, beta], "decayed"), inflow], "total")
    if layer.reset == "subtract":
        total = step.node("Sub", [total, step.node("Mul", [spike, threshold], "taken")], "left")
    membrane = step.node("Identity", [total], "membrane")
    step.node("Greater", [membrane, threshold], "above")
    step.node("Cast", ["above"], "spikes", to=graph.onnx.TensorProto.FLOAT)
    step.node("Identity", [membrane], "after")
    for value in ("after", "spikes", "membrane"):
        step.output(value, shape)
    spikes, membranes = f"{name}_spikes", f"{name}_membrane"
    graph.scan(step, rest, [current], [spikes, membranes])
    return spikes, membranes


def _read_out(graph: _Graph, arrays: NetworkArrays, spikes: str, membrane: str) -> None:
    """Compute ``scores`` from the last layer, as `spikemnist.models.readout` does."""
    readout, scores = arrays.readout, "scores" if arrays.population == 1 else "neuron_scores"
    of_membranes = {"mean_membrane": "ReduceMean", "max_membrane": "ReduceMax"}
    if readout in of_membranes:
        graph.node(of_membranes[readout], [membrane], scores, axes=[0], keepdims=0)
    elif readout == "spike_count":
        graph.node("ReduceSum", [spikes, graph.shape("time_axis", 0)], scores, keepdims=0)
    else:  # first_spike: a silent neuron counts as firing just after the window
        first = graph.node("ArgMax", [spikes], "first_index", axis=0, keepdims=0)
        end = graph.node("Shape", [spikes], "window", start=0, end=1)
        any_spike = graph.node("ReduceMax", [spikes], "any_spike", axes=[0], keepdims=0)
        spike = graph.node("Cast", [any_spike], "fired", to=graph.onnx.TensorProto.BOOL)
        time = graph.node("Where", [spike, first, end], "first_time")
        time = graph.node("Cast", [time], "first_spike_time", to=graph.onnx.TensorProto.FLOAT)
        graph.node("Neg", [time], scores)
    mean = graph.node("ReduceMean", [membrane], "mean_membrane", axes=[0], keepdims=0)
    if arrays.population > 1:
        groups = graph.shape("groups", 0, arrays.classes, arrays.population)
        for values, name in ((scores, "scores"), (mean, "mean_membrane_of_classes")):
            grouped = graph.node("Reshape", [values, groups], f"{name}_grouped")
            mean = graph.node("ReduceMean", [grouped], name, axes=[-1], keepdims=0)
    _decide(graph, mean)


def _decide(graph: _Graph, mean: str) -> None:
    """Compute ``predictions`` from ``scores``: a tie goes to the highest mean membrane."""
    best = graph.node("ReduceMax", ["scores"], "best", axes=[-1], keepdims=1)
    leading = graph.node("Equal", ["scores", best], "leading")
    never = graph.array("never", np.array(-np.inf, np.float32))
    candidates = graph.node("Where", [leading, mean, never], "candidates")
    graph.node("ArgMax", [candidates], "predictions", axis=-1, keepdims=0)
