"""A network of modules, read as stages: what has no memory, then the leaky neurons behind it.

Whatever cannot be run over all timesteps at once is refused here, by its place in the network.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import snntorch
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import type_before_parametrizations

from spikemnist import ops
from spikemnist.ops.layers import LARGEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeGuard

    from torch import Tensor

PASSED_BY = (nn.Flatten, nn.Identity, nn.Dropout)
"""What an engine that takes spikes as bits can do itself, on their way to a `torch.nn.Linear`."""

MEMORYLESS = (
    *PASSED_BY,
    nn.Linear,
    nn.Conv2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool2d,
)
"""What a timestep passes through without leaving a trace for the next one."""

_KNOWN = f"{', '.join(kind.__name__ for kind in (nn.Sequential, *MEMORYLESS))} and snntorch.Leaky"
_MECHANISMS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}
"""What snnTorch calls the functions that perform a reset."""

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")

Kind = TypeVar("Kind", bound=nn.Module)
Module = tuple[str, nn.Module]
"""A module and its place in the network, such as ``network[3]``."""


@dataclass(frozen=True, eq=False)  # the compiler of torch 2.7 hashes one half made
class Stage:
    """Modules without memory, and the leaky neurons that integrate what comes out of them.

    Attributes
    ----------
    path
        Place of the neurons in the network.
    leaky
        The neurons.
    modules
        What comes before them, in order.
    """

    path: str
    leaky: snntorch.Leaky
    modules: tuple[Module, ...]

    @property
    def linear(self) -> nn.Linear | None:
        """The weights, when nothing else is left to do for an engine that takes spikes as bits."""
        if not self.modules:
            return None
        *before, last = (module for _, module in self.modules)
        if not isinstance(last, nn.Linear) or not all(isinstance(m, PASSED_BY) for m in before):
            return None
        return last

    @property
    def window(self) -> int:
        """Side of the windows of a maximum pooling that comes last, which an engine can do; or 1.

        Windows that overlap, or are padded, are left to torch.
        """
        last = self.modules[-1][1] if self.modules else None
        if not isinstance(last, nn.MaxPool2d) or last.ceil_mode:
            return 1
        sizes = {*_pair(last.kernel_size), *_pair(last.stride)}
        plain = _pair(last.padding) == (0, 0) and _pair(last.dilation) == (1, 1)
        fits = len(sizes) == 1 and plain and max(sizes) <= LARGEST_WINDOW
        return sizes.pop() if fits else 1

    @property
    def dropout(self) -> float:
        """The probability with which an input is dropped now: 0 unless training."""
        active = [m.p for m in self._entrance if isinstance(m, nn.Dropout) and m.training]
        return 1 - math.prod([1 - p for p in active])

    @property
    def behind_dropout(self) -> Stage:
        """The stage for an input that `dropout` has been applied to."""
        count = len(self._entrance)
        kept = [module for module in self.modules[:count] if not isinstance(module[1], nn.Dropout)]
        return replace(self, modules=(*kept, *self.modules[count:]))

    @property
    def is_random(self) -> bool:
        """Whether some dropout of the stage is active now."""
        return any(isinstance(m, nn.Dropout) and m.p and m.training for _, m in self.modules)

    @property
    def _entrance(self) -> list[nn.Module]:
        """The modules before the first one that changes numbers, dropout aside."""
        modules = (module for _, module in self.modules)
        return list(itertools.takewhile(lambda m: isinstance(m, PASSED_BY), modules))

    @property
    def reset_mechanism(self) -> str:
        """The reset that snnTorch performs, which it takes from the name once and for all."""
        return _mechanism(self.leaky) or str(self.leaky.reset_mechanism)

    def check_features(self, shape: Sequence[int]) -> None:
        """Raise a `ValueError` unless a sample of such a shape fits a stage that has `linear`."""
        if any(isinstance(module, nn.Flatten) for _, module in self.modules):
            shape = (math.prod(shape),)
        path, linear = self.modules[-1]
        _check_input(path, linear, shape)

    def __call__(
        self, signal: Tensor, *, drop: bool = True, pool: bool = True, events: bool = False
    ) -> Tensor:
        """Return the current ``[B, ...]`` that a signal ``[B, ...]`` drives the neurons with.

        ``drop`` says whether dropout has an effect, if it is active; ``pool`` whether the pooling
        that `window` tells of is done here; ``events`` whether convolutions may work only where a
        spike is.
        """
        modules = self.modules if pool or self.window == 1 else self.modules[:-1]
        for path, module in modules:
            _check_input(path, module, signal.shape[1:])
            if isinstance(module, nn.Dropout):
                # Never in place, whatever the module says: the signal belongs to somebody else.
                signal = drop_out(signal, module.p if module.training and drop else 0.0)
            elif events and isinstance(module, nn.Conv2d):
                signal = _convolve(signal, module)
            else:
                signal = module(signal)
        return signal


def drop_out(signal: Tensor, probability: float) -> Tensor:
    """Apply dropout with the mask that `torch.nn.Dropout` draws for a contiguous tensor.

    Torch draws it in the order of memory, which differs between backends where there are channels.
    """
    if not probability or signal.is_contiguous():
        return functional.dropout(signal, probability)
    kept = torch.ones(signal.shape, dtype=signal.dtype, device=signal.device)
    return signal * functional.dropout(kept, probability)


def _convolve(spikes: Tensor, module: nn.Conv2d) -> Tensor:
    """Return what a convolution makes of spikes, on the event-driven engine where that can."""
    plain = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    if not plain or isinstance(module.padding, str):
        return module(spikes)  # type: ignore[no-any-return]
    stride, padding = (module.stride[0], module.stride[1]), (module.padding[0], module.padding[1])
    return ops.convolve_events(spikes, module.weight, module.bias, stride=stride, padding=padding)


def _pair(sizes: int | tuple[int, int]) -> tuple[int, int]:
    return (sizes, sizes) if isinstance(sizes, int) else sizes


def read_stages(network: nn.Module, also: tuple[type[nn.Module], ...] = ()) -> list[Stage]:
    """Split a network behind each of its `snntorch.Leaky`.

    Parameters
    ----------
    network
        A `torch.nn.Sequential`.
    also
        What may be in it beside `MEMORYLESS`.

    Raises
    ------
    TypeError
        For a module that cannot be run, with its place in the network.
    ValueError
        For one with an option that cannot, and for a network that does not end in neurons.
    """
    if not _is(network, nn.Sequential):
        raise TypeError(
            f"accelerate takes an nn.Sequential; got {type(network).__name__}. Put its modules "
            "into an nn.Sequential, in the order in which its forward calls them"
        )
    stages: list[Stage] = []
    before: list[Module] = []
    for path, module in _flat(network, "network"):
        if type_before_parametrizations(module) is snntorch.Leaky:
            _check_neuron(path, module)
            _check_new(path, module, stages)
            stages.append(Stage(path, module, tuple(before)))
            before = []
        else:
            _check_memoryless(path, module, also)
            before.append((path, module))
    if before:
        path, module = before[0]
        raise ValueError(
            f"{path} is {type(module).__name__} behind the last snntorch.Leaky: the network must "
            "end in the neurons whose spikes and membranes are its output"
        )
    if not stages:
        raise ValueError("the network has no snntorch.Leaky, so there is no time to run it over")
    return stages


def check_bypassed(network: nn.Module) -> None:
    """Raise a `ValueError` where a module does something only when it is called by itself."""
    for name, module in network.named_modules():
        if "forward" in vars(module) or any(getattr(module, hooks) for hooks in _HOOKS):
            raise ValueError(
                f"{_place(name)} ({type(module).__name__}) has hooks or a forward of its own, "
                "which are not called when all timesteps run at once. Remove them (pruning: "
                "torch.nn.utils.prune.remove; weight_norm: take the one of "
                "torch.nn.utils.parametrizations), or use backend='snntorch'"
            )


def _flat(sequential: nn.Sequential, path: str) -> Iterator[Module]:
    """Yield the modules of nested `torch.nn.Sequential`, in order."""
    # Not named_children, which leaves out a module that comes a second time.
    for name, module in zip(sequential._modules, sequential, strict=True):
        place = f"{path}{_step(name)}"
        if _is(module, nn.Sequential):
            yield from _flat(module, place)
        else:
            yield place, module


def _place(name: str) -> str:
    return "network" + "".join(_step(part) for part in name.split(".") if part)


def _step(name: str) -> str:
    return f"[{name}]" if name.isdecimal() else f".{name}"


def _is(module: nn.Module, *kinds: type[Kind]) -> TypeGuard[Kind]:
    """Return whether a module does what one of the classes does; a subclass may do otherwise."""
    return any(isinstance(module, k) and type(module).forward is k.forward for k in kinds)


def _check_memoryless(path: str, module: nn.Module, also: tuple[type[nn.Module], ...]) -> None:
    kind = type(module).__name__
    if isinstance(module, LazyModuleMixin):
        raise ValueError(
            f"{path} is {kind}, which has no weights yet: call the network once before"
        )
    if not _is(module, *MEMORYLESS, *also):
        raise TypeError(f"{path} is {kind}, and accelerate runs {_KNOWN}. {_advice(module)}")
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
        raise ValueError(
            f"{path} flattens dimensions {module.start_dim} to {module.end_dim}, and accelerate "
            "runs nn.Flatten(1, -1), all but the batch"
        )
    if getattr(module, "return_indices", False):
        raise ValueError(f"{path} is {kind} with return_indices=True: make it without")


def _advice(module: nn.Module) -> str:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return (
            "Of a trained network, fuse it into the layer before it: torch.nn.utils.fusion has "
            "fuse_conv_bn_eval and fuse_linear_bn_eval"
        )
    if isinstance(module, snntorch.SpikingNeuron):
        return "Use snntorch.Leaky, or step this network with snnTorch"
    return "Make the network without it, or step it with snnTorch"


def _check_neuron(path: str, leaky: Any) -> None:
    """Refuse the options that give a neuron other dynamics than `spikemnist.ops.leaky` has."""
    factor = leaky.graded_spikes_factor
    known = not factor.is_meta and not torch.compiler.is_compiling()
    refused = {
        "inhibition=True": leaky.inhibition,
        "state_quant": leaky.state_quant,
        "learn_graded_spikes_factor=True": isinstance(factor, nn.Parameter),
        "graded_spikes_factor other than 1": known and bool((factor != 1).any()),
        "reset_delay=False": not leaky.reset_delay,
        "a state_function of its own": _has_mechanisms() and _mechanism(leaky) is None,
    }
    for option, given in refused.items():
        if given:
            raise ValueError(
                f"{path} is a snntorch.Leaky with {option}, which accelerate cannot run: make it "
                "without, or step the network with snnTorch"
            )
    if _has_mechanisms() and leaky.reset_mechanism != _mechanism(leaky):
        raise ValueError(
            f"{path} has reset_mechanism={leaky.reset_mechanism!r}, but was made with "
            f"{_mechanism(leaky)!r}, which snnTorch goes on with: make a new snntorch.Leaky"
        )


def _has_mechanisms() -> bool:
    """Return whether this snnTorch has the functions that `_mechanism` looks for."""
    return all(hasattr(snntorch.Leaky, name) for name in _MECHANISMS)


def _mechanism(leaky: snntorch.Leaky) -> str | None:
    """Return the reset that a neuron performs, or None when it is none of snnTorch's."""
    function = getattr(leaky.state_function, "__func__", None)
    for name, mechanism in _MECHANISMS.items():
        if function is not None and function is getattr(snntorch.Leaky, name, None):
            return mechanism
    return None


