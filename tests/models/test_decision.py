"""Decisions on pictures, by networks and by local learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from spikemnist import Classifier, LeakyMLP, load, load_digits
from spikemnist.data import prepare_image
from spikemnist.encoding import RateEncoder
from spikemnist.models import Decision, Record
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier

TRAIN, TEST = load_digits()
DIGIT, OTHER = TEST.images[0].numpy(), TEST.images[1].numpy()
TWO = np.hstack([DIGIT, OTHER])
NETWORK = LeakyMLP(hidden=9, seed=0)


class Bare(nn.Module):
    """A network of another kind, which takes spikes alone."""

    def forward(self, spikes: Tensor) -> Record:
        return NETWORK(spikes)


def learned(kind: Any, **options: Any) -> Any:
    return kind(**options).fit(TRAIN.images[:60], TRAIN.labels[:60])


CLASSIFIERS: dict[str, Any] = {
    "pretrained": lambda: load("mnist-conv"),
    "random code": lambda: Classifier(NETWORK, RateEncoder(num_steps=5)),
    "another network": lambda: Classifier(Bare(), "latency"),
    "neurons": lambda: learned(STDPClassifier, n_neurons=20, theta_plus=0.1),
    "features": lambda: learned(ConvSTDPClassifier, n_features=4, epochs=1),
}


@pytest.mark.filterwarnings("ignore:.*use fewer neurons")
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_prediction_is_that_of_predict(kind: str) -> None:
    classifier = CLASSIFIERS[kind]()
    for image in TEST.images[:3]:
        decision = classifier.decide(image)
        assert decision.prediction == classifier.predict(prepare_image(image).unsqueeze(0))[0]
        assert torch.equal(decision.image, prepare_image(image))
        assert sum(decision.spikes.values()) > 0


def test_the_record_has_all_that_is_said() -> None:
    classifier = load("mnist-mlp")
    decision = classifier.decide(OTHER)
    record = classifier(prepare_image(OTHER).unsqueeze(0), record="all")
    actual = decision.second, decision.margin, decision.decided_after, decision.num_steps
    assert actual == (record.second, record.margin, record.decided, len(record.spikes))
    assert [*decision.spikes.values()] == record.spike_counts[:, 0].tolist()
    assert decision.record is not None
    assert len(decision.record.layers) == 2


def test_votes_have_no_margin_and_no_record() -> None:
    decision = learned(ConvSTDPClassifier, n_features=4, epochs=1).decide(TWO)
    assert (decision.margin, decision.sure, decision.record) == (None, None, None)
    assert decision.doubts == ("ink in 2 parts: several digits?",)
    assert [name for name, _ in decision.table().rows] == [
        *("prediction", "second", "spikes", "pixels", "strokes")
    ]


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "digit.png"
    picture = Image.fromarray(255 - DIGIT)
    picture.save(file)
    classifier = load("mnist-mlp")
    decisions = [classifier.decide(each) for each in (file, str(file), picture, 255 - DIGIT)]
    assert len({repr(decision) for decision in decisions}) == 1
    assert (decisions[0].strokes, decisions[0].pixels) == ("dark on light", (28, 28))


def test_doubts() -> None:
    trained, untrained = load("mnist-mlp"), Classifier(NETWORK, "latency")
    assert (trained.decide(DIGIT).doubts, trained.decide(DIGIT).sure) == ((), True)
    doubtful = untrained.decide(TWO)
    assert doubtful.doubts == ("not sure", "ink in 2 parts: several digits?")
    assert doubtful.answer == f"{doubtful.prediction} ({'; '.join(doubtful.doubts)})"
    margin = untrained.decide(DIGIT).margin
    assert untrained.decide(DIGIT, sure_from=margin).sure
    assert not untrained.decide(DIGIT, sure_from=margin + 1e-6).sure


def test_names_of_the_classes() -> None:
    names = [f"name {label}" for label in range(10)]
    decision = Classifier(NETWORK, "latency", names).decide(DIGIT)
    first, second = decision.prediction, decision.second
    assert decision.classes == (names[first], names[second])
    rows = dict(decision.table().rows)
    assert rows["prediction"].startswith(f"{first}, name {first}")
    assert rows["second"] == f"{second}, name {second}"


def test_the_table_and_the_fields() -> None:
    decision = load("mnist-mlp").decide(TWO)
    assert dict(decision.table().rows) == {
        "prediction": decision.answer,
        "second": str(decision.second),
        "margin": f"{decision.margin:.2f} of 1, sure from 0.5",
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
    decision: Decision = classifier.decide(colours, prepare=False)
    assert np.array_equal(decision.image.movedim(0, -1), colours)
    assert (decision.pixels, decision.strokes, decision.parts) == ((16, 20), None, 1)


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
        load("mnist-mlp").decide(picture, **options)
