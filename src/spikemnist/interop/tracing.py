"""Read the layers of a network whose forward loops over time, from recorded calls.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import snntorch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from spikemnist._progress import progress_bar
from spikemnist._seeds import seeded
from spikemnist._tensors import check_tensor
from spikemnist.interop import stepped
from spikemnist.interop.stepped import copy_of, own_states, rest
from spikemnist.models.architecture import neurons_of
from spikemnist.models.runners import required

_POOLS: dict[Callable[..., Any], type[nn.Module]] = {
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
}

Calls = list["str | nn.Module"]
"""Modules of a timestep in the order of their calls: paths, and modules for functions."""

_COUNTS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

_READS = {"__bool__", "__float__", "__int__", "__index__", "item", "tolist", "numpy", "equal"}
"""Functions that return values of a tensor, on which forward may branch."""

_DOUBLINGS = 8
"""Enough for initial weights; output neurons may have a threshold that nothing reaches."""


def read_loop(network: nn.Module, example: Tensor) -> nn.Sequential:
    """Record a call of a network that loops over time; return its layers, which share its weights.

    The layers are compared with the network: spikes and membranes of all neurons, what forward
    returns, and the gradients of all parameters, in evaluation and in training, on the example and
    on numbers drawn in its range. Copies of the network are called, with weights that are doubled
    until all neurons fire.

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

    Warns
    -----
    UserWarning
        If forward runs one timestep, or keeps its membranes from call to call.

    Examples
    --------
    A class of a tutorial, as it is written:

    >>> from spikemnist import accelerate
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = nn.Linear(784, 10)
    ...         self.lif = snntorch.Leaky(beta=0.95)
    ...     def forward(self, x):
    ...         mem = self.lif.init_leaky()
    ...         spikes = []
    ...         for step in range(25):
    ...             spk, mem = self.lif(self.fc(x.flatten(1)), mem)
    ...             spikes.append(spk)
    ...         return torch.stack(spikes)
    >>> images = torch.rand(8, 1, 28, 28)
    >>> accelerate(Net(), images)(images.expand(25, 8, 1, 28, 28)).spikes.shape
    torch.Size([25, 8, 10])
    """
    check_tensor(example, "example", "[T, B, ...] or [B, ...]")
    if reason := stepped.unfit(network):
        raise ValueError(reason)
    if any(map(nn.parameter.is_lazy, network.parameters())):
        raise ValueError("weights of the network have no shape yet; call net(example) once before")
    # snnTorch's utils.reset, called by a copy, would reset all neurons of the process.
    neurons = list(neurons_of(network))
    plain = torch.autocast(example.device.type, enabled=False)
    with own_states(neurons), torch.inference_mode(mode=False), torch.enable_grad(), plain:
        rest(network)
        calls, steps, keeps = _checked_calls(copy_of(network), example.detach().clone())
    if steps == 1:
        warnings.warn(
            "forward runs one timestep. Over several, the accelerated network keeps its membranes "
            "from one to the next, even if forward starts from rest in each call",
            stacklevel=4,  # the caller of `accelerate`
        )
    elif keeps:
        text = (
            "forward keeps its membranes from call to call. Calls of the accelerated network start "
        )
        warnings.warn(f"{text}at rest, or from state=record.state", stacklevel=4)
    return _layers(network, calls)


def _checked_calls(network: nn.Module, example: Tensor) -> tuple[Calls, int, bool]:
    """Return the calls of a timestep, the number of timesteps, and whether membranes are kept.

    The layers do what the network does.
    """
    nn.Module.train(network, mode=False)  # a class may have a train of its own
    with torch.no_grad():
        _, steps = _firing(network, example).chain(example)
        noise, call = _random_case(network, example, steps)
        if steps == 1 and call.chain(noise)[1] is None:  # one timestep of one sample looks constant
            noise, call = _random_case(network, noise, None)
        calls, steps = call.chain(noise)
    layers = _layers(network, calls)
    for name, module in zip(calls, layers, strict=True):
        if isinstance(module, _BatchNorm):
            raise _broken(f"{name} takes one timestep alone, and layers normalise all together")
    with progress_bar(progress=True, desc="comparing with the loop") as bar:
        for case, training in itertools.product((example, noise), (False, True)):
            nn.Module.train(network, training)
            inputs = case if steps is None else case.expand(steps, *case.shape)
            if difference := _difference(network, calls, case, inputs):
                raise _broken(f"{difference}, in {'train' if training else 'eval'}()")
            bar.update()
    return calls, call.steps, call.goes_on(noise)


def _random_case(network: nn.Module, example: Tensor, steps: int | None) -> tuple[Tensor, _Call]:
    """Return numbers in the range of an example and their call, for twice as many timesteps.

    There are two samples at least. A forward for a certain number of timesteps or samples gets
    those of the example. ``steps`` is the number of timesteps that have the same input, or None.
    """
    ends = [float(end) for end in example.float().aminmax()]
    low, high = ends if ends[0] < ends[1] else sorted((0.0, ends[0]))
    generator = torch.Generator().manual_seed(0)

    def draw(sizes: Sequence[int]) -> Tensor:
        shape = (*sizes, *example.shape[len(sizes) :])
        numbers = low + (high - low) * torch.rand(shape, generator=generator)
        return (numbers if example.is_floating_point() else numbers.round()).to(example)

    choices = [(2 * len(example), len(example))] if steps is None else []
    choices += [(max(size, 2), size) for size in example.shape[len(choices) :][:1]]
    *larger, own = itertools.product(*choices)
    for sizes in larger:
        with suppress(Exception):
            call = _Call().run(network, numbers := draw(sizes))
            if steps or sizes[0] == len(example) or call.steps != len(example):
                return numbers, call
    return (numbers := draw(own)), _Call().run(network, numbers)


def advice(network: nn.Module, spikes: Tensor) -> str:
    """Return what to write in place of a network whose forward loops over time."""
    order: list[str] = []
    for example in (spikes, spikes[0]):  # forward takes all timesteps, or one
        call = _Call()
        with suppress(Exception), torch.no_grad(), own_states([*neurons_of(network)]):
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
    """A recorded call of a copy of a network.

    ``calls`` has what was called, with input and output: paths of modules, and modules for
    functions that pool. ``neurons`` has the spikes and membranes of each call of a neuron,
    ``returned`` what the network returned, ``numbers`` what torch would draw next. ``used`` and
    ``changed`` are the storages that functions took, and changed in place. ``reads`` is a function
    that returned values of a tensor, of none in ``owned``, outside of the modules in ``calls``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str | nn.Module, Tensor, Tensor]] = []
        self.neurons: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.used: set[int] = set()
        self.changed: set[int] = set()
        self.reads = ""
        self.running: list[nn.Module] = []

    def run(self, network: nn.Module, example: Tensor) -> _Call:
        """Call a copy of the network from rest, each time with the same masks of dropout."""
        self.network = network = copy_of(network)
        rest(network)
        neurons = neurons_of(network)
        inner = {child for neuron in neurons for child in neuron.children()}
        for path, module in network.named_modules():
            if module in neurons or not (module._modules or module in inner):
                module.register_forward_pre_hook(lambda module, _: self.running.append(module))
                module.register_forward_hook(functools.partial(self._add, path))
        self.owned = {_storage(x) for x in (*network.parameters(), *network.buffers())}
        taken, others = example.clone(), _other_generators()
        with seeded(0, example.device):
            with self:
                self.returned = network(taken)
            self.numbers = _next_numbers(example.device)
        self.draws = others != _other_generators()
        self.edits = not torch.equal(taken, example)
        return self

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        before = [(x, x._version) for x in args if isinstance(x, Tensor) and not x.is_inference()]
        result = func(*args, **(kwargs or {}))
        if func in _POOLS:
            self.calls.append((_POOLS[func](*args[1:], **(kwargs or {})), args[0], result))
        kind = getattr(func, "__name__", "")
        if kind in _READS and not self.running and {_storage(x) for x, _ in before} - self.owned:
            self.reads = kind
        for tensor, version in before:
            if tensor._version != version or kind == "__set__":  # such as weight.data = ...
                self.changed.add(_storage(tensor))
            elif kind != "__get__":  # such as weight.device
                self.used.add(_storage(tensor))
        return result

    @property
    def steps(self) -> int:
        """How often the output neurons were called."""
        return len([*self.neurons.values()][-1])

    def goes_on(self, example: Tensor) -> bool:
        """Call the copy again, and return whether its neurons start elsewhere than at first."""
        neurons, listed = neurons_of(self.network), snntorch.SpikingNeuron.instances
        listed += neurons  # snnTorch's utils.reset resets what is listed
        self.network(example.clone())
        del listed[-len(neurons) :]
        membranes = (torch.stack([x for _, x in steps]) for steps in self.neurons.values())
        return not all(torch.equal(*both.chunk(2)) for both in membranes)

    def _add(self, path: str, module: Any, args: Any, output: Any) -> None:
        self.running.pop()
        made = output[0] if isinstance(output, tuple) else output
        if type(module) not in _POOLS.values():  # whose functions are in the list
            self.calls.append((path, args[0], made))
        if isinstance(module, snntorch.SpikingNeuron):
            self.neurons.setdefault(path, []).append(stepped.spikes_and_membrane(module, output))

    def chain(self, example: Tensor) -> tuple[Calls, int | None]:
        """Return the calls of a timestep in their order, and T if all have the same input."""
        if not self.neurons:
            raise _broken("it calls no neurons of snnTorch")
        if self.edits:
            raise _broken("it changes its input in place")
        calls: Calls = []
        before, signal, timed = "the example or its first timestep", example, False
        for name, taken, made in self._timestep():
            choices = (signal,) if timed else (signal, signal[0])
            same = [choice for choice in choices if torch.equal(choice.flatten(), taken.flatten())]
            if not same:
                raise _broken(f"{name} takes something else than {before}")
            same.sort(key=lambda choice: len(choice) != len(taken))
            timed = timed or same[0] is not signal
            fewer = taken.dim() < same[0].dim() or (not calls and taken.dim() == 2)  # also images
            if fewer and len(taken) == len(same[0]):
                calls.append(nn.Flatten())
            elif taken.shape != same[0].shape:
                raise _broken(f"{name} takes {[*taken.shape]}, reshaped from {[*same[0].shape]}")
            calls.append(name)
            before, signal = f"the output of {name}", made
        steps = len(example) if timed else self.steps
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


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _next_numbers(device: torch.device) -> list[float]:
    """Return what torch's generators draw next, which shows how much was drawn."""
    return [float(torch.rand((), device=place)) for place in ("cpu", device)]