def _check_new(path: str, leaky: snntorch.Leaky, stages: Sequence[Stage]) -> None:
    for stage in stages:
        if stage.leaky is leaky:
            raise ValueError(
                f"{path} and {stage.path} are the same snntorch.Leaky, whose membrane snnTorch "
                "would share between them: make one for each place"
            )


def _check_input(path: str, module: nn.Module, shape: Sequence[int]) -> None:
    """Refuse a sample that a module would take for something else, or not at all."""
    if isinstance(module, nn.Linear) and tuple(shape) != (module.weight.shape[1],):
        raise ValueError(
            f"{path} takes {module.weight.shape[1]} features of each sample at each timestep; got "
            f"shape {tuple(shape)}" + (": put nn.Flatten() before it" if len(shape) > 1 else "")
        )
    if isinstance(module, nn.Conv2d) and len(shape) != 3:
        raise ValueError(
            f"{path} takes spikes [T, B, C, H, W]; a timestep of a sample has the shape "
            f"{tuple(shape)} instead of [C, H, W]"
        )
    if isinstance(module, nn.Conv2d) and shape[0] != module.groups * module.weight.shape[1]:
        raise ValueError(
            f"{path} takes {module.groups * module.weight.shape[1]} channels; a timestep of a "
            f"sample has the shape {tuple(shape)}, [C, H, W]"
        )
