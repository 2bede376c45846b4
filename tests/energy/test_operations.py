"""Operations against their definition: every layer again with 0/1 copies of inputs and weights.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import functools
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikemnist.energy.operations import count, fan_out
from tests.energy.networks import IMAGE, networks
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

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
    """Yield each call of a layer with weights: where it is, and its input ``[B, ...]``."""
    record, stages = model(spikes, record="all"), model.spiking_layers()
    signals = [record.input, *(layer.spikes for layer in record.layers)]
    for index, (stage, whole) in enumerate(zip(stages, signals, strict=False)):
        for signal in whole.float():
            for _, module in stage.modules:
                if isinstance(module, (nn.Linear, nn.Conv2d)):
                    yield index, module, signal
                signal = module(signal)


@st.composite
def inputs(draw: st.DrawFn) -> Tensor:
    steps, batch = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    random = torch.Generator().manual_seed(draw(SEEDS))
    uniform = torch.rand((steps, batch, *IMAGE), generator=random)
    lit = uniform < draw(st.sampled_from([0.0, 0.3, 1.0]))
    kind = draw(st.sampled_from(["spikes", "signed", "grey"]))
    values = {
        "spikes": torch.ones_like(uniform),
        "grey": uniform,
        "signed": (uniform - 0.15).sign(),
    }
    return (lit * values[kind]).to(torch.uint8 if kind == "spikes" else torch.float32)


@pytest.mark.parametrize("name", NETWORKS)
@given(spikes=inputs())
def test_operations_are_those_of_the_definition(name: str, spikes: Tensor) -> None:
    model = NETWORKS[name]
    if name == "accelerated":
        spikes = spikes.unsqueeze(2)
    with torch.no_grad():
        record = model(spikes, record="all")
        found = count(model.spiking_layers(), record, {})
        expected = torch.zeros(3, len(found), dtype=torch.float64)
        for layer, module, signal in each_input(model, spikes):
            active = (signal != 0).float()
            effective = float(ones(module, dense=False)(active).sum())
            spiking = bool(((signal == 0) | (signal.abs() == 1)).all())
            expected[int(spiking), layer] += effective
            expected[2, layer] += float(ones(module, dense=True)(torch.ones_like(signal)).sum())
    for i, counts in enumerate(found):
        totals = [counts.macs.sum(), counts.acs.sum(), counts.dense.sum()]
        assert torch.equal(torch.stack(totals), expected[:, i])
        assert float(counts.spikes.sum()) == float(record.spike_counts[i].sum())
        membrane = record.layers[i].membrane.flatten(2)
        changed = sum(float((b != a).sum()) for a, b in pairwise(membrane))
        assert float(counts.updates.sum()) == membrane[0].numel() + changed


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_are_counted_by_themselves(name: str) -> None:
    model = NETWORKS[name]
    spikes = (torch.rand(3, 5, 1, *IMAGE, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    with torch.no_grad():
        together = count(model.spiking_layers(), model(spikes, record="all"), {})
        for b in range(5):
            alone = count(model.spiking_layers(), model(spikes[:, b : b + 1], record="all"), {})
            for one, all_ in zip(alone, together, strict=True):
                for field in ("macs", "acs", "dense", "updates", "spikes"):
                    assert torch.equal(getattr(one, field)[:, 0], getattr(all_, field)[:, b])
                assert float(one.seen) == float(all_.seen[b])


def test_inputs_are_seen_once() -> None:
    model = NETWORKS["mlp"]
    image = torch.zeros(1, 1, *IMAGE)
    image[..., 2, 3] = 1
    reached = float((model.layers[0].linear.weight[:, 15] != 0).sum())
    with torch.no_grad():
        (first, *_) = count(
            model.spiking_layers(), model(image.expand(7, 1, *IMAGE), record="all"), {}
        )
    assert float(first.seen) == reached
    assert float(first.acs.sum()) == 7 * reached


@pytest.mark.parametrize("width", [100, 5000])
def test_large_layers_are_counted_exactly(width: int) -> None:
    """Beyond 2**24 operations, single precision would round."""
    spikes = torch.ones(1, 1, width)
    from spikemnist.models import LeakyMLP

    with torch.no_grad():
        model = LeakyMLP(width, (), width - 1)
        model.layers[0].linear.weight.fill_(1)
        (counts,) = count(model.spiking_layers(), model(spikes, record="all"), {})
    assert float(counts.acs.sum()) == width * (width - 1)


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "circular"])
@pytest.mark.parametrize("zeros", [False, True])
def test_fan_out_is_what_one_input_causes(padding_mode: str, zeros: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, padding_mode=padding_mode)
    layer.weight.data *= torch.rand(layer.weight.shape) < 0.5
    found = fan_out(layer, (2, 5, 5), zeros=zeros)
    counting = ones(layer, dense=zeros)
    for place in range(50):
        one = torch.zeros(1, 50)
        one[0, place] = 1
        with torch.no_grad():
            assert float(found.flatten()[place]) == float(counting(one.view(1, 2, 5, 5)).sum())
