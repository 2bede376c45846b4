"""Losses on spike times, snnTorch's losses, and what spikes cost, against closed forms.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import functional as SF  # noqa: N812 - as snnTorch's users write it
from torch import Tensor

from spikemnist.encoding import LatencyEncoder
from spikemnist.models import LeakyMLP, Record, first_spike_times
from spikemnist.training import (
    L1Spikes,
    Regularized,
    SnnTorchLoss,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    TargetRate,
    TrainConfig,
    cross_entropy,
    evaluate,
    fit,
)
from spikemnist.training.losses import Loss
from tests.strategies import SEEDS
from tests.training.small_runs import RANDOM, digits, new_classifier, new_network, same, weights


def trains(seed: int, steps: int, batch: int, classes: int, density: float) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    shape = (steps, batch, classes)
    return (torch.rand(shape, generator=random, dtype=torch.float64) < density).double()


TRAINS = st.builds(
    trains,
    SEEDS,
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


def record_of(spikes: Tensor) -> Record:
    return Record(spikes, spikes, spikes.sum(0), spikes.sum((0, 2)).long()[None], "first_spike", "")


def labels_for(spikes: Tensor) -> Tensor:
    return torch.arange(spikes.shape[1]) % spikes.shape[2]


def times_of(spikes: Tensor) -> np.ndarray:
    fired = spikes.numpy() > 0
    return np.where(fired.any(0), fired.argmax(0), len(fired)).astype(float)


@given(TRAINS)
def test_first_spike_times_and_their_gradient_are_exact(spikes: Tensor) -> None:
    assert np.array_equal(first_spike_times(spikes).numpy(), times_of(spikes))
    leaf = spikes.clone().requires_grad_()
    first_spike_times(leaf).sum().backward()
    for t in range(len(spikes)):
        with_it, without = spikes.clone(), spikes.clone()
        with_it[t], without[t] = 1, 0
        assert np.array_equal(leaf.grad[t].numpy(), times_of(with_it) - times_of(without))


@given(TRAINS, st.integers(0, 9), st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 3))
def test_the_distance_of_spike_times(
    spikes: Tensor, on: int, off: int | None, tolerance: int
) -> None:
    steps, labels = len(spikes), labels_for(spikes)
    loss = SpikeTimeMSE(on=on, off=off, tolerance=tolerance)
    if max(on, off or 0) > steps:
        with pytest.raises(ValueError, match=f"after the last timestep; got {steps} timesteps"):
            loss(record_of(spikes), labels)
        return
    target = np.full(spikes.shape[1:], float(steps if off is None else off))
    target[np.arange(len(labels)), labels] = on
    error = np.maximum(np.abs(times_of(spikes) - target) - tolerance, 0) / steps
    assert math.isclose(loss(record_of(spikes), labels), np.mean(error**2), abs_tol=1e-12)


@given(TRAINS, st.floats(0.1, 10))
def test_cross_entropy_of_spike_times(spikes: Tensor, tau: float) -> None:
    labels, logits = labels_for(spikes), -times_of(spikes) / tau
    chosen = logits[np.arange(len(labels)), labels]
    expected = np.mean(np.log(np.exp(logits).sum(1)) - chosen)
    loss = SpikeTimeCrossEntropy(tau)(record_of(spikes), labels)
    assert math.isclose(loss, expected, rel_tol=1e-9, abs_tol=1e-9)


@given(TRAINS, st.integers(1, 4))
def test_mean_spike_time_of_a_population(spikes: Tensor, size: int) -> None:
    """Neurons around a time cost what one neuron at that time does."""
    labels = labels_for(spikes)
    copies = spikes.repeat_interleave(size, -1)
    record = replace(record_of(copies), scores=spikes.sum(0))
    for loss in (SpikeTimeCrossEntropy(), SpikeTimeMSE()):
        assert math.isclose(loss(record, labels), loss(record_of(spikes), labels), abs_tol=1e-9)
    early, late = torch.eye(5, dtype=torch.float64)[[1, 3]]
    pair, single = torch.stack([early, late], 1)[:, None], torch.eye(5).double()[2][:, None, None]
    between = replace(record_of(pair), scores=torch.zeros(1, 1))
    on = SpikeTimeMSE(on=0)
    assert on(between, torch.tensor([0])) == on(record_of(single), torch.tensor([0]))


def test_cross_entropy_of_spike_times_is_that_of_the_readout() -> None:
    spikes = trains(0, 6, 3, 4, 0.2)
    model = LeakyMLP(
        (), in_features=4, out_features=4, threshold=0.2, readout="first_spike"
    ).double()
    record, labels = model(spikes), labels_for(spikes)
    assert torch.equal(SpikeTimeCrossEntropy()(record, labels), cross_entropy(record, labels))


def squared_distance(times: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of `SpikeTimeMSE`, five timesteps, with these targets."""
    targets = torch.where(torch.nn.functional.one_hot(labels, 3) > 0, 1, 5)
    return (((times - targets).abs() - 1).clamp(min=0) / 5).square().mean()


