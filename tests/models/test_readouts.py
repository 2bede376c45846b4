"""From output spikes and membranes to scores and decisions.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.models import READOUTS, Record, decide, running_scores
from spikemnist.models.readout import scores
from tests.strategies import SEEDS

if TYPE_CHECKING:
    from torch import Tensor


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


@given(OUTPUTS)
def test_scores_equal_their_definitions(out: tuple[Tensor, Tensor]) -> None:
    spikes, membrane = out
    shape = spikes.shape[1:]
    trains = spikes.flatten(1).t().tolist()
    torch.testing.assert_close(scores("mean_membrane", *out), membrane.sum(0) / len(membrane))
    assert torch.equal(scores("max_membrane", *out), membrane.max(0).values)
    count = torch.tensor([sum(train) for train in trains], dtype=torch.float64).view(shape)
    assert torch.equal(scores("spike_count", *out), count)
    time = torch.tensor([first_spike_time(t) for t in trains], dtype=torch.float64).view(shape)
    assert torch.equal(scores("first_spike", *out), -time)


@given(OUTPUTS, st.sampled_from(READOUTS))
def test_running_scores_are_the_scores_of_every_window(
    out: tuple[Tensor, Tensor], readout: str
) -> None:
    spikes, membrane = out
    running = running_scores(readout, spikes, membrane)
    assert running.shape == membrane.shape
    for t in range(len(membrane)):
        expected = scores(readout, spikes[: t + 1], membrane[: t + 1])
        torch.testing.assert_close(running[t], expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_scores_have_the_membranes_dtype(readout: str, dtype: torch.dtype) -> None:
    spikes, membrane = (tensor.to(dtype) for tensor in output(0))
    assert scores(readout, spikes, membrane).dtype == dtype
    assert running_scores(readout, spikes, membrane).dtype == dtype


@pytest.mark.parametrize("function", [scores, running_scores])
def test_an_unknown_readout_lists_the_known(function: object) -> None:
    with pytest.raises(ValueError, match=r"mean_membrane, max_membrane, .*; got 'last_mem"):
        function("last_membrane", *output(0))  # type: ignore[operator]


@pytest.mark.parametrize("readout", READOUTS)
@given(SEEDS)
def test_gradients_are_finite_differences_of_relaxed_spikes(readout: str, seed: int) -> None:
    """``first_spike`` is multilinear in the spikes: its gradient holds between 0 and 1 too."""
    random = torch.Generator().manual_seed(seed)
    relaxed = torch.rand(5, 2, 3, generator=random, dtype=torch.float64).requires_grad_()
    membrane = torch.randn(5, 2, 3, generator=random, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda s, u: scores(readout, s, u), (relaxed, membrane))


@given(OUTPUTS)
def test_first_spikes_gradient_is_the_effect_of_flipping_a_spike(
    out: tuple[Tensor, Tensor],
) -> None:
    """In a multilinear function the derivative is the difference between 1 and 0, exactly."""
    spikes, membrane = out
    leaf = spikes.clone().requires_grad_()
    scores("first_spike", leaf, membrane).sum().backward()
    for t in range(len(spikes)):
        on, off = spikes.clone(), spikes.clone()
        on[t], off[t] = 1, 0
        effect = scores("first_spike", on, membrane) - scores("first_spike", off, membrane)
        assert torch.equal(leaf.grad[t], effect)


def test_a_silent_neuron_learns_to_fire_early() -> None:
    silent = torch.zeros(4, 1, 1, requires_grad=True)
    score = scores("first_spike", silent, silent)
    assert score.item() == -4
    score.sum().backward()
    # A spike at t would move the first spike from 4 to t.
    assert silent.grad.flatten().tolist() == [4, 3, 2, 1]


@given(OUTPUTS, st.sampled_from(READOUTS))
def test_the_decision_is_for_one_of_the_leaders(out: tuple[Tensor, Tensor], readout: str) -> None:
    spikes, membrane = out
    score, mean = scores(readout, spikes, membrane), membrane.mean(0)
    decided = decide(score, mean)
    assert decided.dtype == torch.int64
    for row, close, choice in zip(score.tolist(), mean.tolist(), decided.tolist(), strict=True):
        leaders = [c for c, value in enumerate(row) if value == max(row)]
        assert choice == max(leaders, key=lambda c: close[c])


def test_ties_and_silence_go_to_the_class_that_came_closest() -> None:
    tied = torch.tensor([[3.0, 3.0, 1.0], [0.0, 0.0, 0.0], [-5.0, -5.0, -5.0]])
    mean = torch.tensor([[0.2, 0.4, 9.0], [-3.0, -2.0, -1.0], [-1.0, -1.0, -1.0]])
    assert decide(tied, mean).tolist() == [1, 2, 0]


@given(OUTPUTS, st.sampled_from(READOUTS))
def test_predictions_of_a_record(out: tuple[Tensor, Tensor], readout: str) -> None:
    spikes, membrane = out
    record = Record(
        spikes=spikes,
        membrane=membrane,
        scores=scores(readout, spikes, membrane),
        spike_counts=spikes.sum((0, 2)).long()[None],
        readout=readout,
        backend="reference",
    )
    running = record.running_predictions
    assert running.shape == spikes.shape[:2]
    assert torch.equal(running[0], decide(running_scores(readout, *out)[0], membrane[0]))
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
