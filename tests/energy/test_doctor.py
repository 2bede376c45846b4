"""What the doctor says before training, and that it changes nothing."""

from __future__ import annotations

import copy
import re
import warnings
from dataclasses import dataclass, replace

import pytest
import snntorch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import pad
from torch.nn.utils import prune

from spikemnist.data import ImageDataset
from spikemnist.data.images import image_findings
from spikemnist.encoding import get_encoder
from spikemnist.energy import measure_energy, summary
from spikemnist.energy.doctor import layer_findings
from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP, accelerate
from spikemnist.ops import Sigmoid, Surrogate
from spikemnist.training import TrainConfig, diagnose, evaluate, fit
from tests.models.stepped_network import ENGINE
from tests.training.small_runs import FIELDS, digits, new_classifier, same, set_biases, weights

HEALTHY = {"hidden": (64,), "beta": 0.95}


def doctor(code="latency", config=None, **network):
    return diagnose(new_classifier(code, **{**HEALTHY, **network}), digits(64), config)


def test_a_healthy_network_has_no_findings():
    diagnosis = doctor()
    assert diagnosis.findings == ()
    assert diagnosis.learned == 1
    assert diagnosis.samples == 64
    assert "learned 100% of these images by heart, as it should: nothing is" in repr(diagnosis)
    assert all(
        layer.gradient_norm > 0 and layer.surrogate_share > 0.5 for layer in diagnosis.layers
    )


@pytest.mark.parametrize(
    ("network", "config", "finding", "learns"),
    [
        ({}, {"lr": 10.0}, "the learning rate 10 is too high; start with lr=0.01", None),
        ({}, {"lr": 1e-6}, "the learning rate 1e-06 is too low; start with lr=0.01", False),
        ({}, {"optimizer": "sgd", "clip_norm": 1e-6}, "clip_norm 1e-06 has cut gradients", False),
        ({}, {"weight_decay": 10.0}, "weight_decay 10 has shrunk the weights", False),
        ({}, {"spike_penalty": 10.0}, "with spike_penalty 10 spikes cost more than right", False),
        ({"threshold": 50.0}, {}, "hidden 1 is silent: its membranes reach 0.0", False),
        ({"threshold": 9.0, "beta": 0.1}, {}, "hidden 1 is silent: its membranes reach 0.", None),
        ({"threshold": 2.0, "spike_grad": "heaviside"}, {}, "hidden 1 is silent, and its", False),
    ],
)
def test_what_is_wrong_is_said(network, config, finding, learns):
    diagnosis = doctor("latency", TrainConfig(**config), **network)
    assert any(finding in text for text in diagnosis.findings), diagnosis.findings
    if learns is not None:
        assert (diagnosis.learned == 1) == learns
    assert all(f"- {text}" in repr(diagnosis) for text in diagnosis.findings)
    assert repr(diagnosis).endswith(f"it learned {diagnosis.learned:.0%} of these images by heart.")


@dataclass(frozen=True)
class Box(Surrogate):
    """The rectangle of STBP."""

    def derivative_(self, x):
        return x.copy_(x.abs() < 0.5)


