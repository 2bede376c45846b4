"""From spikes to classes, against loops over neurons and images.

Shapes: ``B`` images, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.plasticity import assign_classes, class_scores
from spikemnist.plasticity.assignment import UNASSIGNED, Responses
from tests.strategies import SEEDS

SIZES = st.integers(1, 6)


@given(SEEDS, SIZES, SIZES, st.integers(0, 20))
def test_mean_responses_are_those_of_a_loop(
    seed: int, classes: int, neurons: int, images: int
) -> None:
    random = np.random.default_rng(seed)
    counts = random.poisson(2.0, (images, neurons))
    labels = random.integers(0, classes, images)
    total, parts = Responses(classes, neurons), Responses(classes, neurons)
    total.add(counts, labels)
    for part in (slice(0, 3), slice(3, None)):
        parts.add(counts[part], labels[part])
    for c in range(classes):
        of_class = [count for count, label in zip(counts, labels, strict=True) if label == c]
        expected = np.mean(of_class, 0) if of_class else np.zeros(neurons)
        assert np.allclose(total.mean[c], expected)
    assert np.array_equal(total.mean, parts.mean)


@given(SEEDS, SIZES, SIZES)
def test_a_neuron_is_assigned_to_the_class_it_responds_to_most(
    seed: int, classes: int, neurons: int
) -> None:
    responses = np.random.default_rng(seed).poisson(0.5, (classes, neurons)).astype(float)
    for neuron, assigned in enumerate(assign_classes(responses)):
        of_neuron = responses[:, neuron].tolist()
        expected = of_neuron.index(max(of_neuron)) if any(of_neuron) else UNASSIGNED
        assert assigned == expected


@given(SEEDS, SIZES, SIZES, SIZES)
def test_votes_are_those_of_a_loop(seed: int, classes: int, neurons: int, images: int) -> None:
    random = np.random.default_rng(seed)
    responses = random.poisson(0.7, (classes, neurons)).astype(float)
    counts = random.poisson(1.0, (images, neurons))
    assigned = assign_classes(responses)
    for b in range(images):
        proportional, means = np.zeros(classes), np.zeros(classes)
        for c in range(classes):
            members = [j for j in range(neurons) if assigned[j] == c]
            means[c] = np.mean(counts[b, members]) if members else 0.0
            for j in range(neurons):
                if responses[:, j].any():
                    proportional[c] += counts[b, j] * responses[c, j] / responses[:, j].sum()
        assert np.allclose(class_scores(counts, responses, "assigned")[b], means)
        assert np.allclose(class_scores(counts, responses, "proportional")[b], proportional)


@given(SEEDS, st.integers(1, 200))
def test_the_votes_for_an_image_alone(seed: int, neurons: int) -> None:
    """Bit for bit, since votes may be nearly even."""
    random = np.random.default_rng(seed)
    responses, counts = random.random((3, neurons)), random.poisson(1.0, (9, neurons))
    together = class_scores(counts, responses, "proportional")
    for b in range(9):
        assert np.array_equal(
            class_scores(counts[b : b + 1], responses, "proportional")[0], together[b]
        )


def test_an_unknown_voting_rule() -> None:
    with pytest.raises(
        ValueError, match="voting must be one of assigned, proportional; got 'loud'"
    ):
        class_scores(np.ones((1, 2)), np.ones((3, 2)), "loud")
