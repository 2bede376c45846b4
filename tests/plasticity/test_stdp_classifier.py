"""The classifier that learns by STDP: what it learns, and that it is an ordinary estimator.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spikemnist.kernels import compiler
from spikemnist.plasticity import STDPClassifier, assign_classes, training_loop
from spikemnist.plasticity.training_loop import Progress
from tests.plasticity.bar_images import (
    ANSWERS,
    IMAGES,
    LABELS,
    OTHERS,
    SIDE,
    digest,
    learned,
    same,
    small,
    twice,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Whether all neurons fire matters to two tests, which ask for these warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*neurons never fired:UserWarning"),
    pytest.mark.filterwarnings("ignore:neuron .* made .* of all spikes:UserWarning"),
]


@pytest.mark.parametrize("voting", ["proportional", "assigned"])
def test_rows_and_columns_are_told_apart(voting: str) -> None:
    classifier = small(voting=voting).fit(IMAGES, LABELS, progress=False)
    assert classifier.score(OTHERS, ANSWERS) > 0.9
    assert classifier.score(OTHERS[:1], classifier.predict(OTHERS[:1])) == 1


def test_more_than_two_classes_have_a_vote_each() -> None:
    labels = LABELS + 2 * (np.arange(400) % 2)
    classifier = small().fit(IMAGES, labels, progress=False)
    votes = classifier.decision_function(OTHERS)
    assert votes.shape == (200, 4)
    assert classifier.predict(OTHERS).tolist() == votes.argmax(1).tolist()
    assert set(classifier.predict(OTHERS) % 2) == {0, 1}


def test_what_is_known_after_a_fit(fitted: STDPClassifier) -> None:
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
    votes = fitted.decision_function(OTHERS)
    assert votes.shape == (200,)
    assert np.array_equal(fitted.predict(OTHERS), (votes > 0).astype(int))


def test_the_same_seed_makes_the_same_bits_and_another_seed_others(
    fitted: STDPClassifier,
) -> None:
    again = small().fit(IMAGES, LABELS, progress=False)
    other = small(random_state=1).fit(IMAGES, LABELS, progress=False)
    assert same(again, fitted)
    assert digest(again) == digest(fitted)
    assert not np.array_equal(other.weights_, fitted.weights_)


@pytest.mark.usefixtures("threads")
def test_any_number_of_threads_makes_the_same_bits() -> None:
    found = []
    for count in (1, 2, 8):
        torch.set_num_threads(count)
        found.append(twice().fit(IMAGES, LABELS, progress=False))
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    assert len(set(map(digest, found))) == 1


@pytest.mark.parametrize("voting", ["proportional", "assigned"])
def test_an_image_alone_is_what_it_is_among_others(fitted: STDPClassifier, voting: str) -> None:
    classifier = copy.deepcopy(fitted).set_params(voting=voting)
    together, votes = classifier.predict(OTHERS), classifier.decision_function(OTHERS)
    for i in range(0, 200, 7):
        assert classifier.predict(OTHERS[i : i + 1]).tolist() == [together[i]]
        assert classifier.decision_function(OTHERS[i : i + 1]).tolist() == [votes[i]]
    assert np.array_equal(classifier.predict(OTHERS[::-1]), together[::-1])


def test_predicting_teaches_nothing(fitted: STDPClassifier) -> None:
    before = learned(fitted)
    fitted.predict(OTHERS)
    fitted.score(OTHERS, ANSWERS)
    assert all(map(np.array_equal, before, learned(fitted)))


def test_a_second_fit_forgets_the_first(fitted: STDPClassifier) -> None:
    classifier = small().fit(OTHERS[:, :4], ANSWERS + 5, progress=False)
    classifier.fit(IMAGES, LABELS, progress=False)
    assert same(classifier, fitted)


def test_partial_fits_add_up() -> None:
    once, parts = small(), small()
    once.partial_fit(IMAGES, LABELS)
    for part in (slice(0, 100), slice(100, 101), slice(101, 400)):
        parts.partial_fit(IMAGES[part], LABELS[part], classes=[0, 1])
    assert same(once, parts)
    assert once.n_images_seen_ == 400
    assert once.score(OTHERS, ANSWERS) > 0.8


def test_a_partial_fit_goes_on_after_a_fit(fitted: STDPClassifier) -> None:
    classifier = copy.deepcopy(fitted).partial_fit(OTHERS, ANSWERS)
    assert classifier.n_images_seen_ == 600
    assert not np.array_equal(classifier.weights_, fitted.weights_)


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


LABELLED: dict[str, Callable[[np.ndarray], Any]] = {
    "list": list,
    "column": lambda labels: labels[:, None],
    "torch": torch.from_numpy,
    "bytes": lambda labels: labels.astype(np.uint8),
    "floating": lambda labels: labels.astype(float),
    "other numbers": lambda labels: labels * 7 - 3,
    "bool": lambda labels: labels.astype(bool),
    "strings": lambda labels: np.array(["a row", "column"])[labels],
}


@pytest.mark.parametrize("kind", LABELLED)
def test_labels_may_be_of_any_kind(fitted: STDPClassifier, kind: str, tmp_path: Path) -> None:
    labels = LABELLED[kind](LABELS)
    flat = np.asarray(labels).reshape(-1)
    classifier = small().fit(IMAGES, labels, progress=False)
    assert classifier.classes_.tolist() == sorted(set(flat.tolist()))
    assert np.array_equal(classifier.weights_, fitted.weights_)
    expected = classifier.classes_[fitted.predict(OTHERS)]
    assert classifier.predict(OTHERS).tolist() == expected.tolist()
    assert classifier.score(OTHERS, LABELLED[kind](ANSWERS)) == fitted.score(OTHERS, ANSWERS)
    loaded = STDPClassifier.load(classifier.save(tmp_path / "classifier.safetensors"))
    assert loaded.predict(OTHERS).tolist() == expected.tolist()


SHOWN: dict[str, Callable[[np.ndarray], Any]] = {
    "flat": lambda images: images.reshape(len(images), -1),
    "with a channel": lambda images: images[:, None],
    "single": lambda images: images.astype(np.float32) / np.float32(255),
    "double": lambda images: images / 255,
    "lists": lambda images: (images / 255).tolist(),
    "objects": lambda images: (images / 255).astype(object),
    "torch bytes": torch.from_numpy,
    "torch single": lambda images: torch.from_numpy(images) / 255,
    "torch double": lambda images: torch.from_numpy(images).double() / 255,
    "other order": lambda images: np.asfortranarray(images),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_images_may_be_of_any_kind(fitted: STDPClassifier, kind: str) -> None:
    shown = SHOWN[kind]
    assert same(small().fit(shown(IMAGES), LABELS, progress=False), fitted)
    assert np.array_equal(fitted.predict(shown(OTHERS)), fitted.predict(OTHERS))


def test_numbers_of_numpy_are_numbers(tmp_path: Path, fitted: STDPClassifier) -> None:
    classifier = small(
        n_neurons=np.int64(20), max_rate=np.float64(200), random_state=np.uint8(0)
    ).fit(IMAGES, LABELS, progress=False, checkpoint=tmp_path / "c.safetensors")
    assert same(classifier, fitted)
    loaded = STDPClassifier.load(classifier.save(tmp_path / "s.safetensors"))
    assert type(loaded.n_neurons) is int
    assert digest(loaded) == digest(fitted)


def test_parameters_are_got_and_set(fitted: STDPClassifier) -> None:
    classifier = STDPClassifier(50, passes=3)
    parameters = classifier.get_params()
    assert parameters["n_neurons"] == 50
    assert parameters["passes"] == 3
    assert STDPClassifier(**parameters).get_params(deep=False) == parameters
    assert classifier.set_params(n_neurons=7, voting="assigned") is classifier
    assert classifier.n_neurons == 7
    assert classifier.set_params() is classifier
    with pytest.raises(ValueError, match="Invalid parameter 'neurons': choose from n_neurons, p"):
        classifier.set_params(neurons=7)
    assert "_layer" not in fitted.get_params()


def test_the_repr_says_how_to_make_it_again(fitted: STDPClassifier) -> None:
    for classifier in (STDPClassifier(), fitted):
        again = eval(repr(classifier), {"STDPClassifier": STDPClassifier})
        assert again.get_params() == classifier.get_params()
    assert repr(STDPClassifier(50)).startswith("STDPClassifier(n_neurons=50, passes=1, ")


COPIES: list[Callable[[STDPClassifier], STDPClassifier]] = [
    copy.deepcopy,
    lambda classifier: pickle.loads(pickle.dumps(classifier)),
]


@pytest.mark.parametrize("copied", COPIES)
def test_a_copy_predicts_the_same_and_learns_on_its_own(
    copied: Callable[[STDPClassifier], STDPClassifier], fitted: STDPClassifier
) -> None:
    before = digest(fitted)
    other, third = copied(fitted), copied(fitted)
    assert digest(other) == before
    other.partial_fit(OTHERS, ANSWERS)
    third.partial_fit(OTHERS, ANSWERS)
    assert digest(fitted) == before
    assert same(other, third)
    assert copied(small()).get_params() == small().get_params()


def test_the_history_has_a_row_for_each_window_but_the_first(
    fitted: STDPClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Windows end with blocks of 64 images; the last block, of 16, is too short for one.
    history = fitted.accuracy_history_
    assert history[:, 0].tolist() == [128, 192, 256, 320, 384]
    assert ((history[:, 1] > 0.5) & (history[:, 1] <= 1)).all()
    monkeypatch.setattr(training_loop, "WINDOWS", 4)
    coarse = small().fit(IMAGES, LABELS, progress=False).accuracy_history_
    assert coarse[:, 0].tolist() == [256, 384]
    several = twice(passes=3).fit(IMAGES, LABELS, progress=False).accuracy_history_
    assert several[:, 0].tolist() == [656, 992]
    # Where it is not known how many images follow, windows are those of a long training.
    assert small().partial_fit(IMAGES, LABELS).accuracy_history_.shape == (0, 2)


@pytest.mark.parametrize(("total", "window"), [(16, 1), (5000, 312), (60_000, 2000), (None, 2000)])
def test_few_images_make_short_windows(total: int | None, window: int) -> None:
    assert Progress(2, 2, "assigned", total).window == window


def test_a_window_is_judged_by_those_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """By as many as hold ``WINDOW`` images, which are taken note of however short they are."""
    monkeypatch.setattr(training_loop, "WINDOW", 4)
    progress = Progress(2, 2, "assigned", 32)
    assert progress.window == 2
    first, second = np.array([[3, 0]]), np.array([[0, 3]])
    for counts, label in ((first, 0), (second, 1), (second, 1), (second, 1), (second, 1)):
        progress.add(counts.repeat(2, 0), np.array([label, label]))
    assert progress.history == [(4, 0.0), (6, 1.0), (8, 1.0), (10, 1.0)]
    assert progress.recent.images.tolist() == [0, 4]  # the oldest are forgotten
    arrays, numbers = progress.state()
    again = Progress(2, 2, "assigned")
    again.restore(arrays, numbers)
    for each in (progress, again):
        each.add(first.repeat(2, 0), np.array([0, 0]))
    assert again.history == progress.history
    assert again.recent.spikes.tolist() == progress.recent.spikes.tolist()


def test_a_window_is_judged_by_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_loop, "WINDOW", 4)
    progress = Progress(2, 2, "assigned")
    first, second = np.array([[3, 0]]), np.array([[0, 3]])
    progress.add(np.repeat(first, 2, 0), np.array([0, 0]))
    progress.add(np.repeat(second, 2, 0), np.array([1, 1]))
    assert progress.history == []
    # The neurons now change sides, but they are judged by what they did before: one of four.
    progress.add(np.concatenate([first, first, first]), np.array([0, 1, 1]))
    progress.add(second, np.array([0]))
    assert progress.history == [(8, 0.25)]
    assert progress.recent.images.tolist() == [2, 2]
    progress.add(first, np.array([1]))
    assert progress.recent.images.tolist() == [2, 3]
    assert progress.recent.spikes.tolist() == [[3, 3], [9, 0]]


def test_the_bar_is_silent_unless_on_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    small().fit(IMAGES[:100], LABELS[:100])
    assert capfd.readouterr() == ("", "")


def test_where_there_is_no_numba_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "obstacle", lambda: "Numba, which is not installed")
    with pytest.raises(ImportError, match="STDPClassifier needs Numba, which is not installed"):
        small().fit(IMAGES, LABELS, progress=False)
