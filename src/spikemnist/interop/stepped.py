"""Networks that snnTorch steps, one timestep after the other: all that the kernels cannot run.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import snntorch
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikemnist._arguments import must_be, takes
from spikemnist.models.architecture import neurons_of, not_last, walk
from spikemnist.models.runners import NetworkOutput
from spikemnist.ops import get_surrogate
from spikemnist.ops.layer import LayerOutput

StepOutput = dict["snntorch.SpikingNeuron | None", "tuple[Tensor, Tensor, Tensor]"]
"""Spikes and membranes ``[B, ...]`` of the neurons at one timestep, the output last.

The third tensor is the copy of the spikes that the network got, and may have changed in place. The
key is None for an output that no neuron fired.
"""

NEURONS = {"Alpha", "Lapicque", "Leaky", "RLeaky", "RSynaptic", "SConv2dLSTM", "SLSTM", "Synaptic"}
"""Neurons of snnTorch that take one timestep after the other."""

BASES = {"GradedSpikes", "LIF", "RecurrentOneToOne", "SpikingNeuron"}
"""Other classes of snnTorch that do: bases and parts of neurons."""


class LoopInForwardError(ValueError):
    """A network that hands membranes on, or calls a neuron twice in a timestep."""


def run(
    network: nn.Module, spikes: Tensor, template: Tensor, state: Sequence[Tensor] | None
) -> tuple[NetworkOutput, list[str]]:
    """Call a network once for each timestep, from a ``state`` or from rest.

    From rest, ``reset()`` of each module that has one is called. ``template`` is a tensor that
    has the dtype and the device of the parameters. The names are those of what modules of a user's
    own hold for the next call.

    Raises
    ------
    ValueError
        If the network calls or returns what `SpikingNetwork` does not allow, or if the state does
        not fit.
    """
    neurons = neurons_of(network)
    states = [(neuron, name) for neuron in neurons for name in state_names(neuron)]
    # snnTorch zeroes a state of another shape than the current: an empty one starts at rest.
    initial = state or [template.new_empty(0)] * len(states)
    if len(initial) != len(states):
        raise ValueError(f"state must hold {len(states)} tensors of neurons; got {len(initial)}")
    steps: list[StepOutput] = []
    others: list[Any] = [module for module in network.modules() if module not in neurons]
    resets = [module for module in others if takes(getattr(module, "reset", None), 0)]
    with own_states(list(neurons)), _watched(neurons, not_last(network), steps):
        for module in () if state else resets:
            module.reset()
        marks = _attribute_marks(network, resets)
        for (neuron, name), value in zip(states, initial, strict=True):
            setattr(neuron, name, value)
        for signal in spikes:
            steps.append({})
            _add_output(network(signal.to(template.dtype, copy=True)), steps[-1], len(signal))
        last = tuple(getattr(neuron, name) for neuron, name in states)
    for (neuron, name), before, after in zip(states, initial, last, strict=True):
        if state and before.shape != after.shape:
            where = f"the state of {neurons[neuron]} in {name}"
            raise must_be(where, f"of shape {tuple(after.shape)}", before)
    layers = list(steps[0])
    some = {neurons.get(n, "an output") for step in steps for n in steps[0].keys() ^ step.keys()}
    if some:
        raise ValueError(f"{', '.join(sorted(some))} must be called at each timestep, or at none")
    outputs = [_stack([step[layer] for step in steps]) for layer in layers]
    path = "network" if layers[-1] is None else neurons[layers[-1]]
    after_call = _attribute_marks(network, resets)
    carry_over = [n for n, (_, mark) in after_call.items() if n not in marks or marks[n][1] != mark]
    return NetworkOutput(outputs, layers, last, path), carry_over


def _attribute_marks(
    network: nn.Module, resets: Sequence[nn.Module]
) -> dict[str, tuple[object, object]]:
    """Return the attributes of a user's own modules by place, with marks that tell of a change.

    Those of torch and snnTorch are left out, and modules in one of ``resets``.
    """
    marks: dict[str, tuple[object, object]] = {}
    cleared = {below for module in resets for below in module.modules()}
    for path, module in walk(network):
        foreign = type(module).__module__.startswith("torch.")
        if foreign or module in cleared or isinstance(module, snntorch.SpikingNeuron):
            continue
        buffers = {} if isinstance(module, _BatchNorm) else module._buffers
        for name, value in {**vars(module), **buffers}.items():
            if not name.startswith("_") and name != "training":
                parts = [*value] if isinstance(value, (list, deque)) else [value]
                # No other value gets the id of one that is held here.
                marks[f"{path}.{name}"] = parts, [(id(part), _version(part)) for part in parts]
    return marks


def _version(value: object) -> float:
    """Return a number that is another one when a tensor was changed in place."""
    if not isinstance(value, Tensor):
        return 0
    return float(value.sum()) if value.is_inference() else value._version


def unfit(network: nn.Module) -> str | None:
    """Return the place of a module of snnTorch that cannot be stepped, in a sentence, or None."""
    for path, module in walk(network):
        kinds = [k.__name__ for k in type(module).__mro__ if k.__module__.startswith("snntorch.")]
        if kinds and kinds[0] not in NEURONS | BASES:
            return (
                f"{path} is snntorch.{kinds[0]}, which does not take one timestep after the other "
                "with the current alone; use another module, such as snntorch.Leaky"
            )
    return None


def state_names(neuron: snntorch.SpikingNeuron) -> list[str]:
    """Return the names of a neuron's states, such as ``syn`` and ``mem``.

    snnTorch holds them in buffers that a state dict leaves out.
    """
    saved = neuron.state_dict()
    return [name for name, _ in neuron.named_buffers(recurse=False) if name not in saved]


def copy_of(network: nn.Module) -> nn.Module:
    """Return a copy whose parameters have gradients, with the tensors that modules keep."""
    attributes = [value for module in network.modules() for value in vars(module).values()]
    values = {
        id(value): value.detach().clone() for value in attributes if isinstance(value, Tensor)
    }
    return copy.deepcopy(network, values).requires_grad_()


def rest(network: nn.Module) -> None:
    """Let neurons start at rest: snnTorch zeroes a state of another shape than the current.

    Their surrogates become those of `spikemnist.ops`: some gradients of snnTorch's overflow to NaN.
    """
    for neuron in neurons_of(network):
        neuron.spike_grad = get_surrogate(neuron.spike_grad)
        for name in state_names(neuron):
            setattr(neuron, name, neuron.threshold.new_empty(0))


@contextmanager
def own_states(neurons: Sequence[snntorch.SpikingNeuron]) -> Iterator[None]:
    """Restore the attributes of the neurons on exit, as a call must not change their states."""
    before = [(vars(neuron).copy(), neuron._buffers.copy()) for neuron in neurons]
    try:
        yield
    finally:
        for neuron, (attributes, buffers) in zip(neurons, before, strict=True):
            vars(neuron).clear()
            vars(neuron).update(attributes)
            neuron._buffers.update(buffers)


def spikes_and_membrane(neuron: Any, output: Any) -> tuple[Tensor, Tensor]:
    """Return what a neuron fired and its membrane after a call, which returned ``output``."""
    fired, *states = output if isinstance(output, tuple) else (output,)
    return fired, states[-1] if states else neuron.mem


@contextmanager
def _watched(
    neurons: Mapping[snntorch.SpikingNeuron, str],
    passing_on: set[nn.Module],
    steps: Sequence[StepOutput],
) -> Iterator[None]:
    """Note spikes and membranes of each neuron in the last of ``steps`` when it is called.

    The neurons ``passing_on`` return their spikes alone, which the next module takes.
    """

    def note(neuron: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        signal, *others = [*args, *kwargs.values()]
        if others or neuron in steps[-1]:
            raise LoopInForwardError(
                f"{neurons[neuron]} is called with a membrane, or twice in a timestep: call each "
                "neuron once, with the current alone, and leave the loop over time out of forward. "
                "Neurons keep their membranes themselves"
            )
        fired, membrane = spikes_and_membrane(neuron, output)
        fired = fired.to(signal.dtype)  # snnTorch's surrogates return float32 for any membrane
        membrane = membrane.to(signal.dtype)
        passed = fired.clone()  # the network may work in place
        steps[-1][neuron] = fired, membrane, passed
        states = output[1:] if isinstance(output, tuple) else ()
        return (passed, *states) if states and neuron not in passing_on else passed

    hooks = [neuron.register_forward_hook(note, with_kwargs=True) for neuron in neurons]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _add_output(result: Any, step: StepOutput, batch: int) -> None:
    """Put the output of a timestep at the end of ``step``."""
    first, *rest = result if isinstance(result, tuple) else (result,)
    shapes = [getattr(value, "shape", type(value).__name__) for value in (first, *rest)]
    fits = isinstance(first, torch.Tensor) and first.dim() > 1 and len(first) == batch
    if not fits or shapes[-1] != shapes[0]:
        raise ValueError(
            f"the network must return [B, C] for one timestep, here B = {batch}, or a tuple of "
            f"spikes and membranes; got {', '.join(map(str, shapes))}. It is called once for each "
            "timestep; where it loops over time, or returns more, pass an example of what forward "
            "takes: accelerate(net, example)"
        )
    neuron = next((neuron for neuron, (_, _, passed) in step.items() if passed is first), None)
    _, membrane, _ = step.pop(neuron, (first, first, first))
    fired = torch.zeros_like(first) if neuron is None and not rest else first
    step[neuron] = fired, rest[-1].to(first.dtype) if rest else membrane, first


def _stack(steps: Sequence[tuple[Tensor, ...]]) -> LayerOutput:
    spikes, membrane = map(torch.stack, [*zip(*steps, strict=True)][:2])
    counts = torch.count_nonzero(spikes, (0, *range(2, spikes.dim())))  # whatever their height
    return LayerOutput(spikes, membrane, counts, None, tuple(spikes.shape[2:]))
