"""`evaluate` against a slow computation, sample by sample and step by step.

Shapes: ``T`` timesteps, ``C`` classes.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spikemnist.encoding import DirectEncoder, LatencyEncoder
from spikemnist.models import Classifier, Record
from spikemnist.models.readout import mean_membrane
from spikemnist.ops import select_backend
from spikemnist.training import SpikeTimeMSE, evaluate
from tests.models.stepped_network import STEPPED
from tests.training.small_runs import Watched, digits, new_classifier, new_network

READOUTS = ["mean_membrane", "max_membrane", "spike_count", "first_spike"]
LATENCY = LatencyEncoder(num_steps=6)
DIRECT = DirectEncoder(num_steps=5)


def network(**options):
    """Float64, so that no sample lies within rounding of another decision.

    Without a bias that drives one class whatever the image is.
    """
    made = new_network(**{"hidden": (14, 11), "threshold": 0.25, **options}).double()
    nn.init.zeros_(made.layers[-1].linear.bias)
    return made


def latency(**options):
    return Classifier(network(**options), LATENCY)


def score(readout, spikes, membrane):
    """The class scores ``[C]`` after some steps, from lists ``[T][C]``."""
    steps, classes = len(spikes), range(len(spikes[0]))
    if readout == "mean_membrane":
        return [math.fsum(u[c] for u in membrane) / steps for c in classes]
    if readout == "max_membrane":
        return [max(u[c] for u in membrane) for c in classes]
    if readout == "spike_count":
        return [sum(s[c] for s in spikes) for c in classes]
    first = [[t for t in range(steps) if spikes[t][c]] for c in classes]
    return [-(times[0] if times else steps) for times in first]


def decide(values, membrane):
    """The best class, and of several best ones that with the highest mean membrane."""
    leaders = [c for c, value in enumerate(values) if value == max(values)]
    return max(leaders, key=lambda c: math.fsum(u[c] for u in membrane)), len(leaders)


def by_hand(classifier, data):
    """Every figure of an Evaluation."""
    network = classifier.network
    names = ["input", *network.sizes]
    fired = dict.fromkeys(names, 0)
    confusion = [[0] * 10 for _ in range(10)]
    loss, silent, tied = 0.0, 0, 0
    correct = [0] * classifier.encoder.num_steps
    for index in range(len(data)):
        image, label = data[index]
        with torch.no_grad():
            record = network(classifier.encoder(image.unsqueeze(0)), record="all")
        binary = bool(((record.input == 0) | (record.input == 1)).all())
        fired["input"] += int(record.input.sum()) if binary else math.nan  # a current: no key
        for layer in record.layers:
            fired[layer.name] += int(layer.spikes.sum())
        spikes, membrane = record.spikes[:, 0].tolist(), record.membrane[:, 0].tolist()
        for t in range(len(spikes)):
            running = score(network.config["readout"], spikes[: t + 1], membrane[: t + 1])
            correct[t] += decide(running, membrane[: t + 1])[0] == int(label)
        final = score(network.config["readout"], spikes, membrane)
        decision, leaders = decide(final, membrane)
        confusion[int(label)][decision] += 1
        tied += leaders > 1
        silent += not any(map(any, spikes))
        loss += math.log(sum(math.exp(s) for s in final)) - final[int(label)]
    n = len(data)
    return {
        "accuracy": sum(confusion[c][c] for c in range(10)) / n,
        "loss": loss / n,
        "confusion": confusion,
        "spikes_per_sample": {k: x / n for k, x in fired.items() if not math.isnan(x)},
        "silent": silent / n,
        "tied": tied / n,
        "accuracy_per_step": [count / n for count in correct],
    }


CASES = {"ties": (LATENCY, 0.25), "silence": (DIRECT, 0.55)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("readout", READOUTS)
def test_every_metric_is_that_of_a_slow_computation(readout, case):
    data = digits(37)
    encoder, threshold = CASES[case]
    classifier = Classifier(network(readout=readout, threshold=threshold), encoder)
    expected = by_hand(classifier, data)
    if readout == "first_spike":
        assert 0 < expected["tied" if case == "ties" else "silent"] < 1
    evaluation = evaluate(classifier, data, batch_size=8)
    assert (evaluation.samples, evaluation.backend) == (37, select_backend("auto"))
    assert evaluation.seconds > 0
    assert evaluation.confusion.dtype == torch.int64
    assert evaluation.confusion.tolist() == expected["confusion"]
    for name in ("accuracy", "silent", "tied"):
        assert getattr(evaluation, name) == expected[name], name
    assert evaluation.spikes_per_sample == pytest.approx(expected["spikes_per_sample"], rel=1e-12)
    received = ["input"] if case == "ties" else []
    assert list(evaluation.spikes_per_sample) == [*received, "hidden 1", "hidden 2", "output"]
    assert evaluation.loss == pytest.approx(expected["loss"], rel=1e-12)
    curve = evaluation.accuracy_per_step.tolist()
    assert curve == pytest.approx(expected["accuracy_per_step"], abs=1e-7)
    assert curve[-1] == pytest.approx(evaluation.accuracy, abs=1e-7)


@pytest.mark.parametrize("readout", READOUTS)
def test_the_batch_size_changes_nothing(readout):
    classifier = latency(readout=readout)
    expected = evaluate(classifier, digits(60), batch_size=60)
    for batch_size in (7, 59):
        evaluation = evaluate(classifier, digits(60), batch_size=batch_size)
        assert torch.equal(evaluation.confusion, expected.confusion)
        assert torch.equal(evaluation.accuracy_per_step, expected.accuracy_per_step)
        assert evaluation.spikes_per_sample == expected.spikes_per_sample
        assert (evaluation.silent, evaluation.tied) == (expected.silent, expected.tied)
        assert evaluation.loss == pytest.approx(expected.loss, rel=1e-12)


class Swapped(nn.Module):
    """Two classes whose membranes take the same values in another order.

    Their means are equal, save for how each way of summing rounds.
    """

    def forward(self, spikes):
        generator = torch.Generator().manual_seed(0)
        steps, samples = spikes.shape[:2]
        one = torch.rand(steps, samples, generator=generator)
        other = one[torch.randperm(steps, generator=generator)]
        membrane = torch.stack([one, other], -1)
        return Record(
            spikes=membrane * 0,
            membrane=membrane,
            scores=mean_membrane(membrane * 0, membrane),
            spike_counts=torch.zeros(1, samples, dtype=torch.int64),
            readout=mean_membrane,
            backend="by hand",
            sizes={"output": 2},
        )


def test_the_last_step_is_the_decision_also_within_rounding():
    data = digits(200)[digits(200).labels < 2]
    evaluation = evaluate(Classifier(Swapped(), LatencyEncoder(num_steps=25)), data)
    assert float(evaluation.accuracy_per_step[-1]) == pytest.approx(evaluation.accuracy)
    assert evaluation.backend == "by hand"


def test_the_loss_may_be_another():
    def wrong(record, labels):
        return (record.predictions != labels).double().mean()

    evaluation = evaluate(latency(), digits(50), batch_size=7, loss=wrong)
    assert evaluation.loss == pytest.approx(1 - evaluation.accuracy)
    named, given = (
        evaluate(latency(), digits(20), loss=loss) for loss in ("spike_time_mse", SpikeTimeMSE())
    )
    assert named.loss == given.loss


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back(training):
    model = network(dropout=0.5).train(training)
    model.network[0].train(not training)  # as if a part was frozen
    before = modes(model)
    evaluate(Classifier(model, LATENCY), digits(10))
    assert modes(model) == before

    def fail(_):
        raise ConnectionError

    with pytest.raises(ConnectionError):
        evaluate(Classifier(model, Watched(fail)), digits(10))
    assert modes(model) == before


@pytest.mark.parametrize("backend", ["reference", *STEPPED])
def test_the_network_can_be_trained_afterwards(backend):
    """No tensor of the inference mode stays in it."""
    classifier = new_classifier(LATENCY, backend=backend)
    evaluation = evaluate(classifier, digits(10))
    assert evaluation.backend == backend
    classifier(digits(10).images).scores.sum().backward()
    assert classifier.network.layers[0].linear.weight.grad is not None
    evaluate(classifier, digits(10))


@pytest.mark.parametrize(
    ("name", "bad"),
    [("linear.weight", math.nan), ("linear.bias", math.inf), ("leaky.beta", math.nan)],
)
def test_parameters_that_are_not_finite(name, bad):
    classifier = latency()
    classifier.network.state_dict()[f"network.0.{name}"].fill_(bad)
    with pytest.warns(UserWarning, match=f"network.0.{name} holds NaN or infinity") as caught:
        evaluate(classifier, digits(20))
    assert len(caught) == 1


def test_its_text() -> None:
    evaluation = evaluate(new_classifier(DirectEncoder(num_steps=2)), digits(20))
    first, *metrics = repr(evaluation).splitlines()
    assert first == f"Evaluation of 20 samples, by the backend {evaluation.backend}"
    assert (
        evaluation.standard_error == (evaluation.accuracy * (1 - evaluation.accuracy) / 20) ** 0.5
    )
    accuracy = f"{evaluation.accuracy:.2%} ± {evaluation.standard_error:.2%} standard error"
    assert metrics[1:3] == [
        f"  accuracy           {accuracy}",
        f"  loss               {evaluation.loss:.4f}",
    ]
    assert metrics[3].startswith("  spikes per sample  input a current, hidden 1 ")
    steps = " ".join(f"{share:.1%}" for share in evaluation.accuracy_per_step.tolist())
    assert metrics[4:7] == [
        f"  silent             {evaluation.silent:.2%} of the samples, without an output spike",
        f"  tied               {evaluation.tied:.2%} of the samples, with two highest scores",
        f"  after each step    {steps}",
    ]
    table = evaluation._repr_html_()
    assert first in table
    assert f"<td>accuracy</td><td>{accuracy}</td>" in table
