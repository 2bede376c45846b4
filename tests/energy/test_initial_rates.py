"""`initialize` makes the layers fire at a rate, by their weights and nothing else."""

from __future__ import annotations

import re

import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune
from torch.utils.data import DataLoader, TensorDataset

from spikemnist import accelerate
from spikemnist.encoding import DirectEncoder, LatencyEncoder, RateEncoder
from spikemnist.energy.initial_rates import NORMS
from spikemnist.models import Classifier, LeakyConvNet
from spikemnist.training import TrainingWarning, initialize
from tests.strategies import SEEDS
from tests.training.small_runs import digits, fit_with, new_classifier, new_network, same, weights

IMAGES = digits(32).images
LATENCY, DIRECT = LatencyEncoder(num_steps=8), DirectEncoder(num_steps=8)


def rates(classifier, images=IMAGES):
    """Rate of each layer from its recorded spikes."""
    with torch.no_grad():
        layers = classifier(images, record="all").layers
    return {layer.name: float(layer.spikes.mean()) for layer in layers}


@settings(max_examples=25)
@given(
    seed=SEEDS,
    encoder=st.sampled_from([LATENCY, DIRECT]),
    depth=st.integers(1, 3),
    threshold=st.floats(3.0, 100.0),
    beta=st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 1.0]),
    reset=st.sampled_from(["subtract", "zero", "none"]),
    rate=st.floats(0.02, 0.2),
    readout=st.sampled_from(["mean_membrane", "max_membrane", "spike_count", "first_spike"]),
)
def test_layers_fire_at_the_rate(seed, encoder, depth, threshold, beta, reset, rate, readout):
    """Within 1 %, or within a jump: one more spike of one neuron, if all images agree on it.

    Thresholds are too high for biases to reach alone.
    """
    classifier = new_classifier(
        encoder,
        seed=seed,
        hidden=(24,) * depth,
        threshold=threshold,
        beta=beta,
        reset_mechanism=reset,
        readout=readout,
        backend="reference",
    )
    returned = initialize(classifier, IMAGES, rate=rate)
    measured = rates(classifier)
    assert returned == pytest.approx(measured, rel=1e-5)
    sizes = classifier.network.sizes
    if readout in ("mean_membrane", "max_membrane"):
        del sizes["output"]
    for name, neurons in sizes.items():
        assert abs(measured[name] - rate) <= 0.01 * rate + 1 / (8 * neurons), name


def test_a_random_code_fires_at_the_rate_for_other_draws_as_well():
    classifier = new_classifier(RateEncoder(num_steps=20), hidden=(64, 64), threshold=30.0)
    initialize(classifier, IMAGES, rate=0.1, seed=3)
    for _ in range(3):
        measured = rates(classifier)
        assert [measured["hidden 1"], measured["hidden 2"]] == pytest.approx([0.1, 0.1], rel=0.2)


def test_batch_normalisation_fires_at_the_rate_in_both_modes():
    torch.manual_seed(0)
    network = LeakyConvNet("4C5-P2-20-10", batch_norm=True, threshold=8.0)
    classifier = Classifier(network, DIRECT)
    before = weights(network)
    initialize(classifier, IMAGES, rate=0.1)
    learned = dict(network.named_parameters())
    changed = [name for name in learned if not same(weights(network)[name], before[name])]
    norm, dense = network.layers[0].modules[1][1], network.layers[1].linear
    assert [
        network.get_parameter(name) is own
        for name, own in zip(changed, (norm.weight, dense.weight), strict=True)
    ] == [True, True]
    for mode in (True, False):  # the statistics are those of the images
        measured = rates(classifier.train(mode))
        assert [measured["hidden 1"], measured["hidden 2"]] == pytest.approx([0.1, 0.1], rel=0.02)
    assert {norm.momentum for norm in network.modules() if isinstance(norm, NORMS)} == {0.1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_or_ctrl_c_undoes_all(error):
    network = LeakyConvNet("4C5-P2-20-10", batch_norm=True, threshold=8.0)
    before, calls = weights(network), []

    def fail_at_the_tenth(*_):
        calls.append(1)
        if len(calls) == 10:
            raise error

    network.register_forward_pre_hook(fail_at_the_tenth)
    with pytest.raises(error):
        initialize(Classifier(network, DIRECT), IMAGES)
    assert same(weights(network), before)
    assert {norm.momentum for norm in network.modules() if isinstance(norm, NORMS)} == {0.1}


@pytest.mark.filterwarnings("ignore:hidden 1 did not fire")
def test_an_output_behind_a_silent_layer_is_left_alone():
    network = new_network(hidden=(16,), threshold=[5.0, 1.0])
    with torch.no_grad():
        network.layers[0].linear.weight.zero_()
        network.layers[1].linear.bias.zero_()
    before = weights(network)
    with pytest.warns(TrainingWarning, match="layer 'hidden 1' cannot fire"):
        initialize(Classifier(network, LATENCY), IMAGES)
    assert same(weights(network), before)
    with pytest.warns(TrainingWarning, match="layer 'hidden 1' cannot fire"):
        fit_with(Classifier(network, LATENCY), digits(32), epochs=1, initial_rate=0.1)


def test_a_second_call_changes_nothing():
    classifier = new_classifier(LATENCY, hidden=(30, 30), threshold=5.0)
    initialize(classifier, IMAGES)
    before = weights(classifier)
    initialize(classifier, IMAGES)
    assert same(weights(classifier), before)


def test_second_call_of_a_layer_that_jumps():
    """One neuron and one image make 0 to 8 spikes, and so no rate of 0.2."""
    for seed in range(5):
        classifier = new_classifier(DIRECT, seed=seed, hidden=(1,), threshold=5.0)
        with torch.no_grad():
            classifier.network.layers[0].linear.weight.abs_()
        actual = initialize(classifier, IMAGES[:1], rate=0.2)
        assert actual["hidden 1"] == 0.25
        before = weights(classifier)
        initialize(classifier, IMAGES[:1], rate=0.2)
        for name, value in weights(classifier).items():
            torch.testing.assert_close(value, before[name], rtol=1e-4, atol=0)


def test_nothing_but_weights_changes():
    classifier = new_classifier(
        RateEncoder(num_steps=5),
        hidden=(16, 16),
        threshold=3.0,
        dropout=0.5,
        learn_beta=True,
        learn_threshold=True,
    )
    classifier.network.layers[0].linear.eval()
    loss = classifier(IMAGES).scores.sum()
    loss.backward()
    parameters = dict(classifier.named_parameters())
    gradients = [parameter.grad.clone() for parameter in parameters.values()]
    modes = [module.training for module in classifier.modules()]
    before, state = weights(classifier), torch.get_rng_state()
    initialize(classifier, IMAGES, rate=0.05)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in classifier.modules()] == modes
    after = weights(classifier)
    changed = [name for name in after if not same(after[name], before[name])]
    hidden = [layer.linear.weight for layer in classifier.network.layers[:2]]
    for name, weight in zip(changed, hidden, strict=True):
        assert parameters[f"network.{name}"] is weight
    for name, parameter in classifier.named_parameters():
        assert parameter is parameters[name]
        assert parameter.requires_grad
    assert same([parameter.grad for parameter in classifier.parameters()], gradients)
    for name in changed:  # a scale, so the weights keep their ratios
        ratio = after[name] / before[name]
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))
    classifier(IMAGES).scores.sum().backward()


