"""Several output neurons for each class: scores, decisions, and what snnTorch makes of them.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes, ``P`` neurons of a class.
"""

from __future__ import annotations

from typing import Any

import pytest
import snntorch
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import functional as SF  # noqa: N812 - as snnTorch's users write it
from torch import Tensor, nn

from spikemnist import Classifier, LeakyConvNet, LeakyMLP, TrainConfig, accelerate, evaluate, fit
from spikemnist.data import load_digits
from spikemnist.models import READOUTS, Record, best_class, running_scores
from spikemnist.training import SnnTorchLoss
from tests.models.stepped_network import STEPPED
from tests.models.test_readouts import output
from tests.strategies import SEEDS

SPIKES = (torch.rand(6, 5, 36, generator=torch.Generator().manual_seed(0)) < 0.4).float()


def means(values: Tensor, size: int) -> Tensor:
    """Return the means over contiguous groups, one after the other."""
    return torch.stack([group.sum(-1) / size for group in values.split(size, -1)], -1)


def record_of(spikes: Tensor, membrane: Tensor, readout: str, size: int) -> Record:
    return Record(
        spikes=spikes,
        membrane=membrane,
        scores=means(READOUTS[readout](spikes, membrane), size),
        spike_counts=spikes.sum((0, 2)).long()[None],
        readout=READOUTS[readout],
        backend="reference",
    )


@pytest.mark.parametrize("readout", READOUTS)
@given(SEEDS, st.integers(1, 4), st.integers(1, 4))
def test_decisions_by_means_of_groups(readout: str, seed: int, classes: int, size: int) -> None:
    spikes, membrane = output(seed, classes=classes * size)
    record = record_of(spikes, membrane, readout, size)
    assert record.population == size
    assert torch.equal(record.predictions, best_class(record.scores, means(membrane.mean(0), size)))
    running = means(running_scores(readout, spikes, membrane), size)
    torch.testing.assert_close(record.running_scores, running, rtol=1e-13, atol=1e-13)
    for t in range(1, len(spikes)):
        beginning = record_of(spikes[:t], membrane[:t], readout, size)
        scores = beginning.scores.sort(-1).values.diff()
        clear = ((scores > 1e-9) | (scores == 0)).all(-1)  # rounding makes no tie
        assert torch.equal(record.running_predictions[t - 1][clear], beginning.predictions[clear])


@pytest.mark.parametrize("readout", READOUTS)
@given(SEEDS, st.integers(1, 5))
def test_copies_of_a_neuron_decide_as_it_does(readout: str, seed: int, size: int) -> None:
    single = record_of(*output(seed), readout, 1)
    copies = (one.repeat_interleave(size, -1) for one in (single.spikes, single.membrane))
    record = record_of(*copies, readout, size)
    torch.testing.assert_close(record.scores, single.scores, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(record.margin, single.margin, rtol=1e-9, atol=1e-12)
    for name in ("predictions", "decided"):
        assert torch.equal(getattr(record, name), getattr(single, name))


@pytest.mark.parametrize(
    ("kind", "options"),
    [(LeakyMLP, {"in_features": 36, "hidden": 9, "out_features": 4}), (LeakyConvNet, {})],
)
def test_neurons_of_a_network(kind: Any, options: dict[str, Any]) -> None:
    options = options or {"layers": "3C3-4", "in_shape": (1, 6, 6)}
    network = kind(**options, population=3, threshold=0.2, readout="spike_count", seed=0)
    spikes = SPIKES.view(6, 5, 1, 6, 6)
    record = network(spikes, record="all")
    assert network.sizes["output"] == record.sizes["output"] == 12
    assert record.spikes.shape == record.layers[-1].spikes.shape == (6, 5, 12)
    assert torch.equal(record.scores, means(record.spikes.sum(0), 3))
    assert record.scores.shape == (5, 4)
    assert "population=3, " in repr(network)
    assert "readout spike_count, mean of 3 neurons" in repr(record)
    plain = kind(**options, threshold=0.2, seed=0)
    assert plain.sizes["output"] == 4
    assert "population" not in repr(plain) + repr(plain(spikes))
    values = plain(spikes).spikes
    assert plain(spikes).by_class(values) is values


@pytest.mark.parametrize("backend", ["auto", *STEPPED])
def test_outputs_of_a_network_of_snntorch(backend: Any) -> None:
    linear, leaky = nn.Linear(36, 12), snntorch.Leaky(beta=0.9, threshold=0.2)
    network = accelerate(nn.Sequential(linear, leaky), population=4, backend=backend)
    record = network(SPIKES)
    assert torch.equal(record.scores, means(record.membrane.sum(0) / 6, 4))
    record.scores.sum().backward()
    assert linear.weight.grad is not None
    wrong = accelerate(nn.Sequential(linear, leaky), population=5, backend=backend)
    with pytest.raises(ValueError, match="must divide the 12 output neurons; got 5"):
        wrong(SPIKES)


@pytest.mark.parametrize("population", [0, -1, 2.0, None])
def test_impossible_populations(population: Any) -> None:
    message = f"population must be an integer >= 1; got {population}"
    for build in (
        LeakyMLP,
        LeakyConvNet,
        lambda **options: accelerate(
            nn.Sequential(nn.Linear(4, 2), snntorch.Leaky(0.9)), **options
        ),
    ):
        with pytest.raises(ValueError, match=message):
            build(population=population)


def test_accuracy_of_snntorch() -> None:
    """The network of its tutorial. A tie goes to the first class there, here to the membranes."""
    train, test = load_digits()
    train, test = train[:1280], test[:500]
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 128),
        snntorch.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(128, 500),
        snntorch.Leaky(beta=0.9, init_hidden=True, output=True),
    )
    model = accelerate(network, population=50, readout="spike_count")
    classifier = Classifier(model, "latency")
    options: dict[str, Any] = {"population_code": True, "num_classes": 10}
    loss = SnnTorchLoss(SF.mse_count_loss(correct_rate=1.0, incorrect_rate=0.0, **options))
    fit(classifier, train, TrainConfig(epochs=2, loss=loss, lr=5e-3), progress=False)
    evaluation = evaluate(classifier, test, loss=loss)
    with torch.no_grad():
        record = classifier.eval()(test.images)
    expected = SF.accuracy_rate(record.spikes, test.labels, **options)
    leading = record.scores == record.scores.amax(1, keepdim=True)
    first = leading.int().argmax(1)
    tied = leading.sum(1) > 1
    assert float((first == test.labels).double().mean()) == expected
    assert torch.equal(record.predictions[~tied], first[~tied])
    assert evaluation.tied == float(tied.double().mean())
    assert evaluation.accuracy == float((record.predictions == test.labels).double().mean())
    assert evaluation.accuracy > 0.6
    assert abs(evaluation.accuracy - expected) <= evaluation.tied
