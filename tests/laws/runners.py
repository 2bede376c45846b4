"""All that runs a stack of layers: what must agree, and what it must agree with.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import snntorch
import torch
from torch import Tensor, nn

from spikemnist import accelerate, ops
from spikemnist.engine import autograd
from spikemnist.ops.dropout import drop_out
from spikemnist.ops.layer import LayerOutput, LayerParams
from tests.laws.stacks import PARTS, Stack

if TYPE_CHECKING:
    Run = Callable[..., list[LayerOutput]]
    """From spikes ``[T, B, F]``, layers, ``record`` and ``final`` to the output of each layer."""

    Leaky = Callable[[Tensor, LayerParams], tuple[Tensor, Tensor]]
    """From a current ``[T, B, ...]`` and neurons to spikes and membranes."""

OUTPUTS = ("spikes", "membrane", "final")


def _layer_by_layer(leaky: Leaky) -> Run:
    """Return a way to run: dense weights, and then neurons; everything is returned."""

    def run(spikes: Tensor, layers: Sequence[LayerParams], **_: Any) -> list[LayerOutput]:
        outputs = []
        for params in layers:
            dropped = drop_out(spikes.flatten(0, 1), params.dropout).view(spikes.shape)
            if params.weight is None:
                current = dropped.to(params.beta.dtype)
            else:
                current = ops.linear(dropped, params.weight, params.bias)
            spikes, membrane = leaky(current, params)
            counts = (spikes.detach() != 0).sum((0, *range(2, spikes.dim())))
            shape = tuple(spikes.shape[2:])
            outputs.append(LayerOutput(spikes, membrane, counts, membrane[-1], shape))
        return outputs

    return run


def _reference(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    return ops.leaky(
        current,
        params.beta,
        params.threshold,
        reset_mechanism=params.reset_mechanism,
        spike_grad=params.spike_grad,
        initial=params.initial,
    )


def _triton(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    from spikemnist.gpu.scan import scan

    spikes, membrane, _ = scan(current, params)
    assert membrane is not None
    return spikes, membrane


def _snntorch(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    """Step a real `snntorch.Leaky`."""
    neuron = leaky_of(params)
    initial = params.initial
    membrane = torch.zeros_like(current[0]) if initial is None else initial
    spikes, membranes = [], []
    for inflow in current:
        spike, membrane = neuron(inflow, membrane)
        # snnTorch's surrogates return float32 whatever the membrane is.
        spikes.append(spike.to(current.dtype))
        membranes.append(membrane)
    return torch.stack(spikes), torch.stack(membranes)


def leaky_of(params: LayerParams) -> snntorch.Leaky:
    """Return the neurons of a layer, which no list of snnTorch holds."""
    neuron = snntorch.Leaky(
        beta=params.beta,
        threshold=params.threshold,
        reset_mechanism=params.reset_mechanism,
        spike_grad=params.spike_grad,
    )
    snntorch.SpikingNeuron.instances.pop()
    return neuron


def by_engine(
    spikes: Tensor, layers: Sequence[LayerParams], *, record: str, final: bool
) -> list[LayerOutput]:
    return autograd.run(layers, spikes, record=record, final=final)


def by_accelerate(
    spikes: Tensor, layers: Sequence[LayerParams], *, record: str, final: bool
) -> list[LayerOutput]:
    """Run a network of the user, with the tensors of the layers in place of its own."""
    modules: list[nn.Module] = []
    tensors: dict[str, Tensor] = {}
    for params in layers:
        if params.dropout:
            modules.append(nn.Dropout(params.dropout))
        if params.weight is not None:
            place = f"network.{len(modules)}"
            sizes, bias = reversed(params.weight.shape), params.bias is not None
            modules.append(nn.utils.skip_init(nn.Linear, *sizes, bias=bias))  # draws no numbers
            tensors[f"{place}.weight"] = params.weight
            if params.bias is not None:
                tensors[f"{place}.bias"] = params.bias
        place = f"network.{len(modules)}"
        modules.append(leaky_of(params))
        tensors |= {f"{place}.beta": params.beta, f"{place}.threshold": params.threshold}
    dtype = layers[0].beta.dtype
    backend = "event_driven" if dtype in (torch.float32, torch.float64) else "reference"
    model = accelerate(nn.Sequential(*modules), backend=backend).to(dtype)
    state, size = [], spikes.shape[2:]
    for params in layers:
        size = size if params.weight is None else params.weight.shape[:1]
        rest = params.beta.new_zeros((spikes.shape[1], *size))
        state.append(rest if params.initial is None else params.initial)
    options = {"record": "all", "state": state}
    result = torch.func.functional_call(model, tensors, (spikes,), options)
    outputs = []
    for one, counts, last in zip(result.layers, result.spike_counts, result.state, strict=True):
        recorded = record == "all" or one is result.layers[-1]
        outputs.append(
            LayerOutput(
                one.spikes if recorded else None,
                one.membrane if recorded else None,
                counts,
                last if final else None,
                tuple(one.spikes.shape[2:]),
            )
        )
    return outputs


by_reference, by_triton, by_snntorch = map(_layer_by_layer, (_reference, _triton, _snntorch))
RUNNERS: dict[str, Run] = {
    "reference": by_reference,
    "engine": by_engine,
    "accelerate": by_accelerate,
}
if importlib.util.find_spec("triton"):  # tests/gpu/test_triton.py says where it is not
    RUNNERS["triton"] = by_triton
RUNNER = pytest.mark.parametrize("runner", RUNNERS)
INTERPRETED = [
    pytest.mark.usefixtures("interpreted"),
    # The interpreter of Triton 3.4 uses what NumPy deprecates.
    pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning"),
]
"""Marks for tests that run Triton's kernels in NumPy."""