def _other_generators() -> str:
    """Return the states of Python's and NumPy's global generators."""
    return repr((random.getstate(), np.random.get_state()))  # noqa: NPY002


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


def _layers(network: nn.Module, calls: Calls) -> nn.Sequential:
    modules = (network.get_submodule(call) if isinstance(call, str) else call for call in calls)
    return nn.Sequential(*modules)


def _difference(network: nn.Module, calls: Calls, example: Tensor, inputs: Tensor) -> str | None:
    """Return what the layers do otherwise than the network, or None."""
    call, layers = _Call().run(network, example), _layers(network, calls)
    with seeded(0, inputs.device):
        run, _ = stepped.run(layers, inputs, next(layers.parameters()), None)
        if call.draws or call.numbers != _next_numbers(inputs.device):
            return "it draws random numbers of its own"
    if effect := _side_effect(network, call, [path for path in calls if isinstance(path, str)]):
        return effect
    results = [*run.state]
    expected_loss = loss = inputs.new_zeros(())
    for (path, steps), output in zip(call.neurons.items(), run.outputs, strict=True):
        spikes, membrane = (torch.stack(values) for values in zip(*steps, strict=True))
        fired, reached = required(output.spikes), required(output.membrane)
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
    gradients = [
        torch.autograd.grad(value, [*of.parameters()], allow_unused=True, materialize_grads=True)
        for value, of in ((expected_loss, call.network), (loss, network))
    ]
    for (name, _), expected, actual in zip(network.named_parameters(), *gradients, strict=True):
        if not _close(expected, actual):
            return f"the gradient of {name} is not that of its layer"
    return (
        f"it branches on values of tensors, or reads them by {call.reads}" if call.reads else None
    )