BOX = {"hidden": (64,) * 3, "spike_grad": Box(), "beta": 0.25, "threshold": 0.75}
COUNT = {"readout": "spike_count"}
SGD = {"optimizer": "sgd"}


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize(
    ("network", "code", "config", "finding", "remedy"),
    [
        # A surrogate that is less than 1 at its maximum, in a deep network: SpikingJelly 160.
        (
            {"hidden": (64,) * 8, "spike_grad": Sigmoid(slope=1.0), "threshold": 1.0},
            ("direct", 4),
            {},
            "hidden 2 is silent",
            {"initial_rate": 0.1},
        ),
        # "Early death" of the neurons: STBP-for-training-SpikingNN 6.
        (BOX | COUNT, ("rate", 8), {}, "hidden 2 is silent", {"threshold": 0.25}),
        # No surrogate at all: snnTorch 33.
        (
            {"hidden": (64, 64), "spike_grad": "heaviside", "threshold": 0.5} | COUNT,
            ("latency", 8),
            {},
            'hidden 1 has almost no surrogate gradient: .*; start with spike_grad="atan"',
            {"spike_grad": "atan"},
        ),
        # One layer, each pixel fires once in 100 timesteps: SpikingJelly 311.
        (
            {"hidden": (), "beta": 0.5, "threshold": 1.0} | COUNT,
            ("latency", 100),
            {"lr": 1e-3} | SGD,
            "output is silent: .* threshold=0.2",
            {"threshold": 0.2},
        ),
        # The sigmoid of SpikingJelly by its name, which here has a slope of 25 in place of 4.
        (
            {"hidden": (64, 64), "spike_grad": "sigmoid", "threshold": 1.0} | COUNT,
            ("latency", 8),
            {},
            "hidden 1 is silent, and its surrogate reaches hardly a neuron: .* a smaller slope of",
            {"spike_grad": Sigmoid(4.0)},
        ),
        # The learning rate of an example, 0.1: SpikingJelly 338 and 402.
        (COUNT, ("rate", 8), {"lr": 0.1} | SGD, "too high; start with lr=0.01", {"lr": 0.01}),
        ({"threshold": 1.0}, ("latency", 8), {"lr": 1e-3} | SGD, "low; .* lr=0.1", {"lr": 0.1}),
    ],
)
def test_what_users_of_other_libraries_asked(network, code, config, finding, remedy):
    """Their settings are found, and the remedy that the finding names helps."""
    encoder = get_encoder(code[0], num_steps=code[1])
    (text,) = doctor(encoder, TrainConfig(**config), **network).findings
    assert re.search(finding, text), text
    settings = {name: value for name, value in remedy.items() if name in FIELDS}
    changes = {name: value for name, value in remedy.items() if name not in FIELDS}
    assert doctor(encoder, TrainConfig(**config | settings), **network | changes).learned > 0.7


BATCH = digits(64)
EQUAL = digits(400)[digits(400).labels == 3]


@pytest.mark.parametrize(
    ("data", "config", "network", "findings"),
    [
        (BATCH, {"label_smoothing": 0.99}, {}, ()),
        (BATCH, {}, {"dropout": 0.99}, ()),
        ((BATCH.images[:1].expand(64, 28, 28), BATCH.labels), {}, {}, ()),
        (EQUAL, {}, {}, ("all labels are equal: give samples of each class, in random order",)),
    ],
)
def test_silence_that_is_over(data, config, network, findings):
    """A layer that is silent at first is no cause where training wakes it."""
    classifier = new_classifier("latency", hidden=(64,), threshold=1.0, **network)
    diagnosis = diagnose(classifier, data, TrainConfig(**config))
    assert (diagnosis.layers[0].spikes, diagnosis.findings) == (0, findings)


def test_layer_that_training_wakes():
    diagnosis = doctor(hidden=(512,), threshold=[5.0, 1.0])
    assert diagnosis.findings == ()
    woken, result = diagnosis.conclusion.splitlines()
    assert woken.startswith("hidden 1, output: silent before training, awake after it")
    assert result.endswith("nothing is wrong.")


def test_two_hidden_neurons_are_too_few_without_a_cause():
    diagnosis = doctor(hidden=(2,))
    assert (diagnosis.findings, diagnosis.learned < 0.9) == ((), True)
    assert diagnosis.conclusion.endswith("by heart, and no cause was found.")


def test_a_silent_output_that_is_right():
    """The accuracy is right and no output neuron fires: snn_toolbox 61."""
    diagnosis = doctor(threshold=[0.3, 1e6])
    assert (diagnosis.findings, diagnosis.learned, diagnosis.layers[1].spikes) == ((), 1, 0)


def test_black_images_are_no_input():
    black = digits(64).images * 0, digits(64).labels
    finding, cause = diagnose(new_classifier("latency"), black).findings
    assert finding.startswith("hidden 1 has no input")
    assert cause.startswith("most images are black")
    assert finding.endswith("start with brighter images, or new weights")


