"""Read the layers of a network whose forward loops over time, from recorded calls.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import snntorch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from spikemnist._progress import progress_bar
from spikemnist._seeds import seeded
from spikemnist._tensors import check_tensor
from spikemnist.models import stepped
from spikemnist.models.execution import present
from spikemnist.models.neuron import own_states, state_names

_POOLS: dict[Callable[..., Any], type[nn.Module]] = {
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}

_DOUBLINGS = 8
"""Enough for initial weights; output neurons may have a threshold that nothing reaches."""


def read_loop(network: nn.Module, example: Tensor) -> nn.Sequential:
    """Record a call of a network that loops over time; return its layers, which share its weights.

    The layers are compared with the network: spikes and membranes of all neurons, what forward
    returns, and the gradients of all parameters, in evaluation and in training, on the example and
    on its numbers in another order. A copy of the network is run, whose weights are doubled until
    all neurons fire.

    Parameters
    ----------
    network : torch.nn.Module
        Network with the loop over time in its forward. It is left as it is.
    example : torch.Tensor
        What forward takes: ``[T, B, ...]``, or ``[B, ...]`` for the input of each timestep.

    Raises
    ------
    ValueError
        If forward is not a chain of layers, or does more; the message names what breaks it.
    """
    check_tensor(example, "example", "[T, B, ...] or [B, ...]")
    stepped.check_kinds(network)
    # snnTorch's utils.reset, called by a copy, would reset all neurons of the process.
    with own_states(list(stepped.neurons_of(network))):
        _rest(network)
        calls = _checked_calls(copy.deepcopy(network).requires_grad_(), example)
    return _layers(network, calls)


def _checked_calls(network: nn.Module, example: Tensor) -> list[str | nn.Module]:
    """Return the calls of a timestep, after their layers did what the network does."""
    with torch.no_grad():
        calls, steps = _firing(network.eval(), example).chain(example)
    layers = _layers(network, calls)
    for call, module in zip(calls, layers, strict=True):
        if isinstance(module, _BatchNorm):
            raise _broken(f"{call} takes one timestep alone, and layers normalise all together")
    order = torch.randperm(example.numel(), generator=torch.Generator().manual_seed(0))
    shuffled = example.flatten()[order.to(example.device)].view_as(example)
    with progress_bar(progress=True, desc="comparing with the loop") as bar:
        for case, training in itertools.product((example, shuffled), (False, True)):
            network.train(training)
            inputs = case if steps is None else case.expand(steps, *case.shape)
            if difference := _difference(network, layers, case, inputs):
                raise _broken(f"{difference}, in {'train' if training else 'eval'}()")
            bar.update()
    return calls


def advice(network: nn.Module, spikes: Tensor) -> str:
    """Return what to write in place of a network whose forward loops over time."""
    order: list[str] = []
    for example in (spikes, spikes[0]):  # forward takes all timesteps, or one
        call = _Call()
        with suppress(Exception), torch.no_grad():
            call.run(network, example)
        calls = dict.fromkeys(f"net.{name}" for name, _, _ in call.calls if isinstance(name, str))
        order = max(order, list(calls), key=len)
    return (
        "Pass an example of what forward takes, accelerate(net, example), or its modules in the "
        f"order of their calls: accelerate(nn.Sequential({', '.join(order)}))"
    )


def _broken(reason: str) -> ValueError:
    return ValueError(
        f"forward is no chain of layers over time: {reason}. Time must be the first axis, and an "
        "encoder outside. Else write a forward of one timestep, [B, ...], that calls each neuron "
        "with its current alone, and pass no example: snnTorch steps any such network"
    )


class _Call(TorchFunctionMode):
    """A recorded call of a network.

    ``calls`` has what was called, with input and output: paths of modules, and modules for
    functions that pool. ``neurons`` has the spikes and membranes of each call of a neuron,
    ``returned`` what the network returned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str | nn.Module, Tensor, Tensor]] = []
        self.neurons: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def run(self, network: nn.Module, example: Tensor) -> _Call:
        """Call the network from rest, each time with the same masks of dropout."""
        neurons = stepped.neurons_of(network)
        inner = {child for neuron in neurons for child in neuron.children()}
        with own_states([*neurons]), seeded(0, example.device), ExitStack() as stack, self:
            _rest(network)
            for path, module in network.named_modules():
                if module in neurons or not (module._modules or module in inner):
                    add = functools.partial(self._add, path)
                    stack.enter_context(module.register_forward_hook(add))
            self.returned = network(example)
        return self

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _POOLS:
            self.calls.append((_POOLS[func](*args[1:], **(kwargs or {})), args[0], result))
        return result

    def _add(self, path: str, module: Any, args: Any, output: Any) -> None:
        made = output[0] if isinstance(output, tuple) else output
        if type(module) not in _POOLS.values():  # whose functions are in the list
            self.calls.append((path, args[0], made))
        if isinstance(module, snntorch.SpikingNeuron):
            self.neurons.setdefault(path, []).append(stepped.spikes_and_membrane(module, output))

    def chain(self, example: Tensor) -> tuple[list[str | nn.Module], int | None]:
        """Return the calls of a timestep in their order, and T if all have the same input."""
        if not self.neurons:
            raise _broken("it calls no neurons of snnTorch")
        calls: list[str | nn.Module] = []
        before, signal, timed = "the example or its first timestep", example, False
        for name, taken, made in self._timestep():
            choices = (signal,) if timed else (signal, signal[0])
            same = [one for one in choices if torch.equal(one.flatten(), taken.flatten())]
            if not same:
                raise _broken(f"{name} takes something else than {before}")
            timed = timed or same[0] is not signal or len(taken) != len(signal)
            if taken.dim() < same[0].dim() or (not calls and taken.dim() == 2):  # also for images
                calls.append(nn.Flatten())
            elif taken.shape != same[0].shape:
                raise _broken(f"{name} takes {[*taken.shape]}, reshaped from {[*same[0].shape]}")
            calls.append(name)
            before, signal = f"the output of {name}", made
        steps = len(example) if timed else len([*self.neurons.values()][-1])
        for path, outputs in self.neurons.items():
            if path not in calls:
                raise _broken(f"{path} is not called in the first timestep")
            if len(outputs) != steps:
                raise _broken(f"{path} is called {len(outputs)} times in {steps} timesteps")
        return calls, None if timed else steps

    def _timestep(self) -> list[tuple[str | nn.Module, Tensor, Tensor]]:
        """Return the calls before any neuron is called again, without those behind the last."""
        called: set[str | nn.Module] = set()
        end = 0
        for index, (name, _, _) in enumerate(self.calls):
            if name in called:
                break
            if name in self.neurons:
                called.add(name)
                end = index + 1
        return self.calls[:end]