@dataclass
class Answer:
    """Output of all layers, detached, and the gradients of a loss by the name of a leaf."""

    layers: list[LayerOutput]
    gradients: dict[str, Tensor | None]


def run(runner: str, given: Stack) -> list[LayerOutput]:
    """Run a stack as it is."""
    return RUNNERS[runner](given.spikes, given.layers, record=given.record, final=given.final)


def leaves_of(given: Stack) -> tuple[Stack, dict[str, Tensor]]:
    """Return a copy of a stack whose tensors, the input among them, all require gradients."""
    leaves, layers = {}, []
    for index, params in enumerate(given.layers):
        parts = {part: getattr(params, part) for part in PARTS}
        own = {
            part: value.detach().clone().requires_grad_()
            for part, value in parts.items()
            if value is not None
        }
        leaves |= {f"{part} {index}": leaf for part, leaf in own.items()}
        layers.append(replace(params, **own))
    fed = given.spikes
    if fed.is_floating_point():
        fed = leaves["input"] = fed.detach().clone().requires_grad_()
    return replace(given, spikes=fed, layers=layers), leaves


def answer(run: Run, given: Stack, towards: list[dict[str, Tensor]]) -> Answer:
    """Run fresh leaves, and differentiate the sum of the outputs times ``towards``."""
    own, leaves = leaves_of(given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outputs = run(own.spikes, own.layers, record=own.record, final=own.final)
    loss = loss_of(outputs, towards)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return Answer([detach(one) for one in outputs], dict(zip(leaves, gradients, strict=True)))


def loss_of(outputs: Sequence[LayerOutput], towards: list[dict[str, Tensor]]) -> Tensor:
    terms = [
        (getattr(one, name) * weights).sum()
        for one, weights_of_one in zip(outputs, towards, strict=True)
        for name, weights in weights_of_one.items()
    ]
    return torch.stack(terms).sum()


def loss_weights(
    given: Stack, outputs: Sequence[str] = OUTPUTS, *, integral: bool = False
) -> list[dict[str, Tensor]]:
    """Draw for each layer what multiplies its outputs, those that are recorded, in a loss."""
    random = torch.Generator().manual_seed(1)
    steps, batch, *size = given.spikes.shape
    drawn: list[dict[str, Tensor]] = []
    for params in given.layers:
        size = size if params.weight is None else [len(params.weight)]
        dtype = params.beta.dtype
        shapes = dict.fromkeys(("spikes", "membrane"), (steps, batch, *size))
        shapes["final"] = (batch, *size)
        numbers = {
            name: torch.randint(-2, 3, shape, generator=random).to(dtype)
            if integral
            else torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
            for name, shape in shapes.items()
        }
        recorded = given.record == "all" or params is given.layers[-1]
        flags = {"spikes": recorded, "membrane": recorded, "final": given.final}
        drawn.append({name: numbers[name] for name in outputs if flags[name]})
    return drawn


def detach(one: LayerOutput) -> LayerOutput:
    values = {name: getattr(one, name) for name in OUTPUTS}
    return replace(
        one, **{name: value.detach() for name, value in values.items() if value is not None}
    )