def test_the_values_that_are_proposed_wake_the_layer():
    """At the threshold, a tenth of the neurons fires for an image; at the rate, ten times less."""
    (finding,) = doctor(threshold=50.0).findings
    rate, threshold = re.search(
        r"start with initial_rate=(\S+), or threshold=(\S+)$", finding
    ).groups()
    classifier = new_classifier("latency", **HEALTHY, threshold=float(threshold))
    record = classifier.network(classifier.encode(digits(64).images), record="all")
    assert (record.layers[0].spikes.sum(0) > 0).float().mean() == pytest.approx(0.1, abs=0.03)
    woken = doctor(config=TrainConfig(initial_rate=float(rate)), threshold=50.0)
    assert woken.findings == ()
    assert woken.layers[0].spikes == pytest.approx(float(rate) * 64 * 8, rel=0.02)
    assert woken.learned == 1


def test_names_of_classes_that_the_data_lack():
    data = digits(64)
    few = data[data.labels < 2]
    diagnose(Classifier(new_classifier().network, "latency", tuple("abcdefghij")), few)


def test_a_saturated_layer():
    classifier = new_classifier(reset_mechanism="none")
    set_biases(classifier, 100)
    finding, *_ = diagnose(classifier, digits(64)).findings
    assert finding.startswith("100% of the neurons of hidden 1 fire at every timestep: its membr")


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_diagnosis_changes_nothing(batch_norm):
    classifier = new_classifier(batch_norm=batch_norm, dropout=0.5).eval()
    classifier(digits(8).images).scores.sum().backward()
    before, random = weights(classifier), torch.get_rng_state()
    gradients = copy.deepcopy([p.grad for p in classifier.parameters()])
    first, second = (diagnose(classifier, digits(64)) for _ in range(2))
    assert first == second
    summary(classifier, digits(8).images)
    assert same(weights(classifier), before)
    assert same([p.grad for p in classifier.parameters()], gradients)
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in classifier.modules())


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
def test_a_network_that_cannot_be_copied():
    """A pruned weight, and a membrane of an earlier call, hold the graph that made them."""
    network = new_classifier().network
    prune.random_unstructured(network.layers[0].linear, "weight", 0.5)
    own = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 10), snntorch.Leaky(beta=0.9, init_hidden=True)
    )
    own(torch.ones(2, 1, 28, 28))
    for classifier in (Classifier(network, "latency"), Classifier(accelerate(own), "latency")):
        diagnose(classifier, digits(64))
        history = fit(classifier, digits(64), TrainConfig(epochs=1))
        assert history.epochs[0].loss > 0


@pytest.mark.parametrize("network", [LeakyMLP, LeakyConvNet])
def test_the_table_is_that_of_the_record_and_of_the_energy(network):
    torch.manual_seed(0)
    classifier = Classifier(network(threshold=0.3), "latency").eval()
    table = summary(classifier, digits(32).images)
    energy = measure_energy(classifier, digits(32))
    record = classifier(digits(32).images)
    for layer, operations, spikes in zip(
        table.layers, energy.layers, record.spike_counts.double().mean(1), strict=True
    ):
        assert layer.name == operations.name
        assert (layer.macs, layer.acs) == (operations.macs, operations.acs)
        assert layer.spikes == pytest.approx(operations.spikes) == pytest.approx(float(spikes))
    assert sum(layer.energy for layer in table.layers) == pytest.approx(energy.snn.total / 1000)
    assert sum(layer.parameters for layer in table.layers) == table.parameters


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize(
    ("spike_grad", "backend", "known"),
    [
        ("atan", "auto", True),
        (torch.sigmoid, "reference", True),
        (torch.sigmoid, "auto", not ENGINE),
    ],
)
def test_a_surrogate_that_the_kernels_do_not_know(spike_grad, backend, known):
    """The table says so, where kernels would run the network otherwise."""
    classifier = new_classifier(spike_grad=spike_grad, backend=backend)
    text = "runs on the reference backend: the kernels do not know the surrogate <"
    for table in (summary(classifier, digits(8).images), diagnose(classifier, digits(64))):
        assert (text not in str(table)) == known == (table.fallback is None)


