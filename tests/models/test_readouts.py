"""From output spikes and membranes to scores and decisions.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import TrainConfig, evaluate, fit, load_digits, viz
from spikemnist.encoding import DirectEncoder
from spikemnist.models import READOUTS, Classifier, LeakyMLP, Record, best_class, running_scores
from spikemnist.models.readout import first_spike
from tests.strategies import SEEDS


def output(
    seed: int, steps: int = 7, batch: int = 3, classes: int = 4, density: float = 0.3
) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    spikes = torch.rand(steps, batch, classes, generator=random, dtype=torch.float64) < density
    membrane = torch.randn(steps, batch, classes, generator=random, dtype=torch.float64)
    return spikes.double(), membrane


OUTPUTS = st.builds(
    output,
    SEEDS,
    st.integers(1, 9),
    st.integers(0, 3),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


def first_spike_time(train: list[float]) -> int:
    return train.index(1) if 1 in train else len(train)


# The score of a neuron from its spikes and membranes, as lists.
DEFINITIONS: dict[str, Callable[[list[float], list[float]], float]] = {
    "mean_membrane": lambda _, membrane: sum(membrane) / len(membrane),
    "max_membrane": lambda _, membrane: max(membrane),
    "spike_count": lambda train, _: sum(train),
    "first_spike": lambda train, _: -first_spike_time(train),
}


@pytest.mark.parametrize("readout", READOUTS)
@given(OUTPUTS)
def test_scores_by_definition(readout: str, out: tuple[Tensor, Tensor]) -> None:
    spikes, membrane = (tensor.flatten(1).t().tolist() for tensor in out)
    scores = [DEFINITIONS[readout](*of_neuron) for of_neuron in zip(spikes, membrane, strict=True)]
    expected = torch.tensor(scores, dtype=torch.float64).view(out[0].shape[1:])
    torch.testing.assert_close(READOUTS[readout](*out), expected, rtol=1e-13, atol=1e-13)


@given(OUTPUTS, st.sampled_from([*READOUTS]))
def test_running_scores(out: tuple[Tensor, Tensor], readout: str) -> None:
    spikes, membrane = out
    running = running_scores(readout, spikes, membrane)
    assert running.shape == membrane.shape
    for t in range(len(membrane)):
        expected = READOUTS[readout](spikes[: t + 1], membrane[: t + 1])
        torch.testing.assert_close(running[t], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_of_scores(readout: str, dtype: torch.dtype) -> None:
    spikes, membrane = (tensor.to(dtype) for tensor in output(0))
    assert READOUTS[readout](spikes, membrane).dtype == dtype
    assert running_scores(readout, spikes, membrane).dtype == dtype


def last_membrane(spikes: Tensor, membrane: Tensor) -> Tensor:
    return membrane[-1]


@pytest.mark.parametrize("steps", [2, 8])
def test_readout_that_knows_the_number_of_timesteps(steps: int) -> None:
    """What is computed on the way never ends a run; scores after each timestep are refused."""
    over_time = torch.arange(1.0, steps + 1).view(-1, 1, 1)  # of two, one timestep broadcasts

    def weighted(spikes: Tensor, membrane: Tensor) -> Tensor:
        return (membrane * over_time).sum(0)

    network = LeakyMLP(20, in_features=784, out_features=10, readout=weighted, threshold=0.3)
    classifier, digits = Classifier(network, DirectEncoder(steps)), load_digits()[1][:64]
    fit(classifier, digits, TrainConfig(epochs=1), validation=digits)
    evaluation = evaluate(classifier, digits)
    assert len(evaluation.accuracy_per_step) == 0
    assert "loss" in repr(evaluation)
    record = classifier(digits.images, record="all")
    assert torch.equal(record.predictions, record.scores.argmax(1))
    assert {"decision", "animation"}.isdisjoint(viz.of_sample(record, animations=True))
    for name in ("running_scores", "running_predictions", "decided"):
        with pytest.raises(ValueError, match="if weighted is one, set its attribute running = Tr"):
            getattr(record, name)


def test_own_readout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_membrane, "running", True, raising=False)
    spikes, membrane = output(3)
    assert torch.equal(running_scores(last_membrane, spikes, membrane), membrane)
    network = LeakyMLP((), in_features=20, out_features=4, readout=last_membrane)
    record = network(torch.rand(5, 3, 20).round())
    assert torch.equal(record.scores, record.membrane[-1])
    assert torch.equal(record.running_predictions, record.membrane.argmax(-1))
    assert repr(record).endswith("scores by the readout last_membrane")
    assert LeakyMLP(**network.config).readout is last_membrane


@given(OUTPUTS, st.sampled_from([0.3, 2.0, 5.0, -1.0]))
def test_first_spike_of_graded_spikes(out: tuple[Tensor, Tensor], height: float) -> None:
    """A spike is one spike, whatever its height."""
    spikes, membrane = out
    graded = (height * spikes).requires_grad_()
    for readout in (first_spike, partial(running_scores, "first_spike")):
        plain = spikes.clone().requires_grad_()
        scores, expected = readout(graded, membrane), readout(plain, membrane)
        assert torch.equal(scores, expected)
        towards = torch.autograd.grad(scores.sum(), graded)
        assert torch.equal(*towards, *torch.autograd.grad(expected.sum(), plain))


@pytest.mark.parametrize("readout", sorted({*READOUTS} - {"first_spike"}))
@given(SEEDS)
def test_gradients_are_finite_differences(readout: str, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    relaxed = torch.rand(5, 2, 3, generator=random, dtype=torch.float64).requires_grad_()
    membrane = torch.randn(5, 2, 3, generator=random, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, u: READOUTS[readout](s, u), (relaxed, membrane))


@given(OUTPUTS)
def test_gradient_of_first_spike(
    out: tuple[Tensor, Tensor],
) -> None:
    """In a multilinear function the derivative is the difference between 1 and 0, exactly."""
    spikes, membrane = out
    leaf = spikes.clone().requires_grad_()
    first_spike(leaf, membrane).sum().backward()
    for t in range(len(spikes)):
        on, off = spikes.clone(), spikes.clone()
        on[t], off[t] = 1, 0
        effect = first_spike(on, membrane) - first_spike(off, membrane)
        assert torch.equal(leaf.grad[t], effect)


@given(OUTPUTS, st.sampled_from([*READOUTS]))
def test_decision_among_the_leaders(out: tuple[Tensor, Tensor], readout: str) -> None:
    spikes, membrane = out
    score, mean = READOUTS[readout](spikes, membrane), membrane.mean(0)
    decided = best_class(score, mean)
    assert decided.dtype == torch.int64
    for row, close, choice in zip(score.tolist(), mean.tolist(), decided.tolist(), strict=True):
        leaders = [c for c, value in enumerate(row) if value == max(row)]
        assert choice == max(leaders, key=lambda c: close[c])


@given(OUTPUTS, st.sampled_from([*READOUTS]))
def test_predictions_of_a_record(out: tuple[Tensor, Tensor], readout: str) -> None:
    spikes, membrane = out
    record = Record(
        spikes=spikes,
        membrane=membrane,
        scores=READOUTS[readout](spikes, membrane),
        spike_counts=spikes.sum((0, 2)).long()[None],
        readout=READOUTS[readout],
        backend="reference",
    )
    running = record.running_predictions
    assert running.shape == spikes.shape[:2]
    assert torch.equal(running[0], best_class(running_scores(readout, *out)[0], membrane[0]))
    close = (record.scores.sort(-1).values.diff() < 1e-9).any(-1) & (record.scores != 0).any(-1)
    assert torch.equal(running[-1][~close], record.predictions[~close])
    choices = zip(
        *(tensor.tolist() for tensor in (record.scores, record.predictions, record.second)),
        strict=True,
    )
    for sample, (row, first, second) in enumerate(choices):
        others = [value for c, value in enumerate(row) if c != first]
        assert row[second] == max(others, default=row[first])
        changes = [t for t, c in enumerate(running[:, sample].tolist(), 1) if c != first]
        assert record.decided[sample] == max(changes, default=0) + 1
    assert bool(((record.margin >= 0) & (record.margin <= 1)).all())
    if record.scores.shape[1] == 2:
        difference = record.scores.diff().squeeze(1).abs()
        torch.testing.assert_close(record.margin, (difference / 2).tanh())
