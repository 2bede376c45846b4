"""A layer of a network: memoryless modules and the leaky neurons after them.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
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

Weights = tuple["Tensor", "Tensor | None"]
"""Weights and bias of a layer."""


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
    def takes_spikes(self) -> bool:
        """Whether the engine feeds packed spikes to the weights.

        They are those of a `torch.nn.Linear` behind modules in `PASSED_BY` only. A batch
        normalisation behind it is folded in, outside of training.
        """
        dense = self._dense
        return dense is not None and (dense[1] is None or _is_fixed(dense[1]))

    def weights(self) -> Weights:
        """Return weights and bias of a layer that takes packed spikes."""
        assert self._dense is not None
        linear, norm = self._dense
        own = linear.weight, linear.bias
        return own if norm is None else fold(*own, norm)

    @cached_property
    def _dense(self) -> tuple[nn.Linear, nn.BatchNorm1d | None] | None:
        """Weights of a layer that may take packed spikes, and the normalisation behind; or None."""
        modules: list[Any] = [module for _, module in self.modules]
        norm = modules.pop() if modules and isinstance(modules[-1], nn.BatchNorm1d) else None
        if not modules or not isinstance(modules[-1], nn.Linear):
            return None
        *before, linear = modules
        return (linear, norm) if all(isinstance(one, PASSED_BY) for one in before) else None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of the modules and the neurons."""
        modules = (self.leaky, *(module for _, module in self.modules))
        return [parameter for module in modules for parameter in module.parameters()]

    @property
    def dropout(self) -> float:
        """Current probability of dropping an input: 0 outside training."""
        kept = 1.0
        for _, module in self.modules:
            if not isinstance(module, PASSED_BY):
                break
            if isinstance(module, nn.Dropout) and module.training:
                kept *= 1 - module.p
        return 1 - kept

    @property
    def is_random(self) -> bool:
        """Whether a dropout of the layer is active now."""
        return any(isinstance(m, nn.Dropout) and m.p and m.training for _, m in self.modules)

    def current(
        self,
        signal: Tensor,
        dtype: torch.dtype,
        engine: ModuleType | None = None,
    ) -> Tensor:
        """Return the current of all timesteps, ``[T, B, ...]``, computed in one batch.

        The current of an input that is the same at each timestep is computed once, ``[1, B, ...]``,
        unless dropout makes the timesteps differ, or each needs its gradient. ``engine`` convolves
        images and applies dropout.
        """
        constant = is_constant(signal) and not self.is_random and not signal.requires_grad
        steps = signal[:1] if constant else signal
        frames = steps.flatten(0, 1).to(dtype)
        modules = self.modules
        if engine is not None and frames.dim() == 4:  # the fastest layout on the CPU
            frames = frames.to(memory_format=torch.channels_last)
        if self.dropout:  # before the weights, with one mask
            before = list(itertools.takewhile(lambda one: isinstance(one[1], PASSED_BY), modules))
            others = [one for one in before if not isinstance(one[1], nn.Dropout)]
            frames, modules = self._pass(frames, others), modules[len(before) :]
            frames = _drop(frames, self.dropout, engine)
        current = self._pass(frames, modules, engine)
        return current.reshape(*steps.shape[:2], *current.shape[1:])

    def _pass(
        self,
        signal: Tensor,
        modules: Sequence[Module],
        engine: ModuleType | None = None,
    ) -> Tensor:
        folded = None
        followers = [*(module for _, module in modules[1:]), None]
        for (path, module), after in zip(modules, followers, strict=False):
            check_input(path, module, signal.shape[1:])
            if module is folded:
                continue
            if isinstance(module, nn.Dropout):
                # Never in place, even if the module is set so: the signal belongs to the caller.
                signal = _drop(signal, module.p if module.training else 0.0, engine)
            elif isinstance(module, nn.Flatten):
                signal = signal.flatten(1)  # torch.export finds no module for it in `LeakyMLP`
            elif engine is not None and isinstance(module, nn.Conv2d) and _is_plain(module):
                weight: Tensor = module.weight
                bias = module.bias
                if isinstance(after, nn.BatchNorm2d) and _is_fixed(after):
                    folded = after
                    weight, bias = fold(weight, bias, after)
                signal = engine.convolve(signal, weight, bias, module.stride, module.padding)
            else:  # layers of one network may differ in their dtype
                own = getattr(module, "weight", None)
                signal = module(signal if own is None else signal.to(own.dtype))
        return signal

    def params(
        self,
        shape: Sequence[int],
        dtype: torch.dtype,
        initial: Tensor | None,
        *,
        weights: Weights | None = None,
        dropout: float = 0.0,
        channels_last: bool = False,
    ) -> LayerParams:
        """Return the parameters of the layer for neurons of a ``shape``, without batch.

        ``weights`` are those of a layer that takes packed spikes. Neurons are numbered in the
        order of their axes, or of ``[H, W, C]`` for ``channels_last``.
        """
        if initial is not None:
            initial = _numbered(initial, channels_last=channels_last).to(dtype)
        weight, bias = (None, None) if weights is None else weights
        return LayerParams(
            weight=weight,
            bias=bias,
            beta=self._for_neurons("beta", shape, dtype, channels_last),
            threshold=self._for_neurons("threshold", shape, dtype, channels_last),
            reset_mechanism=self.leaky.reset_mechanism,
            spike_grad=ops.get_surrogate(self.leaky.spike_grad),
            initial=initial,
            dropout=dropout,
        )

    def _for_neurons(
        self, name: str, shape: Sequence[int], dtype: torch.dtype, channels_last: bool
    ) -> Tensor:
        """Return a parameter of the neurons as a scalar, or one number for each, ``[N]``."""
        value: Tensor = getattr(self.leaky, name).to(dtype)
        if not value.dim() or value.shape == tuple(shape[-1:]) == tuple(shape):
            return value
        try:
            return _numbered(value.broadcast_to((1, *shape)), channels_last=channels_last)[0]
        except RuntimeError:
            expected = f"a number or broadcast against its neurons, {tuple(shape)}"
            raise must_be(f"{name} of {self.path}", expected, value) from None

    def check_state(self, membrane: Tensor | None, shape: Sequence[int]) -> None:
        """Raise a `ValueError` unless an initial membrane has the shape ``[B, ...]``."""
        if membrane is not None and membrane.shape != tuple(shape):
            raise must_be(f"the state of {self.path}", f"of shape {tuple(shape)}", membrane)

    def shape_behind(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the neurons' shape in a dense layer; raise if the input does not fit."""
        assert self._dense is not None
        weight = self._dense[0].weight
        if tuple(shape) == weight.shape[1:]:
            return (weight.shape[0],)
        for path, module in self.modules:
            check_input(path, module, shape)
            if isinstance(module, nn.Flatten):
                shape = (math.prod(shape),)
            elif isinstance(module, nn.Linear):
                shape = (module.weight.shape[0],)
        return tuple(shape)


def _drop(signal: Tensor, probability: float, engine: ModuleType | None) -> Tensor:
    """Apply dropout, by the engine if it is given."""
    drop = drop_out if engine is None else engine.drop_out
    return drop(signal, probability)


def fold(
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


def _is_fixed(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    """Return whether a batch normalisation uses its running statistics now."""
    return not norm.training and norm.running_mean is not None


def neuron_shapes(
    layers: Sequence[SpikingLayer], sample_shape: Sequence[int], like: Tensor
) -> list[tuple[int, ...]]:
    """Return the shape of the neurons of each layer, for one sample at one timestep.

    ``like`` is a tensor that has the dtype and the device of the parameters.
    """
    shapes = []
    signal = like.new_zeros(1, *sample_shape)
    training = [m for layer in layers for _, m in layer.modules if m.training]
    with torch.no_grad():
        for module in training:  # or dropout would draw, and batch normalisation learn from zeros
            module.training = False
        try:
            for layer in layers:
                signal = layer._pass(signal, layer.modules)
                shapes.append(tuple(signal.shape[1:]))
        finally:
            for module in training:
                module.training = True
    return shapes


def _numbered(values: Tensor, *, channels_last: bool) -> Tensor:
    """Flatten neuron values ``[B, ...]`` to ``[B, N]``."""
    return (values.movedim(1, -1) if channels_last else values).flatten(1)


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


def _is_plain(module: nn.Conv2d) -> bool:
    """Return whether the engine's convolution supports all options of a module."""
    known = module.groups == 1 and module.dilation == (1, 1) and module.padding_mode == "zeros"
    return known and not isinstance(module.padding, str)
