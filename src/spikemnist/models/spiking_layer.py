"""A layer of a network: memoryless modules and the leaky neurons after them.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist._arguments import must_be
from spikemnist.ops.dropout import drop_out
from spikemnist.ops.dynamics import is_constant
from spikemnist.ops.layer import LayerParams

PASSED_BY = (nn.Flatten, nn.Identity, nn.Dropout)
"""Modules that packed spikes can pass on their way to a `torch.nn.Linear`."""

MEMORYLESS = (
    *PASSED_BY,
    nn.Linear,
    nn.Conv2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveAvgPool2d,
)
"""Modules that keep no state between timesteps."""

Module = tuple[str, nn.Module]
"""A module and its place in the network, such as ``network[3]``."""

Call = Callable[[Tensor, "Sequence[Module]"], "tuple[Tensor, Sequence[Module]]"]
"""Calls the first of some modules on frames, or more of them, and returns those that are left."""


def numbered(values: Tensor) -> Tensor:
    """Flatten neuron values ``[B, ...]`` to ``[B, N]``, in the order of their axes."""
    return values.flatten(1)


@dataclass(frozen=True, eq=False)  # not eq: the compiler of torch 2.8 hashes an unfinished one
class SpikingLayer:
    """Memoryless modules and the leaky neurons that integrate their output.

    Attributes
    ----------
    path : str
        Place of the neurons in the network.
    leaky : snntorch.Leaky
        The neurons.
    modules : tuple of (str, torch.nn.Module)
        The modules before them, in order, with their places.
    """

    path: str
    leaky: snntorch.Leaky
    modules: tuple[Module, ...]

    @property
    def linear(self) -> nn.Linear:
        """The `torch.nn.Linear` of a dense layer; an `AttributeError` for any other layer."""
        for _, module in self.modules:
            if isinstance(module, nn.Linear):
                return module
        raise AttributeError(f"the layer of {self.path} has no nn.Linear")

    @property
    def spike_grad(self) -> Callable[[Tensor], Tensor]:
        """The surrogate of the neurons; one of snnTorch's is ours with the same gradient."""
        return ops.get_surrogate(self.leaky.spike_grad)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the modules and the neurons."""
        modules = (self.leaky, *(module for _, module in self.modules))
        return [parameter for module in modules for parameter in module.parameters()]

    @property
    def dropout(self) -> float:
        """Current probability of dropping an input: 0 outside training."""
        keep = 1.0
        for _, module in self.modules:
            if not isinstance(module, PASSED_BY):
                break
            if isinstance(module, nn.Dropout) and module.training:
                keep *= 1 - module.p
        return 1 - keep

    @property
    def is_random(self) -> bool:
        """Whether a dropout of the layer is active now."""
        return any(isinstance(m, nn.Dropout) and m.p and m.training for _, m in self.modules)

    def current(self, signal: Tensor, dtype: torch.dtype, call: Call | None = None) -> Tensor:
        """Return the current of all timesteps, ``[T, B, ...]``, computed in one batch.

        The current of an input that is the same at each timestep is computed once, ``[1, B, ...]``,
        unless dropout makes the timesteps differ, or each needs its gradient. ``call`` is
        `call_first`, or does the same in another way.
        """
        constant = is_constant(signal) and not self.is_random and not signal.requires_grad
        steps = signal[:1] if constant else signal
        modules = self.modules
        if self.dropout:  # before the weights, with one mask
            before = list(
                itertools.takewhile(lambda place: isinstance(place[1], PASSED_BY), modules)
            )
            others = [place for place in before if not isinstance(place[1], nn.Dropout)]
            mask = ("dropout", nn.Dropout(self.dropout))
            modules = (*others, mask, *modules[len(before) :])
        current = run_modules(steps.flatten(0, 1).to(dtype), modules, call or call_first)
        return current.reshape(*steps.shape[:2], *current.shape[1:])

    def params(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        initial: Tensor | None,
        order: Callable[[Tensor], Tensor] = numbered,
        **inputs: Any,
    ) -> LayerParams:
        """Return the parameters of the layer for neurons of a ``shape``, without batch.

        ``order`` numbers the neurons; ``inputs`` are fields of `LayerParams` for the layer's input.
        """
        return LayerParams(
            **inputs,
            beta=self._for_neurons("beta", shape, dtype, order),
            threshold=self._for_neurons("threshold", shape, dtype, order),
            reset_mechanism=self.leaky.reset_mechanism,
            spike_grad=self.spike_grad,
            initial=None if initial is None else order(initial).to(dtype),
        )

    def _for_neurons(
        self,
        name: str,
        shape: Sequence[int],
        dtype: torch.dtype,
        order: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Return a parameter of the neurons as a scalar, or one number for each, ``[N]``."""
        value: Tensor = getattr(self.leaky, name).to(dtype)
        if not value.dim() or value.shape == tuple(shape[-1:]) == tuple(shape):
            return value
        try:
            return order(value.broadcast_to((1, *shape)))[0]
        except RuntimeError:
            expected = f"a number or broadcast against its neurons, {tuple(shape)}"
            raise must_be(f"{name} of {self.path}", expected, value) from None

    def check_state(self, membrane: Tensor | None, shape: Sequence[int]) -> None:
        """Raise a `ValueError` unless an initial membrane has the shape ``[B, ...]``."""
        if membrane is not None and membrane.shape != tuple(shape):
            raise must_be(f"the state of {self.path}", f"of shape {tuple(shape)}", membrane)