def _side_effect(network: nn.Module, call: _Call, paths: list[str]) -> str | None:
    """Return what a call changed in its layers, or computed with beside them, or None."""
    owned = set()
    for path in paths:
        before, after = network.get_submodule(path), call.network.get_submodule(path)
        values = before.state_dict()
        for name, tensor in after.state_dict().items():
            if _storage(tensor) in call.changed or not torch.equal(tensor, values[name]):
                return f"it changes {path}.{name}"
        for name, module in after.named_modules(prefix=path):
            for key, value in vars(network.get_submodule(name)).items():
                if isinstance(value, (bool, int, float)) and vars(module).get(key) != value:
                    return f"it changes {name}.{key}"
        owned |= {_storage(tensor) for tensor in (*after.parameters(), *after.buffers())}
    for name, tensor in (*call.network.named_parameters(), *call.network.named_buffers()):
        if _storage(tensor) in call.used - owned and tensor.dtype not in _COUNTS:
            return (
                f"it computes with {name}, which no layer has (a last nn.Linear belongs into the "
                "loop: readout=lambda spikes, membrane: membrane[-1] then takes the last timestep)"
            )
    return None


def _close(expected: Tensor, actual: Tensor) -> bool:
    """Return whether two tensors are equal but for rounding and their dtypes."""
    highest = float(actual.detach().abs().nan_to_num(0, 0).amax())
    return torch.allclose(expected.to(actual), actual, 1e-3, 1e-5 * highest)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists, dicts and dataclasses."""
    value = vars(value) if dataclasses.is_dataclass(value) else value
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)
    elif value is not None:
        raise _broken(f"it returns {type(value).__name__}, no tensors")
