"""Decisions on pictures, by networks and by local learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import prune

from spikemnist import (
    Classifier,
    LeakyMLP,
    TrainConfig,
    decide,
    fit,
    load,
    load_digits,
    measure_limits,
)
from spikemnist.data import ImageDataset, prepare_image
from spikemnist.encoding import RateEncoder
from spikemnist.models import Limits, Record
from spikemnist.recognition import Decision
from spikemnist.recognition.doubts import limits_of
from tests.rooms import of_rooms

TRAIN, TEST = load_digits()
DIGIT, OTHER = TEST.images[0].numpy(), TEST.images[1].numpy()
TWO = np.hstack([DIGIT, OTHER])
NETWORK = LeakyMLP(hidden=9, seed=0)


class Bare(nn.Module):
    """A network of another kind, which takes spikes alone."""

    def forward(self, spikes: Tensor) -> Record:
        return NETWORK(spikes)


CLASSIFIERS: dict[str, Any] = {
    "pretrained": lambda: load("mnist-conv"),
    "random code": lambda: Classifier(NETWORK, RateEncoder(num_steps=5)),
    "another network": lambda: Classifier(Bare(), "latency"),
    **dict(of_rooms("LEARNED_CLASSIFIERS")),
}


@pytest.mark.filterwarnings("ignore:.*use fewer neurons")
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_prediction_is_that_of_predict(kind: str) -> None:
    classifier = CLASSIFIERS[kind]()
    for image in TEST.images[:3]:
        decision = decide(classifier, image)
        assert decision.prediction == classifier.predict(prepare_image(image).unsqueeze(0))[0]
        assert torch.equal(decision.image, prepare_image(image))
        assert sum(decision.spikes.values()) > 0


def test_the_record_has_all_that_is_said() -> None:
    classifier = load("mnist-mlp")
    decision = decide(classifier, OTHER)
    record = classifier(prepare_image(OTHER).unsqueeze(0), record="all")
    actual = decision.second, decision.margin, decision.decided_after, decision.num_steps
    assert actual == (record.second, record.margin, record.decided, len(record.spikes))
    assert [*decision.spikes.values()] == record.spike_counts[:, 0].tolist()
    assert decision.record is not None
    assert len(decision.record.layers) == 2


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "digit.png"
    picture = Image.fromarray(255 - DIGIT)
    picture.save(file)
    classifier = load("mnist-mlp")
    decisions = [decide(classifier, each) for each in (file, str(file), picture, 255 - DIGIT)]
    assert len({repr(decision) for decision in decisions}) == 1
    assert (decisions[0].strokes, decisions[0].pixels) == ("dark on light", (28, 28))


def test_doubts() -> None:
    trained, untrained = load("mnist-mlp"), Classifier(NETWORK, "latency")
    assert (decide(trained, DIGIT).doubts, decide(trained, DIGIT).sure) == ((), True)
    doubtful = decide(untrained, TWO)
    assert doubtful.doubts == ("not sure", "ink in 2 parts: several digits?")
    assert doubtful.answer == f"{doubtful.prediction} ({'; '.join(doubtful.doubts)})"
    margin = decide(untrained, DIGIT).margin
    untrained.limits = Limits(margin=margin)
    assert decide(untrained, DIGIT).sure
    untrained.limits = Limits(margin=margin + 1e-6)
    assert not decide(untrained, DIGIT).sure


@pytest.mark.parametrize("hidden", [(), 9, (12, 7)])
def test_limits_by_hand(hidden: Any) -> None:
    """Of 200 images, 5 % of the right answers lie below the margin, and none outside the ranges."""
    data = TEST[::5]
    classifier = Classifier(LeakyMLP(hidden, threshold=0.3, seed=0), "latency")
    classifier.classes = tuple("abcdefghij")  # and the data have them the other way round
    reverse = ImageDataset(data.images, 9 - data.labels, classifier.classes[::-1])
    actual = measure_limits(classifier, reverse, batch_size=70)
    record = classifier(data.images, record="all").detach()
    right = sorted(record.margin[record.predictions == data.labels].tolist())
    assert record.input is not None
    counts = [record.input.sum((0, 2, 3)), *(layer.spikes.sum((0, 2)) for layer in record.layers)]
    layers = len(counts) - 2
    values = counts[1 : 1 + layers]
    values += [counts[n + 1] / counts[n].clamp(min=1) for n in range(layers)]
    assert 0 <= right[len(right) // 20] - actual.margin < 0.001
    assert len(actual.hidden_spikes) == 2 * layers
    for (low, high), value in zip(actual.hidden_spikes, values, strict=True):
        assert (low, high) == (value.min(), value.max())


@given(st.integers(1, 3000), st.integers(0, 10**6))
def test_shares_outside_of_the_limits(samples: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(samples, 3, generator=generator)
    counts = torch.randint(9, (2, samples), generator=generator)
    silent = torch.zeros(1, samples, 3)
    labels = torch.randint(3, (samples,), generator=generator)
    record = Record(silent, silent, scores, counts, lambda spikes, membrane: scores, "none")
    limits = limits_of([(torch.ones(1, samples, 4), record, labels)])
    right = record.margin[record.predictions == labels]
    assert (right < limits.margin).sum() <= len(right) / 20
    assert limits.margin == 1 or len(right) > 0
    for (low, high), values in zip(limits.hidden_spikes, (counts[0], counts[0] / 4), strict=True):
        assert (values < low).sum() <= samples / 1000
        assert (values > high).sum() <= samples / 1000


@pytest.mark.parametrize("name", ["mnist-conv", "mnist-mlp"])
def test_noise_has_unusual_hidden_spikes(name: str) -> None:
    classifier = load(name)
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    assert all(decide(classifier, image).usual_spikes is False for image in noise)
    assert all(decide(classifier, image).usual_spikes for image in TEST.images[:40:2])
    doubts = decide(classifier, noise[0]).doubts
    assert doubts[-1] == "unusual hidden spikes: another kind of picture?"
    classifier.limits = Limits()
    assert decide(classifier, noise[0]).usual_spikes is None


def test_hidden_spikes_of_a_network_without_a_record_of_them() -> None:
    classifier = Classifier(Bare(), "latency")
    classifier.limits = measure_limits(classifier, TEST[:50])
    assert decide(classifier, DIGIT).usual_spikes is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"margin": 1.1}, r"margin must be a number, at least 0 and at most 1; got 1.1"),
        ({"margin": "high"}, "margin must be a number, .*; got 'high'"),
        ({"hidden_spikes": ((1, 2, 3),)}, "too many values"),
    ],
)
def test_wrong_limits(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**values)


def test_limits_of_other_weights_are_not_used() -> None:
    classifier = load("mnist-mlp")
    weight = classifier.network.layers[0].linear.weight
    with torch.no_grad():
        weight += 1e-3
    decision = decide(classifier, DIGIT)
    assert (decision.limits_fit, decision.sure_from, decision.usual_spikes) == (False, 0.5, None)
    assert decision.doubts == ("limits of other weights, not used: measure them",)
    classifier.limits = measure_limits(classifier, TEST[:50])
    assert decide(classifier, TEST.images[60]).usual_spikes is not None
    fit(classifier, TRAIN[:64], TrainConfig(epochs=1), progress=False)
    assert not decide(classifier, DIGIT).limits_fit
    classifier.limits = Limits(margin=0.25)
    assert decide(classifier, DIGIT).sure_from == 0.25


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
def test_limits_of_a_file_belong_to_its_weights(tmp_path: Path) -> None:
    """A file holds the weights of a pruned network as `prune.remove` leaves them."""
    classifier = Classifier(LeakyMLP(hidden=9, seed=0), "latency")
    prune.random_unstructured(classifier.network.layers[0].linear, "weight", 0.5)
    classifier.limits = measure_limits(classifier, TEST[:50])
    loaded = load(classifier.save(tmp_path / "model.safetensors"))
    assert loaded.limits == classifier.limits
    assert decide(classifier, DIGIT).limits_fit
    assert decide(loaded, DIGIT).limits_fit
    other = Classifier(LeakyMLP(hidden=9, seed=1), "latency")
    other.limits = loaded.limits
    assert not decide(other, DIGIT).limits_fit
    assert decide(other.load_weights(tmp_path / "model.safetensors"), DIGIT).limits_fit


def test_a_readout_without_scores_before_the_end() -> None:
    network = LeakyMLP(9, readout=lambda spikes, membrane: membrane[-1] + spikes[0])
    assert "decided after" not in repr(decide(Classifier(network, "latency"), DIGIT))


def test_limits_of_another_network() -> None:
    classifier = Classifier(LeakyMLP((9, 7), seed=0), "latency")
    classifier.limits = Limits(hidden_spikes=((0, 9), (0, 9)))
    with pytest.raises(ValueError, match="2 ranges of hidden spikes; expected 4, two for each"):
        decide(classifier, DIGIT)


def test_data_that_give_no_limits() -> None:
    classifier = Classifier(NETWORK, "latency")
    with pytest.raises(ValueError, match="data to evaluate are empty"):
        measure_limits(classifier, TEST[:0])
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1; got 0"):
        measure_limits(classifier, TEST[:9], batch_size=0)
    with pytest.raises(TypeError, match="data must be a dataset of"):
        measure_limits(classifier, TEST.images)  # type: ignore[arg-type]


def test_names_of_the_classes() -> None:
    names = [f"name {label}" for label in range(10)]
    decision = decide(Classifier(NETWORK, "latency", names), DIGIT)
    first, second = decision.prediction, decision.second
    assert decision.classes == (names[first], names[second])
    rows = dict(decision.table().rows)
    assert rows["prediction"].startswith(f"{first}, name {first}")
    assert rows["second"] == f"{second}, name {second}"


def test_the_table_and_the_fields() -> None:
    decision = decide(load("mnist-mlp"), TWO)
    assert dict(decision.table().rows) == {
        "prediction": decision.answer,
        "second": str(decision.second),
        "margin": f"{decision.margin:.2f} of 1, sure from {decision.sure_from:g}",
        "decided after": f"{decision.decided_after} of 8 timesteps",
        "spikes": ", ".join(f"{name} {n:,}" for name, n in decision.spikes.items()),
        "pixels": "56 x 28",
        "strokes": "light on dark",
    }
    assert repr(decision).startswith(f"Decision: {decision.answer}\n")
    assert "<caption" in decision._repr_html_()
    fields = {*vars(decision), "sure", "doubts"} - {"image", "record"}
    assert decision.to_json().keys() == fields


def test_a_picture_as_it_is() -> None:
    colours = np.random.default_rng(0).integers(0, 255, (20, 16, 3), np.uint8)
    classifier = Classifier(LeakyMLP(9, in_features=3 * 20 * 16), "latency")
    decision: Decision = decide(classifier, colours, prepare=False)
    assert np.array_equal(decision.image.movedim(0, -1), colours)
    assert (decision.pixels, decision.strokes, decision.parts) == ((16, 20), None, 1)


def test_a_network_without_its_encoder() -> None:
    for function in (decide, measure_limits):
        with pytest.raises(TypeError, match=f"{function.__name__} takes a Classifier"):
            function(NETWORK, TEST.images[0])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("picture", "options", "message"),
    [
        ("absent.png", {}, "no picture at absent.png"),
        (np.full((9, 9), 200, np.uint8), {}, "the picture is blank"),
        (DIGIT, {"invert": 2}, "invert must be True, False or None; got 2"),
        (DIGIT, {"invert": True, "prepare": False}, "invert=True needs prepare=True"),
        (TWO, {"prepare": False}, r"expected spikes .* got shape \(8, 1, 28, 56\)"),
    ],
)
def test_wrong_arguments(picture: Any, options: Any, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        decide(load("mnist-mlp"), picture, **options)