def _rest(network: nn.Module) -> None:
    """Let neurons start at rest: snnTorch zeroes a state of another shape than the current."""
    for neuron in stepped.neurons_of(network):
        for name in state_names(neuron):
            setattr(neuron, name, neuron.threshold.new_empty(0))


def _firing(network: nn.Module, example: Tensor) -> _Call:
    """Return a call of the network, whose weights are doubled first until all neurons fire."""
    for _ in range(_DOUBLINGS):
        call = _Call().run(network, example)
        if all(any(spikes.any() for spikes, _ in steps) for steps in call.neurons.values()):
            break
        for path, parameter in network.named_parameters():
            if path.rpartition(".")[0] not in call.neurons:
                parameter.mul_(2)
    for path, steps in call.neurons.items():
        if not any(membrane.any() for _, membrane in steps):
            raise ValueError(f"the example leaves {path} at rest; pass an example of your data")
    return call


def _layers(network: nn.Module, calls: list[str | nn.Module]) -> nn.Sequential:
    modules = (network.get_submodule(call) if isinstance(call, str) else call for call in calls)
    return nn.Sequential(*modules)


def _difference(
    network: nn.Module, layers: nn.Sequential, example: Tensor, inputs: Tensor
) -> str | None:
    """Return what the layers do otherwise than the network, or None."""
    call = _Call().run(network, example)
    with seeded(0, inputs.device):
        run = stepped.run(layers, inputs, next(layers.parameters()), None)
    results = [*run.state]
    expected_loss = loss = inputs.new_zeros(())
    for (path, steps), output in zip(call.neurons.items(), run.outputs, strict=True):
        spikes, membrane = (torch.stack(values) for values in zip(*steps, strict=True))
        fired, reached = present(output.spikes), present(output.membrane)
        if not torch.equal(spikes, fired) or not _close(membrane, reached):
            return f"{path} does not fire as its layer does"
        factors = torch.linspace(-1, 1, spikes.numel()).to(spikes).view_as(spikes)
        expected_loss = expected_loss + ((spikes + membrane) * factors).sum()
        loss = loss + ((fired + reached) * factors).sum()
        for values in (fired, reached):
            results += [*values, values, values.transpose(0, 1), values.sum(0), values.mean(0)]
    for value in _tensors(call.returned):
        if not any(value.shape == result.shape and _close(value, result) for result in results):
            return f"it returns {tuple(value.shape)}, no spikes, membranes, or their sum over time"
    if not expected_loss.requires_grad:
        return "it computes no gradients"
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = (
        torch.autograd.grad(one, parameters, allow_unused=True, materialize_grads=True)
        for one in (expected_loss, loss)
    )
    for name, expected, actual in zip(names, *gradients, strict=True):
        if not _close(expected, actual):
            return f"the gradient of {name} is not that of its layer"
    return None


def _close(expected: Tensor, actual: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding."""
    return torch.allclose(expected, actual, 1e-3, 1e-5 * float(expected.detach().abs().amax()))


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _tensors(one)
