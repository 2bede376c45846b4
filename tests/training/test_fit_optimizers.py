"""Optimisers, learning-rate schedules and the clipping of gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from spikemnist.encoding import LatencyEncoder
from spikemnist.training import TrainConfig, fit
from spikemnist.training.optim import OPTIMIZERS, SCHEDULES, get_schedule, make_optimizer
from tests.training.small_runs import DIRECT, digits, new_classifier, new_network, weights

PROGRESS = st.floats(0, 1)


@pytest.mark.parametrize("name", SCHEDULES)
@given(progress=PROGRESS)
@example(progress=0.0)
@example(progress=1.0)
def test_a_schedule_is_a_factor_between_0_and_1(name, progress):
    assert 0 <= get_schedule(name)(progress) <= 1


@given(a=PROGRESS, b=PROGRESS)
def test_the_cosine_only_falls(a, b):
    low, high = sorted((a, b))
    cosine = get_schedule("cosine")
    assert cosine(low) >= cosine(high)
    assert cosine(a) + cosine(1 - a) == pytest.approx(1)


def test_one_cycle_is_that_of_torch():
    steps = 1001
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1, total_steps=steps, final_div_factor=1e12, cycle_momentum=False
    )
    one_cycle = get_schedule("one_cycle")
    for step in range(steps):
        # torch's cycle peaks at 0.3 * steps - 1 and ends at steps - 1.
        peak, end = 0.3 * steps - 1, steps - 1
        progress = 0.3 * step / peak if step <= peak else 0.3 + 0.7 * (step - peak) / (end - peak)
        assert one_cycle(progress) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        scheduler.step()


class Spy(torch.optim.SGD):
    """Notes the learning rate and the length of the gradient that each step really uses."""

    log: list[tuple[float, float]]

    def step(self, closure=None):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradients))
        Spy.log.append((self.param_groups[0]["lr"], norm))
        return super().step(closure)


@pytest.fixture(autouse=True)
def log():
    Spy.log = []
    return Spy.log


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_learning_rates_of_parameter_groups(schedule):
    """The schedule scales each; a group without one has that of the run."""
    rates = []

    def optimizer(parameters, lr):
        first, second, *others = parameters
        groups = [{"params": [first], "lr": 0.0}, {"params": [second], "lr": 0.5}]
        built = torch.optim.SGD([*groups, {"params": others}], lr=lr)
        note = lambda built, *_: rates.append([one["lr"] for one in built.param_groups])  # noqa: E731
        built.register_step_pre_hook(note)
        return built

    classifier = new_classifier(DIRECT)
    before = weights(classifier)
    config = TrainConfig(optimizer=optimizer, lr=0.02, epochs=2, batch_size=25, schedule=schedule)
    history = fit(classifier, digits(50), config)
    factors = [get_schedule(schedule)(batch / 4) for batch in range(4)]
    expected = [[0.0, 0.5 * factor, 0.02 * factor] for factor in factors]
    assert torch.tensor(rates).allclose(torch.tensor(expected))
    assert history.column("lr") == [row[1] for row in rates[1::2]]
    after = weights(classifier)
    changed = [not torch.equal(after[name], before[name]) for name, _ in named(classifier)]
    assert changed == [False, *[True] * (len(changed) - 1)]


def named(classifier):
    return classifier.network.named_parameters()


@pytest.mark.parametrize("schedule", [*SCHEDULES, lambda progress: 1 - progress / 2])
def test_the_schedule_sets_the_learning_rate_of_every_batch(schedule, log):
    config = TrainConfig(optimizer=Spy, lr=0.02, epochs=3, batch_size=16, schedule=schedule)
    history = fit(new_classifier(DIRECT), digits(50), config)
    factor = get_schedule(schedule)
    expected = [0.02 * factor((epoch + batch / 4) / 3) for epoch in range(3) for batch in range(4)]
    assert [lr for lr, _ in log] == pytest.approx(expected, rel=1e-12)
    assert history.column("lr") == [lr for lr, _ in log[3::4]]


def test_data_of_unknown_length_change_the_rate_once_an_epoch(log):
    class Batches:
        def __iter__(self):
            return digits(50).batches(16)

    config = TrainConfig(optimizer=Spy, lr=1.0, epochs=3, schedule=lambda progress: progress)
    fit(new_classifier(DIRECT), Batches(), config)
    assert [lr for lr, _ in log] == pytest.approx([0.0] * 4 + [1 / 3] * 4 + [2 / 3] * 4)


@pytest.mark.filterwarnings("ignore:training has moved the weights by")
@pytest.mark.parametrize("truncate", [None, 2])
def test_no_step_uses_a_gradient_longer_than_clip_norm(truncate, log):
    config = TrainConfig(optimizer=Spy, batch_size=16, truncate=truncate, lr=1e-6, epochs=1)
    fit(new_classifier(), digits(50), config)
    lengths = [norm for _, norm in log]
    clip = sorted(lengths)[1]
    log.clear()
    fit(new_classifier(), digits(50), replace(config, clip_norm=clip))
    clipped = [norm for _, norm in log]
    assert clipped == pytest.approx([min(norm, clip) for norm in lengths], rel=1e-3)
    assert max(clipped) <= clip * (1 + 1e-6)


def test_the_optimisers_by_name():
    network = new_network()
    assert set(OPTIMIZERS) == {"adam", "adamw", "sgd"}
    for name, kind in OPTIMIZERS.items():
        optimizer = make_optimizer(name, network, 0.01)
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["lr"] == 0.01
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        assert set(parameters) == set(network.parameters())
        decays = {"adamw": [0.01, 0.0]}.get(name, [0])  # the weights, and what does not decay
        assert [group["weight_decay"] for group in optimizer.param_groups] == decays
    assert make_optimizer("sgd", network, 0.01).param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_fused_optimisers_agree_with_the_plain_ones(name):
    options = {"momentum": 0.9} if name == "sgd" else {}
    plain = partial(OPTIMIZERS[name], fused=False, foreach=False, **options)
    results = []
    for optimizer in (name, plain):
        classifier = new_classifier(DIRECT).double()
        settings = {"epochs": 2, "batch_size": 16, "weight_decay": 0.01}
        fit(classifier, digits(50), TrainConfig(optimizer=optimizer, **settings))
        results.append(weights(classifier))
    for key, value in results[0].items():
        torch.testing.assert_close(value, results[1][key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", torch.optim.RMSprop])
def test_a_learned_beta_stays_within_its_range_and_can_return(optimizer):
    network = new_network(learn_beta=True)
    betas = [layer.leaky.beta for layer in network.layers]
    steps = make_optimizer(optimizer, network, lr=10.0)
    for gradient, end in ((1.0, 0.0), (-1.0, 1.0)):
        for beta in betas:
            beta.grad = torch.full_like(beta, gradient)
        for _ in range(9):
            steps.step()
        for beta in betas:
            assert 0 < beta < 1
            assert beta.item() == pytest.approx(end, abs=1e-6)


def test_learned_betas_at_their_bound_give_no_warning():
    """The code of latencies has so few spikes that its betas rise to 1."""
    classifier = new_classifier(LatencyEncoder(num_steps=8), learn_beta=True)
    fit(classifier, digits(), TrainConfig(epochs=3, batch_size=8, lr=0.05))
    assert max(layer.leaky.beta.item() for layer in classifier.network.layers) > 0.99
