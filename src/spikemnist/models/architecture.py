"""Read a network: split an `nn.Sequential` into spiking layers, or say why it has none.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard, TypeVar

import snntorch
from torch import Tensor, nn
from torch.nn.utils.parametrize import type_before_parametrizations

from spikemnist.models.neuron import is_hooked, resets
from spikemnist.models.spiking_layer import MEMORYLESS, Module, SpikingLayer

_KNOWN = f"{', '.join(kind.__name__ for kind in (nn.Sequential, *MEMORYLESS))} and snntorch.Leaky"

_SILENT = "snntorch.Leaky(beta=0, threshold=1e9, reset_mechanism='none')"
"""Neurons that never fire, and whose membrane is their current."""

_OPTIONS = (
    "inhibition",
    "state_quant",
    "reset_delay",
    "state_function",
    "reset_mechanism",
    "start_dim",
    "end_dim",
    "return_indices",
)
"""Attributes of modules that `read_layers` looks at; a module replaced is another module."""

Kind = TypeVar("Kind", bound=nn.Module)


class UnsupportedError(ValueError):
    """A network that snnTorch can step, but the kernels cannot run. The message says why."""


class Architecture:
    """The layers of a network, and what they were read from; of no network, nothing.

    ``stepping_reason`` says why only snnTorch can run it, or is None. ``hooked`` are the modules of
    weights that have hooks, which the reference calls.
    """

    def __init__(self, network: nn.Module | None = None) -> None:
        self.network = network
        self.modules = [] if network is None else modules_in(network)
        self._options = [(m, name) for m in self.modules for name in _OPTIONS if hasattr(m, name)]
        self._values = self._values_now()
        self.layers: list[SpikingLayer] = []
        self.hooked: list[Module] = []
        self.stepping_reason: str | None = None
        self._warned = False
        try:
            self.layers = [] if network is None else read_layers(network)
            self.hooked = [] if network is None else check_hooks(network)
        except UnsupportedError as reason:
            self.stepping_reason = str(reason)

    def holds(self, modules: Sequence[nn.Module]) -> bool:
        """Return whether the network has these modules still, and nothing of them has changed."""
        return modules == self.modules and self._values == self._values_now()

    def _values_now(self) -> list[object]:
        """Return the options as they are now, and which modules have hooks."""
        options: list[object] = [getattr(module, name, None) for module, name in self._options]
        return options + [is_hooked(module) for module in self.modules]

    @property
    def template(self) -> Tensor:
        """A tensor that has the dtype and the device of the computation."""
        # There always is one: the membrane of an snntorch.Leaky is a floating buffer.
        return next(
            tensor
            for module in self.modules
            for tensor in (*module._parameters.values(), *module._buffers.values())
            if tensor is not None and tensor.is_floating_point()
        )

    def warn_once(self, text: str, category: type[Warning], stacklevel: int) -> None:
        """Warn of the first thing that a call of the network shows."""
        if not self._warned:
            self._warned = True
            warnings.warn(text, category, stacklevel)


def modules_in(module: nn.Module) -> list[nn.Module]:
    """Return a module and all below it; `torch.nn.Module.modules` takes ten times as long."""
    modules = [module]
    for below in module._modules.values():
        if below is not None:
            modules += modules_in(below) if below._modules else [below]
    return modules


def neurons_of(network: nn.Module) -> dict[snntorch.SpikingNeuron, str]:
    """Return the neurons of a network and their places."""
    return {m: path for path, m in walk(network) if isinstance(m, snntorch.SpikingNeuron)}


def read_layers(network: nn.Module) -> list[SpikingLayer]:
    """Split a network after each `snntorch.Leaky`.

    Parameters
    ----------
    network : torch.nn.Sequential
        Network of `snntorch.Leaky` and of modules of the kinds in `MEMORYLESS`.

    Raises
    ------
    UnsupportedError
        If a module or its options are not supported, or if the network does not end in neurons.
        The message names the place in the network.
    ValueError
        If snnTorch cannot run the network either, or not as it says.
    """
    if not is_kind(network, nn.Sequential):
        raise UnsupportedError(
            f"{type(network).__name__} has a forward of its own, and the kernels run its modules "
            "in an nn.Sequential, in the order in which forward calls them"
        )
    layers: list[SpikingLayer] = []
    before: list[Module] = []
    for path, module in flat(network, "network"):
        if type_before_parametrizations(module) is snntorch.Leaky:
            _check_neuron(path, module, layers)
            layers.append(SpikingLayer(path, module, tuple(before)))
            before = []
        else:
            _check_memoryless(path, module)
            before.append((path, module))
    if before:
        path, module = before[0]
        raise UnsupportedError(
            f"{path} is {type(module).__name__}, after the last snntorch.Leaky, and the kernels "
            f"run networks that end in neurons. Put {_SILENT} at the end: its membrane is the same"
        )
    return layers


def check_hooks(network: nn.Module) -> list[Module]:
    """Return the modules of weights with hooks, which the reference calls once for all timesteps.

    Raises
    ------
    UnsupportedError
        If another module has hooks, or a ``forward`` of its own: snnTorch's loop alone calls it.
    """
    hooked = [(path, module) for path, module in walk(network) if is_hooked(module)]
    for path, module in hooked:
        if not isinstance(module, MEMORYLESS) or isinstance(module, (nn.Flatten, nn.Dropout)):
            raise UnsupportedError(
                f"{path} ({type(module).__name__}) has hooks or a forward of its own, which the "
                "kernels do not call"
            )
    return hooked


def walk(network: nn.Module, path: str = "network") -> Iterator[Module]:
    """Yield a network and all modules in it with their places, such as ``network[1].lif``."""
    yield path, network
    for name, module in network.named_children():
        yield from walk(module, f"{path}{_step(name)}")


def not_last(network: nn.Module) -> set[nn.Module]:
    """Return the modules that another module of an `torch.nn.Sequential` follows."""
    chains = (flat(chain, "") for chain in network.modules() if is_kind(chain, nn.Sequential))
    return {module for chain in chains for _, module in list(chain)[:-1]}


def flat(sequential: nn.Sequential, path: str) -> Iterator[Module]:
    """Yield the modules of nested `torch.nn.Sequential`, in order."""
    # Not named_children, which skips the second occurrence of a module.
    for name, module in zip(sequential._modules, sequential, strict=True):
        place = f"{path}{_step(name)}"
        if is_kind(module, nn.Sequential):
            yield from flat(module, place)
        else:
            yield place, module


def _step(name: str) -> str:
    return f"[{name}]" if name.isdecimal() else f".{name}"


def is_kind(module: nn.Module, *kinds: type[Kind]) -> TypeGuard[Kind]:
    """Return whether a module is one of these classes, or a subclass with the same ``forward``."""
    return any(isinstance(module, k) and type(module).forward is k.forward for k in kinds)


def _check_memoryless(path: str, module: nn.Module) -> None:
    """Refuse a module that is none of `MEMORYLESS`, or has options with another meaning."""
    kind = type(module).__name__
    convolve = getattr(type(module), "_conv_forward", None)  # which the forward of Conv2d calls
    if not is_kind(module, *MEMORYLESS) or convolve not in (None, nn.Conv2d._conv_forward):
        raise UnsupportedError(f"{path} is {kind}, and the kernels run {_KNOWN}")
    if isinstance(module, nn.Flatten) and module.start_dim != 1:
        raise UnsupportedError(
            f"{path} flattens from dimension {module.start_dim} on, and the kernels run "
            "nn.Flatten(), all but the batch"
        )
    if getattr(module, "return_indices", False):
        raise ValueError(f"{path} is {kind} with return_indices=True; remove the option")


def _check_neuron(path: str, leaky: Any, before: Sequence[SpikingLayer]) -> None:
    """Refuse the options that make the dynamics differ from `spikemnist.ops.leaky`."""
    reset = resets().get(getattr(leaky.state_function, "__func__", leaky))
    factor = leaky.graded_spikes_factor
    options = {
        "inhibition=True": leaky.inhibition,
        "state_quant": leaky.state_quant,
        "learn_graded_spikes_factor=True": isinstance(factor, nn.Parameter),
        "graded_spikes_factor other than 1": not factor.is_meta and bool((factor != 1).any()),
        "reset_delay=False": not leaky.reset_delay,
        "a custom state_function": reset is None,
    }
    for option, is_set in options.items():
        if is_set:
            raise UnsupportedError(
                f"{path} is an snntorch.Leaky with {option}, which the kernels do not support"
            )
    if leaky.reset_mechanism != reset:
        raise ValueError(
            f"{path} has reset_mechanism={leaky.reset_mechanism!r}, but was made with {reset!r}, "
            "which snnTorch still uses; create a new snntorch.Leaky"
        )
    for layer in before:
        if layer.leaky is leaky:
            raise ValueError(
                f"{path} and {layer.path} are the same snntorch.Leaky, whose membrane snnTorch "
                "would share between them; create one for each place"
            )
