"""The classifier that learns by STDP: what it learns, and that it is an ordinary estimator.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.kernels import compiler
from spikemnist.plasticity import STDPClassifier, assign_classes, class_scores
from spikemnist.plasticity.assignment import WINDOWS, Progress, Responses
from tests.plasticity.bar_images import (
    IMAGES,
    LABELS,
    SIDE,
    TEST_IMAGES,
    TEST_LABELS,
    same,
    small,
    state,
)
from tests.strategies import SEEDS

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")


@pytest.mark.parametrize("voting", ["proportional", "assigned"])
def test_rows_and_columns_are_learned(voting: str) -> None:
    classifier = small(voting=voting).fit(IMAGES, LABELS, progress=False)
    accuracy = classifier.score(TEST_IMAGES, TEST_LABELS)
    assert accuracy == classifier.evaluate((TEST_IMAGES, TEST_LABELS)).votes[voting] > 0.9
    assert classifier.score(TEST_IMAGES[:1], classifier.predict(TEST_IMAGES[:1])) == 1


def test_scores_of_four_classes() -> None:
    labels = LABELS + 2 * (np.arange(400) % 2)
    classifier = small().fit(IMAGES, labels, progress=False)
    votes = classifier.decision_function(TEST_IMAGES)
    assert votes.shape == (200, 4)
    assert classifier.predict(TEST_IMAGES).tolist() == votes.argmax(1).tolist()
    assert set(classifier.predict(TEST_IMAGES) % 2) == {0, 1}


def test_attributes_after_a_fit(fitted: STDPClassifier) -> None:
    assert fitted.classes_.tolist() == [0, 1]
    assert fitted.n_features_in_ == SIDE * SIDE
    assert fitted.n_images_seen_ == 400
    assert fitted.interrupted_ is False
    assert fitted.weights_.shape == (20, 36)
    assert fitted.weights_.dtype == fitted.theta_.dtype == np.float32
    assert fitted.theta_.shape == (20,)
    counts = fitted.count_spikes(IMAGES)
    assert counts.dtype == np.int32
    means = [counts[label == LABELS].mean(0) for label in (0, 1)]
    assert np.allclose(fitted.responses_, means, rtol=1e-14)
    assert np.array_equal(fitted.assignments_, assign_classes(fitted.responses_))
    votes = fitted.decision_function(TEST_IMAGES)
    assert votes.shape == (200,)
    assert np.array_equal(fitted.predict(TEST_IMAGES), (votes > 0).astype(int))


@pytest.mark.usefixtures("threads")
def test_a_seed_gives_the_same_bits_for_any_number_of_threads(fitted: STDPClassifier) -> None:
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        assert same(small().fit(IMAGES, LABELS, progress=False), fitted)
    other = small(random_state=1).fit(IMAGES, LABELS, progress=False)
    assert not np.array_equal(other.weights_, fitted.weights_)


def test_predicting_changes_nothing(fitted: STDPClassifier) -> None:
    before = state(fitted)
    fitted.predict(TEST_IMAGES)
    fitted.score(TEST_IMAGES, TEST_LABELS)
    assert all(map(np.array_equal, before, state(fitted)))


def test_a_second_fit_forgets_the_first(fitted: STDPClassifier) -> None:
    classifier = small().fit(TEST_IMAGES[:, :4], TEST_LABELS + 5, progress=False)
    classifier.fit(IMAGES, LABELS, progress=False)
    assert same(classifier, fitted)


def test_partial_fits_add_up() -> None:
    once, parts = small(), small()
    once.partial_fit(IMAGES, LABELS)
    for part in (slice(0, 100), slice(100, 101), slice(101, 400)):
        parts.partial_fit(IMAGES[part], LABELS[part], classes=[0, 1])
    for name in ("weights_", "theta_", "responses_", "n_images_seen_"):
        assert np.array_equal(getattr(once, name), getattr(parts, name))
    assert once.score(TEST_IMAGES, TEST_LABELS) > 0.8


def test_a_first_partial_fit_need_not_see_all_classes() -> None:
    rows, columns = IMAGES[LABELS == 0], IMAGES[LABELS == 1]
    classifier = small().partial_fit(rows, ["row"] * len(rows), classes=["row", "column"])
    assert classifier.classes_.tolist() == ["column", "row"]
    assert set(classifier.assignments_) <= {1, -1}
    classifier.partial_fit(columns, ["column"] * len(columns))
    with pytest.raises(ValueError, match=r"among the classes \['column', 'row'\]; got \['cross'\]"):
        classifier.partial_fit(rows[:1], ["cross"])
    with pytest.raises(ValueError, match="at least 2 classes; got one class, 0"):
        small().partial_fit(rows, np.zeros(len(rows), int))


LABEL_KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": list,
    "torch": torch.from_numpy,
    "uint8": lambda labels: labels.astype(np.uint8),
    "floating": lambda labels: labels.astype(float),
    "other numbers": lambda labels: labels * 7 - 3,
    "bool": lambda labels: labels.astype(bool),
    "strings": lambda labels: np.array(["a row", "column"])[labels],
    "objects": lambda labels: np.array(["a row", "column"], object)[labels],
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_labels_of_any_kind(fitted: STDPClassifier, kind: str, tmp_path: Path) -> None:
    labels = LABEL_KINDS[kind](LABELS)
    classifier = small().fit(IMAGES, labels, progress=False)
    assert classifier.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert np.array_equal(classifier.weights_, fitted.weights_)
    expected = classifier.classes_[fitted.predict(TEST_IMAGES)].tolist()
    assert classifier.predict(TEST_IMAGES).tolist() == expected
    score = classifier.score(TEST_IMAGES, LABEL_KINDS[kind](TEST_LABELS))
    assert score == fitted.score(TEST_IMAGES, TEST_LABELS)
    loaded = STDPClassifier.load(classifier.save(tmp_path / "classifier.safetensors"))
    assert loaded.predict(TEST_IMAGES).tolist() == expected


IMAGE_KINDS: dict[str, Callable[[np.ndarray], Any]] = {
    "flat": lambda images: images.reshape(len(images), -1),
    "with a channel": lambda images: images[:, None],
    "float32": lambda images: images.astype(np.float32) / np.float32(255),
    "float64": lambda images: images / 255,
    "objects": lambda images: (images / 255).astype(object),
    "lists": lambda images: (images / 255).tolist(),
    "read-only": lambda images: np.frombuffer(images.tobytes(), np.uint8).reshape(images.shape),
    "torch uint8": torch.from_numpy,
    "torch float64": lambda images: torch.from_numpy(images).double() / 255,
    "Fortran order": lambda images: np.asfortranarray(images),
}


@pytest.mark.parametrize("kind", IMAGE_KINDS)
def test_images_of_any_kind(fitted: STDPClassifier, kind: str) -> None:
    convert = IMAGE_KINDS[kind]
    classifier = small().fit(convert(IMAGES[:150]), LABELS[:150], progress=False)
    assert same(classifier, small().fit(IMAGES[:150], LABELS[:150], progress=False))
    assert np.array_equal(fitted.predict(convert(TEST_IMAGES)), fitted.predict(TEST_IMAGES))


def test_parameters_of_numpy(tmp_path: Path, fitted: STDPClassifier) -> None:
    parameters = {"n_neurons": np.int64(20), "max_rate": np.float64(200), "passes": np.uint8(1)}
    classifier = small(**parameters).fit(IMAGES, LABELS, progress=False)
    loaded = STDPClassifier.load(classifier.save(tmp_path / "s.safetensors"))
    assert type(loaded.n_neurons) is int
    assert same(loaded, fitted)


def test_parameters_can_be_set(fitted: STDPClassifier) -> None:
    classifier = STDPClassifier(50)
    assert classifier.set_params(passes=3, voting="assigned") is classifier
    parameters = classifier.get_params()
    assert [parameters[name] for name in ("n_neurons", "passes", "voting")] == [50, 3, "assigned"]
    with pytest.raises(ValueError, match="Invalid parameter 'neurons': choose from n_neurons, p"):
        classifier.set_params(neurons=7)
    assert fitted.get_params().keys() == parameters.keys()


def test_repr_is_an_expression(fitted: STDPClassifier) -> None:
    for classifier in (STDPClassifier(), fitted):
        again = eval(repr(classifier), {"STDPClassifier": STDPClassifier})
        assert again.get_params() == classifier.get_params()
    assert repr(STDPClassifier(50)).startswith("STDPClassifier(n_neurons=50, passes=1, ")


COPIES: list[Callable[[STDPClassifier], STDPClassifier]] = [
    copy.deepcopy,
    lambda classifier: pickle.loads(pickle.dumps(classifier)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_learns_on_its_own(
    copied: Callable[[STDPClassifier], STDPClassifier], fitted: STDPClassifier
) -> None:
    before, other = state(fitted), copied(fitted)
    assert same(other, fitted)
    other.partial_fit(TEST_IMAGES, TEST_LABELS)
    assert not np.array_equal(other.weights_, fitted.weights_)
    assert all(map(np.array_equal, before, state(fitted)))


@given(SEEDS, st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_the_running_accuracy_is_that_of_a_loop(seed: int, sizes: list[int]) -> None:
    """Each window has at least its number of images, and ends with a block."""
    random, responses = np.random.default_rng(seed), Responses(2, 3)
    progress, right, ends = Progress(Responses(2, 3), "proportional"), [], [0]
    for size in sizes:
        counts, labels = random.poisson(1.0, (size, 3)), random.integers(0, 2, size)
        scores = class_scores(counts, responses.mean, "proportional")
        right += (scores.argmax(1) == labels).tolist()
        ends.append(len(right))
        responses.add(counts, labels)
        progress.add(counts, labels)
    assert progress.size == len(right)
    window, begin = max(1, len(right) // WINDOWS), 0
    for end, accuracy in progress.history:
        assert end in ends
        assert accuracy == np.mean(right[begin : int(end)])
        begin = int(end)
    edges = range(window, len(right) + 1, window)
    expected = {min(end for end in ends if end >= edge) for edge in edges}
    assert progress.history[:, 0].tolist() == sorted(expected)


def test_old_responses_fade() -> None:
    """So that they count as many images at most, and the latest count most."""
    responses = Responses(2, 1)
    for label, spikes in ((0, 4), (0, 4), (0, 0), (1, 1)):
        responses.add(np.full((10, 1), spikes), np.full(10, label))
        responses.fade(20)
        assert responses.images.sum() <= 20
    assert responses.images.tolist() == pytest.approx([20 * 2 / 3, 20 * 1 / 3], abs=1e-12)
    assert responses.mean[:, 0].tolist() == pytest.approx([4 * 2 / 3, 1], abs=1e-12)


def test_without_numba_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "missing", lambda: "Numba, which is not installed")
    with pytest.raises(ImportError, match="STDPClassifier needs Numba, which is not installed"):
        small().fit(IMAGES, LABELS, progress=False)
