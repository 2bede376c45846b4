"""Count the operations of batches from the inputs, membranes and spikes of the layers.

The definitions are NeuroBench's (J. Yik et al., *The NeuroBench framework for benchmarking
neuromorphic computing algorithms and systems*, Nature Communications 16:1545, 2025). NeuroBench
computes them in a second pass of 0/1 copies of every layer for every timestep. Here each non-zero
input is weighted by its *fan-out*, the number of operations that it causes, which depends on the
weights alone. An input of zeros and ones costs ACs, any other one MACs, as there; but each sample
is judged by itself, where NeuroBench judges a batch: with batches of one sample both agree.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` inputs of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from spikemnist.energy.costs import NANOJOULE, Technology
from spikemnist.models.layer_table import LayerSummary, structure
from spikemnist.models.record import Record
from spikemnist.models.spiking_layer import SpikingLayer

Place = tuple[str, torch.Size]
"""The place of a module and the shape of its input."""

EXACT = 1 << 24
"""Whole numbers below this add up exactly in single precision."""


class Counts(NamedTuple):
    """Counts of a layer for each sample of a batch at each timestep, float64 ``[T, B]``.

    ``macs`` and ``acs`` are operations of non-zero weights and inputs, ``dense`` all operations,
    ``updates`` changes of a membrane and ``spikes`` spikes. ``ann_macs`` ``[B]`` are the
    operations of inputs that are non-zero at any timestep, counted once per input.
    """

    macs: Tensor
    acs: Tensor
    dense: Tensor
    ann_macs: Tensor
    updates: Tensor
    spikes: Tensor


class Tally:
    """Operations of the layers of a network, added up over Records.

    Parameters
    ----------
    layers : sequence of SpikingLayer
        Layers of a network in evaluation mode, whose weights stay the same.

    Attributes
    ----------
    fans : dict
        For each place of a module and input shape, the fan-out of each input, and the dense
        operations of all inputs.
    """

    def __init__(self, layers: Sequence[SpikingLayer]) -> None:
        self.layers, self.samples, self.steps = layers, 0, 0
        self.fans: dict[Place, tuple[Tensor, float]] = {}
        self.sums = [dict.fromkeys(Counts._fields, 0.0) for _ in layers]
        self.shapes: list[torch.Size] = []

    @property
    def synapses(self) -> int:
        """Number of connections whose weight is not zero."""
        return round(sum(float(fan.double().sum()) for fan, _ in self.fans.values()))

    def add(self, record: Record) -> list[Counts]:
        """Count the operations of a batch, recorded with ``record="all"``, and return them."""
        assert record.input is not None
        self.shapes = [layer.spikes.shape[2:] for layer in record.layers]
        self.steps, batch = record.spikes.shape[:2]
        self.samples += batch
        counts, signal = [], record.input
        for layer, output, sums in zip(self.layers, record.layers, self.sums, strict=True):
            synapses = self._synapses(layer, signal.to(output.membrane.dtype))
            changes = (output.membrane.diff(dim=0) != 0).flatten(2).sum(2)
            first = changes.new_full((1, batch), output.membrane[0, 0].numel())
            updates = _cpu(torch.cat((first, changes)))
            spikes = _cpu(torch.count_nonzero(output.spikes.flatten(2), 2))
            counts.append(Counts(*synapses, updates, spikes))
            for name, values in counts[-1]._asdict().items():
                sums[name] += float(values.sum())
            signal = output.spikes
        return counts

    def summaries(self, technology: Technology) -> list[LayerSummary]:
        """Return each layer with its operations, means over the samples."""
        summaries = []
        for row, layer, sums in zip(
            structure(self.layers, self.shapes), self.layers, self.sums, strict=True
        ):
            means: dict[str, Any] = {name: x / self.samples for name, x in sums.items()}
            opportunities = row.neurons * self.steps
            decays = opportunities * bool((layer.leaky.beta < 1).any())
            weights: list[Any] = [m.weight for _, m in layer.modules if is_weighted(m)]
            energy = technology.mac * (means["macs"] + decays) + technology.ac * means["acs"]
            summaries.append(
                replace(
                    row,
                    opportunities=opportunities,
                    decays=decays,
                    weights=sum(weight.numel() for weight in weights),
                    zero_weights=sum(int((weight == 0).sum()) for weight in weights),
                    energy=energy / NANOJOULE,
                    **means,
                )
            )
        return summaries

    def _synapses(
        self, layer: SpikingLayer, signal: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return MACs, ACs and dense operations of a layer, ``[T, B]``, ``ann_macs`` ``[B]``."""
        steps, batch = signal.shape[:2]
        macs, acs, dense = (torch.zeros((steps, batch), dtype=torch.float64) for _ in range(3))
        ann_macs = torch.zeros(batch, dtype=torch.float64)
        modules = layer.modules
        last = max((i for i, (_, module) in enumerate(modules) if is_weighted(module)), default=-1)
        signal = signal.flatten(0, 1)
        for i, (path, module) in enumerate(modules[: last + 1]):
            if is_weighted(module):
                shape = signal.shape[1:]
                inputs = signal.reshape(steps, batch, *shape)
                if (path, shape) not in self.fans:
                    total = float(fan_out(module, shape, zeros=True).sum())
                    self.fans[path, shape] = fan_out(module, shape), total
                fan, total = self.fans[path, shape]
                operations = _weigh(inputs != 0, fan)
                is_binary = ((inputs == 0) | (inputs.abs() == 1)).flatten(2).all(2).cpu()
                acs += torch.where(is_binary, operations, 0)
                macs += torch.where(is_binary, 0, operations)
                dense += total
                ann_macs += _weigh((inputs != 0).any(0)[None], fan)[0]
            if i < last:
                signal = module(signal)
        return macs, acs, dense, ann_macs


def is_weighted(module: nn.Module) -> bool:
    """Return whether a module has synapses."""
    return isinstance(module, (nn.Linear, nn.Conv2d))


def fan_out(module: nn.Module, shape: Sequence[int], *, zeros: bool = False) -> Tensor:
    """Return the number of operations that each input causes if it is non-zero, ``[*shape]``.

    Parameters
    ----------
    module
        A `torch.nn.Linear` or `torch.nn.Conv2d`. Padding does not count as input.
    shape
        Shape of a sample at one timestep.
    zeros
        Whether zero weights count as well.
    """
    assert isinstance(module, (nn.Linear, nn.Conv2d))
    with torch.inference_mode(mode=False), torch.enable_grad():
        weight = module.weight.detach()
        weight = (torch.ones_like(weight) if zeros else weight != 0).float()
        if isinstance(module, nn.Linear):
            return weight.sum(0)
        # A convolution is linear: the gradient of the sum of its outputs is a sum of weights.
        inputs = weight.new_zeros((1, *shape), requires_grad=True)
        total = nn.Conv2d._conv_forward(module, inputs, weight, None).sum()
        return torch.autograd.grad(total, inputs)[0][0]


def _weigh(active: Tensor, fan_out: Tensor) -> Tensor:
    """Return the operations ``[T, B]`` of active inputs ``[T, B, ...]``."""
    flat, weights = active.flatten(2), fan_out.flatten()
    if float(weights.sum()) < EXACT:
        return _cpu(flat.to(weights.dtype) @ weights)
    return flat.cpu().double() @ weights.cpu().double()


def _cpu(values: Tensor) -> Tensor:
    return values.cpu().double()