def test_the_norms_are_those_of_the_backward_pass():
    classifier = new_classifier(hidden=(16,))
    diagnosis = diagnose(classifier, digits(64), TrainConfig(lr=1e-3))
    for row, layer in zip(diagnosis.layers, classifier.network.layers, strict=True):
        squares = sum(p.detach().square().sum() for p in layer.linear.parameters())
        assert row.weight_norm == pytest.approx(float(squares.sqrt()), rel=1e-5)
        assert row.gradient_norm > 0


@pytest.mark.parametrize(("share", "findings"), [(0.5, 0), (0.51, 1)])
def test_a_layer_of_which_half_is_saturated(share, findings):
    layer, _ = summary(new_classifier(), digits(16).images).layers
    assert len([*layer_findings([replace(layer, saturated=share)], {"hidden 1"})]) == findings


OUTPUTS = "the network has {} outputs, the data have {} classes: if a group of outputs"


@pytest.mark.parametrize("outputs", [19, 20, 500])
def test_outputs_without_names_that_are_twice_the_classes(outputs, recwarn):
    """A population of outputs for each class would be judged by its largest output."""
    warnings.simplefilter("always")
    message, bad = OUTPUTS.format(outputs, 10), outputs > 19
    classifier, data = new_classifier(out_features=outputs), digits(160)
    assert any(message in text for text in diagnose(classifier, data).findings) == bad
    for test in (data, (data.images, data.labels), list(data.batches(40))):
        recwarn.clear()
        evaluate(classifier, test, progress=False)
        assert [str(one.message).startswith(message) for one in recwarn] == [True] * bad
        assert all(f"pass population={outputs // 10} to the" in str(one.message) for one in recwarn)
    if outputs == 20:
        grouped = new_classifier(out_features=10, population=2)
        assert not any(message in text for text in diagnose(grouped, data).findings)
    classifier.classes = tuple(map(str, range(outputs)))  # each output stands for something
    assert not any(message in text for text in diagnose(classifier, data).findings)


def test_few_images_do_not_show_the_number_of_classes():
    images, labels = digits(400).images, digits(400).labels
    evaluate(new_classifier(), (images[labels == 3], labels[labels == 3]), progress=False)
    low = labels < 2
    evaluate(new_classifier(), (images[low][:31], labels[low][:31]), progress=False)
    with pytest.warns(UserWarning, match=OUTPUTS.format(10, 2)):
        evaluate(new_classifier(), (images[low][:32], labels[low][:32]), progress=False)


@given(st.lists(st.integers(0, 255), max_size=6))
def test_images_are_dark_by_their_brightest_pixel(pixels):
    def images(factor=1):
        values = torch.tensor([pixels], dtype=torch.uint8) * factor
        return ImageDataset(values, torch.zeros(1).long())

    highest = max(pixels, default=0)
    actual = [text for text in image_findings(images()) if "black" not in text]
    assert len(actual) == (0 < highest <= 64)
    for text in actual:
        factor = int(re.search(rf"up to {highest} of 255: multiply them by (\d+)$", text)[1])
        assert highest * factor <= 255 < highest * (factor + 1)
        assert not [*image_findings(images(factor))]


def test_dark_images():
    data = digits(160)
    dark = ImageDataset(data.images // 16, data.labels)
    text = "the images are dark, up to 15 of 255: multiply them by 17"
    assert text in diagnose(new_classifier(), dark).findings


@pytest.mark.parametrize(
    "grey",
    [
        lambda x: x,
        lambda x: 0.2 + 0.8 * x,  # a light background, and lighter strokes
        lambda x: 0.8 + 0.2 * x,
        lambda x: torch.ones_like(x),
        lambda x: pad(x[:, 1:-1, 1:-1], (1, 1, 1, 1), value=1.0),  # a white frame
        lambda x: torch.rand(x.shape, generator=torch.Generator().manual_seed(0)),
        lambda x: torch.rand((20, 5, 4), generator=torch.Generator().manual_seed(0)).repeat(
            5, 1, 1
        ),
        lambda x: torch.cat([1 - x[:80], x[80:]]),
    ],
)
def test_other_images_are_no_dark_strokes(grey):
    data = digits(100)
    assert not [*image_findings(ImageDataset(grey(data.images.float() / 255), data.labels))]
