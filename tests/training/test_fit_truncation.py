"""Truncated backpropagation through time, against a loop written out by hand.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from spikemnist.encoding import DirectEncoder, RateEncoder
from spikemnist.models import READOUTS
from spikemnist.training import cross_entropy
from spikemnist.training.backpropagation import backpropagate, backpropagate_truncated
from tests.pairs import named, pairs
from tests.training.small_runs import digits, new_network, same

STEPS = 7


def network(**options):
    options = {"hidden": (12, 9), "threshold": 0.2, "learn_beta": True, **options}
    return new_network(**{"learn_threshold": True, **options}).double()


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    spikes = RateEncoder(num_steps=STEPS)(digits(6).images, generator=generator)
    return spikes.to(dtype), digits(6).labels


def gradients(model):
    """Of every parameter; a threshold that nothing depends on has none, which is zero."""
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in model.named_parameters()
    }


def by_hand(model, spikes, labels, truncate):
    """Step the modules of snnTorch through one chunk after the other."""
    membranes = [torch.zeros(spikes.shape[1], width).double() for width in model.sizes.values()]
    for start in range(0, STEPS, truncate):
        chunk = spikes[start : start + truncate]
        membranes = [membrane.detach() for membrane in membranes]
        fired, potential = [], []
        for step in chunk:
            signal = step.flatten(1)
            for index, layer in enumerate(model.layers):
                signal, membranes[index] = layer.leaky(layer.linear(signal), membranes[index])
                signal = signal.double()
            fired.append(signal)
            potential.append(membranes[-1])
        score = model.readout(torch.stack(fired), torch.stack(potential))
        (functional.cross_entropy(score, labels) * len(chunk) / STEPS).backward()
    return gradients(model)


RESETS = ["subtract", "zero", "none"]


@pytest.mark.parametrize(
    "case",
    pairs(truncate=[1, 2, 3, 6, 7, 50], readout=[*READOUTS], reset=RESETS),
    ids=named,
)
def test_the_gradient_is_that_of_a_loop_over_chunks(case):
    """A chunk also resets after the spikes of the chunk before."""
    spikes, labels = batch()
    truncate, readout, reset = case.values()
    model, other = (network(readout=readout, reset_mechanism=reset) for _ in range(2))
    expected = by_hand(other, spikes, labels, truncate)
    backpropagate_truncated(model, spikes, labels, cross_entropy, truncate=truncate)
    result = gradients(model)
    assert result.keys() == expected.keys()
    for name, gradient in result.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-13, msg=name)
    assert any(bool(gradient.any()) for gradient in result.values())


@pytest.mark.parametrize("truncate", [STEPS, 1000])
@pytest.mark.parametrize("readout", READOUTS)
def test_one_chunk_is_no_truncation_bit_for_bit(truncate, readout):
    """The same operations in the same order: the weight of the only chunk is T/T = 1."""
    spikes, labels = batch(torch.float32)
    model, other = (new_network(readout=readout, learn_beta=True) for _ in range(2))
    reference, loss = backpropagate(model, spikes, labels, cross_entropy)
    options = {"truncate": truncate}
    record, same_loss = backpropagate_truncated(other, spikes, labels, cross_entropy, **options)
    assert same_loss == loss
    assert same(gradients(other), gradients(model))
    for name in ("spikes", "membrane", "scores", "spike_counts"):
        assert torch.equal(getattr(record, name), getattr(reference, name)), name


@pytest.mark.parametrize("truncate", [1, 3])
@pytest.mark.parametrize("readout", READOUTS)
def test_the_record_is_that_of_the_full_window(truncate, readout):
    spikes, labels = batch()
    model = network(readout=readout)
    expected = model(spikes)
    record, loss = backpropagate_truncated(model, spikes, labels, cross_entropy, truncate=truncate)
    assert torch.equal(record.spikes, expected.spikes)
    torch.testing.assert_close(record.membrane, expected.membrane)
    torch.testing.assert_close(record.scores, expected.scores)
    assert torch.equal(record.spike_counts, expected.spike_counts)
    assert record.sizes == expected.sizes
    assert loss == pytest.approx(float(cross_entropy(expected, labels).detach()))
    tensors = (record.spikes, record.membrane, record.scores)
    assert not any(tensor.requires_grad for tensor in tensors)
    assert not hasattr(record, "state")


class Held:
    """A tensor kept for a backward pass, and how many numbers are kept at once."""

    now = peak = 0

    def __init__(self, tensor):
        self.tensor = tensor
        Held.now += tensor.numel()
        Held.peak = max(Held.peak, Held.now)

    def __del__(self):
        Held.now -= self.tensor.numel()


def numbers_held(steps, truncate):
    Held.now = Held.peak = 0
    spikes = DirectEncoder(num_steps=steps)(digits(6).images).contiguous()
    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        backpropagate_truncated(
            new_network(), spikes, digits(6).labels, cross_entropy, truncate=truncate
        )
    return Held.peak


def test_the_graph_grows_with_the_chunk_and_not_with_the_window():
    assert numbers_held(40, truncate=2) == numbers_held(4, truncate=2)
    # Not 10 times: the weights are held once.
    assert numbers_held(40, truncate=20) > 4 * numbers_held(40, truncate=2)