@pytest.mark.parametrize(
    ("loss", "of_times"),
    [
        (SpikeTimeMSE(on=1, tolerance=1), squared_distance),
        (
            SpikeTimeCrossEntropy(2.0),
            lambda times, labels: torch.nn.functional.cross_entropy(-times / 2, labels),
        ),
    ],
)
@pytest.mark.parametrize("height", [1.0, 2.0])
def test_gradients_through_spike_times(
    loss: Loss, of_times: Callable[[Tensor, Tensor], Tensor], height: float
) -> None:
    """The times are multilinear in spikes of 0 and 1; the height of a spike changes nothing."""
    spikes, labels = trains(0, 5, 2, 3, 0.3), torch.tensor([0, 2])
    leaf, plain = (height * spikes).requires_grad_(), spikes.clone().requires_grad_()
    expected = of_times((1 - plain).cumprod(0).sum(0), labels)
    value = loss(record_of(leaf), labels)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, leaf), torch.autograd.grad(expected, plain)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("loss", [SpikeTimeMSE(), SpikeTimeCrossEntropy()])
def test_a_silent_output_learns_to_fire(loss: SpikeTimeMSE | SpikeTimeCrossEntropy) -> None:
    """snnTorch's losses on spike times leave a silent neuron without a gradient."""
    spikes = torch.ones(6, 2, 4)
    model = LeakyMLP((), in_features=4, out_features=3, threshold=50.0)
    record = model(spikes)
    assert not record.spikes.any()
    loss(record, torch.tensor([0, 1])).backward()
    assert bool((model.layers[0].linear.bias.grad != 0).any())


@pytest.mark.parametrize("loss", [SpikeTimeMSE(on=1), SpikeTimeCrossEntropy(tau=0.5)])
def test_spike_times_can_be_learned(loss: SpikeTimeMSE | SpikeTimeCrossEntropy) -> None:
    encoder = LatencyEncoder(num_steps=8)
    classifier = new_classifier(encoder, readout="first_spike", hidden=(64,))
    fit(classifier, digits(1000), TrainConfig(loss=loss, epochs=12, lr=1e-2))
    evaluation = evaluate(classifier, digits(1000), loss=loss)
    assert evaluation.accuracy > 0.8
    assert evaluation.silent < 0.1


SNNTORCH = {
    "ce_rate_loss": ({}, "spikes"),
    "ce_count_loss": ({}, "spikes"),
    "ce_max_membrane_loss": ({}, "membrane"),
    "mse_count_loss": ({"correct_rate": 0.8, "incorrect_rate": 0.2}, "spikes"),
    "mse_membrane_loss": ({}, "membrane"),
    "ce_temporal_loss": ({}, "spikes"),
    "mse_temporal_loss": ({"on_target": 0, "off_target": -1, "tolerance": 1}, "spikes"),
}


def test_no_loss_of_snntorch_is_left_out() -> None:
    names = {name for name in vars(SF.loss) if name.startswith(("ce_", "mse_"))}
    assert names == set(SNNTORCH)


@pytest.mark.parametrize("name", SNNTORCH)
def test_each_loss_of_snntorch_trains(name: str) -> None:
    options, of = SNNTORCH[name]
    loss = SnnTorchLoss(getattr(SF, name)(**options), of=of)
    data = digits(100)
    classifier = new_classifier()
    record = classifier(data.images, generator=torch.Generator().manual_seed(0))
    direct = getattr(SF, name)(**options)(getattr(record, of), data.labels.clone())
    assert loss(record, data.labels).item() == direct.item()
    before = weights(classifier)
    history = fit(classifier, data, TrainConfig(loss=loss, epochs=1), progress=False)
    assert math.isfinite(history.epochs[0].loss)
    assert not same(before, weights(classifier))
    assert math.isfinite(evaluate(classifier, data, loss=loss).loss)


def test_the_labels_are_left_alone() -> None:
    def spoil(spikes: Tensor, labels: Tensor) -> Tensor:
        labels.zero_()
        return spikes.mean()

    labels = torch.tensor([1, 2])
    SnnTorchLoss(spoil)(record_of(trains(0, 3, 2, 3, 0.5)), labels)
    assert labels.tolist() == [1, 2]


@pytest.mark.parametrize("layers", ["hidden", "all"])
def test_penalties_are_what_their_formulas_say(layers: str) -> None:
    spikes, labels = RANDOM(digits(8).images), digits(8).labels
    record = new_network(hidden=(16, 9))(spikes, record="all")
    chosen = record.layers if layers == "all" else record.layers[:-1]
    fired = [layer.spikes.detach().double().numpy() for layer in chosen]
    l1 = 0.3 * sum(one.sum() for one in fired) / 8
    rate = 2 * sum(((one.mean((0, 1)) - 0.1) ** 2).mean() for one in fired)
    penalties = [L1Spikes(0.3, layers=layers), TargetRate(0.1, 2.0, layers=layers)]
    for penalty, expected in zip(penalties, (l1, rate), strict=True):
        assert math.isclose(penalty(record).item(), expected, rel_tol=1e-5)
    total = Regularized(cross_entropy, penalties)(record, labels).item()
    expected = cross_entropy(record, labels).item() + l1 + rate
    assert math.isclose(total, expected, rel_tol=1e-5)


def test_penalties_do_what_they_are_for() -> None:
    def spikes_with(loss) -> float:
        classifier = new_classifier(hidden=(32,))
        fit(classifier, digits(500), TrainConfig(loss=loss, epochs=5, lr=3e-3), progress=False)
        evaluation = evaluate(classifier, digits(500), loss=loss)
        return evaluation.spikes_per_sample["hidden 1"]

    freely = spikes_with(cross_entropy)
    assert spikes_with(Regularized(cross_entropy, [L1Spikes(5e-3)])) < 0.7 * freely
    expected = 0.02 * 32 * RANDOM.num_steps
    driven = spikes_with(Regularized(cross_entropy, [TargetRate(0.02, 50.0)]))
    assert abs(driven - expected) < 0.3 * abs(freely - expected)