@pytest.mark.parametrize(
    ("images", "options", "rate", "message"),
    [
        (torch.zeros_like(IMAGES), {"threshold": [0.3, 5.0, 1.0]}, 0.9, "0.9 .* too few spikes"),
        (IMAGES, {"threshold": [5.0, 1e-3, 1.0]}, 0.1, "its biases alone make more"),
        (IMAGES, {"threshold": 5.0, "beta": 0.0}, 0.99, "0.99 .* too few spikes"),
    ],
    ids=["black images", "biases alone", "a rate too high"],
)
def test_a_layer_that_cannot_reach_the_rate_keeps_its_weights(
    images, options, rate, message, recwarn
):
    classifier = new_classifier(LATENCY, hidden=(16, 16), **options)
    second = classifier.network.layers[1].linear.weight
    before = second.clone()
    initialize(classifier, images, rate=rate)
    (warning,) = [one for one in recwarn if "layer 'hidden 2' cannot fire" in str(one.message)]
    assert re.search(message, str(warning.message))
    assert warning.filename == __file__
    assert torch.equal(second, before)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
def test_pruned_weights_are_kept():
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 20),
        snntorch.Leaky(beta=0.9, threshold=0.1),
        nn.Linear(20, 20),
        snntorch.Leaky(beta=0.9, threshold=5.0),
        nn.Linear(20, 10),
        snntorch.Leaky(beta=0.9),
    )
    prune.random_unstructured(network[1], "weight", 0.5)
    classifier = Classifier(accelerate(network), LATENCY)
    before = weights(classifier)
    assert initialize(classifier, IMAGES)["hidden 2"] == pytest.approx(0.1, abs=0.01)
    changed = [name for name, value in weights(classifier).items() if not same(value, before[name])]
    assert changed == ["network.3.weight"]


def test_fit_starts_from_its_first_batch():
    """A batch of all images, whose order does not matter."""
    started, by_hand = (new_classifier(LATENCY, threshold=20.0) for _ in range(2))
    settings = {"epochs": 2, "batch_size": len(IMAGES)}
    random_state = torch.get_rng_state()
    fit_with(started, digits(32), initial_rate=0.2, **settings)
    assert torch.equal(torch.get_rng_state(), random_state)
    initialize(by_hand, IMAGES, rate=0.2)
    fit_with(by_hand, digits(32), **settings)
    assert same(weights(started), weights(by_hand))


def test_a_data_loader_gives_the_first_batch_and_every_epoch():
    data = digits(60)
    classifiers = [new_classifier(threshold=20.0) for _ in range(2)]
    for classifier in classifiers:
        loader = DataLoader(TensorDataset(data.images, data.labels), batch_size=20, shuffle=True)
        history = fit_with(classifier, loader, epochs=2, initial_rate=0.1)
        assert history.epochs[0].spikes_per_sample > 1
    assert same(*map(weights, classifiers))
