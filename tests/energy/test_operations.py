"""Operations against their definition: every layer again with 0/1 copies of inputs and weights.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikemnist.energy.operations import Tally
from spikemnist.models import LeakyMLP
from tests.energy.networks import IMAGE, networks
from tests.strategies import SEEDS

NETWORKS = networks()


@functools.cache
def ones(module: nn.Module, *, dense: bool) -> nn.Module:
    """Return a copy of a layer with weights 1 where they are not zero, or everywhere."""
    copied = copy.deepcopy(module)
    with torch.no_grad():
        copied.weight.copy_((copied.weight != 0) | dense)
        if copied.bias is not None:
            copied.bias.zero_()
    return copied


def each_input(model: nn.Module, spikes: Tensor) -> Iterator[tuple[int, nn.Module, Tensor]]:
    """Yield each layer with weights: where it is, and its input ``[T * B, ...]``."""
    record = model(spikes, record="all")
    signals = [record.input, *(layer.spikes for layer in record.layers)]
    for index, (layer, all_steps) in enumerate(zip(model.layers, signals, strict=False)):
        signal = all_steps.flatten(0, 1)
        for _, module in layer.modules:
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                yield index, module, signal
            signal = module(signal)


@st.composite
def inputs(draw: st.DrawFn) -> Tensor:
    steps, batch = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    random = torch.Generator().manual_seed(draw(SEEDS))
    uniform = torch.rand((steps, batch, *IMAGE), generator=random)
    lit = uniform < draw(st.sampled_from([0.0, 0.3, 1.0]))
    kind = draw(st.sampled_from(["spikes", "signed", "grey", "mixed"]))
    mixed = uniform.clone()
    mixed[:, 0] = 1  # the first sample has spikes, beside grey ones
    values = {
        "spikes": torch.ones_like(uniform),
        "grey": uniform,
        "mixed": mixed,
        "signed": (uniform - 0.15).sign(),
    }
    return (lit * values[kind]).to(torch.uint8 if kind == "spikes" else torch.float32)


@pytest.mark.parametrize("name", NETWORKS)
@given(spikes=inputs())
def test_operations_by_definition(name: str, spikes: Tensor) -> None:
    model = NETWORKS[name]
    if name == "accelerated":
        spikes = spikes.unsqueeze(2)
    with torch.no_grad():
        record = model(spikes, record="all")
        counted = Tally(model.layers).add(record)
        expected = torch.zeros(3, len(counted), dtype=torch.float64)
        for layer, module, signal in each_input(model, spikes):
            effective = ones(module, dense=False)((signal != 0).float()).flatten(1).sum(1)
            spiking = ((signal == 0) | (signal.abs() == 1)).flatten(1).all(1)  # each by itself
            expected[0, layer] += effective[~spiking].sum()
            expected[1, layer] += effective[spiking].sum()
            expected[2, layer] += ones(module, dense=True)(torch.ones_like(signal)).sum()
    for i, counts in enumerate(counted):
        totals = [counts.macs.sum(), counts.acs.sum(), counts.dense.sum()]
        assert torch.equal(torch.stack(totals), expected[:, i])
        assert float(counts.spikes.sum()) == float(record.spike_counts[i].sum())
        membrane = record.layers[i].membrane.flatten(2)
        changed = sum(float((b != a).sum()) for a, b in pairwise(membrane))
        assert float(counts.updates.sum()) == membrane[0].numel() + changed


def test_inputs_seen_once() -> None:
    model = NETWORKS["mlp"]
    image = torch.zeros(1, 1, *IMAGE)
    image[..., 2, 3] = 1
    reached = float((model.layers[0].linear.weight[:, 15] != 0).sum())
    with torch.no_grad():
        record = model(image.expand(7, 1, *IMAGE), record="all")
        (first, *_) = Tally(model.layers).add(record)
    assert float(first.ann_macs) == reached
    assert float(first.acs.sum()) == 7 * reached


@pytest.mark.parametrize("width", [100, 5000])
def test_large_layers(width: int) -> None:
    """Single precision rounds whole numbers above 2**24."""
    spikes = torch.ones(1, 1, width)
    with torch.no_grad():
        model = LeakyMLP((), in_features=width, out_features=width - 1)
        model.layers[0].linear.weight.fill_(1)
        (counts,) = Tally(model.layers).add(model(spikes, record="all"))
    assert float(counts.acs.sum()) == width * (width - 1)