def call_first(frames: Tensor, modules: Sequence[Module]) -> tuple[Tensor, Sequence[Module]]:
    """Call the first of some modules; return its output, and the modules that are left."""
    (_, module), *left = modules
    if isinstance(module, nn.Dropout):
        # Never in place, even if the module is set so: the signal belongs to the caller.
        return drop_out(frames, module.p if module.training else 0.0), left
    if isinstance(module, nn.Flatten):
        return frames.flatten(1), left  # torch.export finds no module for it in `LeakyMLP`
    weight = getattr(module, "weight", None)  # layers of one network may differ in their dtype
    return module(frames if weight is None else frames.to(weight.dtype)), left


def run_modules(frames: Tensor, modules: Sequence[Module], call: Call = call_first) -> Tensor:
    """Return the output of memoryless modules, ``[N, ...]``, for inputs ``[N, ...]``."""
    while modules:
        path, module = modules[0]
        check_input(path, module, frames.shape[1:])
        frames, modules = call(frames, modules)
    return frames


def fold_norm(
    weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm1d | nn.BatchNorm2d
) -> tuple[Tensor, Tensor]:
    r"""Return weights and bias that do the work of a batch normalisation outside of training.

    .. math:: W' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} W, \quad
              b' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu) + \beta
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.affine:
        scale = norm.weight * scale
    shift = (-norm.running_mean if bias is None else bias - norm.running_mean) * scale
    if norm.affine:
        shift = shift + norm.bias
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), shift


def neuron_shapes(
    layers: Sequence[SpikingLayer], sample_shape: Sequence[int], template: Tensor
) -> list[tuple[int, ...]]:
    """Return the shape of the neurons of each layer, for one sample at one timestep.

    ``template`` is a tensor that has the dtype and the device of the parameters.
    """
    shapes = []
    signal = template.new_zeros(1, *sample_shape)
    training = [m for layer in layers for _, m in layer.modules if m.training]
    with torch.no_grad():
        for module in training:  # or dropout would draw, and batch normalisation learn from zeros
            module.training = False
        try:
            for layer in layers:
                signal = run_modules(signal, layer.modules)
                shapes.append(tuple(signal.shape[1:]))
        finally:
            for module in training:
                module.training = True
    return shapes


def check_input(path: str, module: nn.Module, shape: Sequence[int]) -> None:
    """Raise a `ValueError` if a module would reject or misread samples of this shape."""
    if isinstance(module, nn.Linear):
        _check_linear(path, module, shape)
    if isinstance(module, nn.Flatten) and len(shape) > 1 and module.end_dim not in (-1, len(shape)):
        raise ValueError(
            f"{path} flattens dimensions 1 to {module.end_dim}, but a timestep of a sample has the "
            f"shape {tuple(shape)}, and the kernels flatten all of it: write nn.Flatten()"
        )
    if not isinstance(module, nn.Conv2d):
        return
    if len(shape) != 3:
        raise ValueError(
            f"{path} takes spikes [T, B, C, H, W]; a timestep of a sample has the shape "
            f"{tuple(shape)} instead of [C, H, W]"
        )
    if shape[0] != module.groups * module.weight.shape[1]:
        raise ValueError(
            f"{path} takes {module.groups * module.weight.shape[1]} channels; a timestep of a "
            f"sample has the shape {tuple(shape)}, [C, H, W]"
        )


def _check_linear(path: str, linear: nn.Linear, shape: Sequence[int]) -> None:
    weight = linear.weight
    if tuple(shape) != weight.shape[1:]:
        raise ValueError(
            f"{path} takes {weight.shape[1]} features of each sample at each timestep; got "
            f"shape {tuple(shape)}" + (": put nn.Flatten() before it" if len(shape) > 1 else "")
        )
