"""Laws of `Classifier`, a network and its encoder as one object.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from spikemnist import (
    Classifier,
    LeakyMLP,
    TrainConfig,
    evaluate,
    fit,
    load,
    load_digits,
)
from spikemnist.encoding import DirectEncoder, Encoder, LatencyEncoder, RateEncoder
from tests.models.stepped_network import same

if TYPE_CHECKING:
    from spikemnist.models import Record

DIGITS = load_digits()[1][:20]
BINARY = [LatencyEncoder(num_steps=5), RateEncoder(num_steps=5)]
DIRECT = DirectEncoder(num_steps=5)


def make(
    encoder: Encoder | str = "latency", in_features: int = 784, classes: Any = ()
) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = LeakyMLP(30, in_features=in_features, threshold=0.3, input_dropout=0.5)
    return Classifier(network, encoder, classes)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_batch_size_changes_no_answer(size: int) -> None:
    """The rate code draws the same spikes for an image in a batch of any size."""
    classifier, images = make("rate"), load_digits()[1][:64]
    expected = evaluate(classifier, images, batch_size=64)
    evaluation = evaluate(classifier, images, batch_size=size)
    assert torch.equal(evaluation.confusion, expected.confusion)
    assert evaluation.spikes_per_sample == expected.spikes_per_sample
    assert torch.equal(classifier.predict(images, batch_size=size), classifier.predict(images))


@pytest.mark.parametrize("encoder", [*BINARY, DIRECT], ids=repr)
def test_record_of_encoded_images(encoder: Encoder) -> None:
    classifier = make(encoder).eval()
    expected = classifier.network(encoder(DIGITS.images, generator=seeded()), record="all")
    record = classifier(DIGITS.images, generator=seeded(), record="all")
    assert same(record, expected)
    assert record.input is not None
    assert torch.equal(record.input, expected.input)
    alone = classifier(DIGITS.images, generator=seeded())
    assert same(alone, expected)
    assert alone.layers == ()


@pytest.mark.parametrize("encoder", [*BINARY, DIRECT, "latency"], ids=repr)
def test_dtype_of_binary_codes(encoder: Encoder | str) -> None:
    classifier = make(encoder)
    spikes = classifier.encode(DIGITS.images, generator=seeded())
    floats = classifier.encoder(DIGITS.images, generator=seeded())
    assert floats.dtype == torch.float32
    assert spikes.dtype == (torch.float32 if encoder is DIRECT else torch.uint8)
    assert torch.equal(spikes.float(), floats)


@pytest.mark.parametrize("data", [DIGITS.images, DIGITS], ids=["images", "ImageDataset"])
def test_predictions_are_the_highest_scores(data: Any) -> None:
    classifier, samples = make(), DIGITS.images
    classifier.network.network[1].eval()  # one module in another mode than the others
    modes = [module.training for module in classifier.modules()]
    classes = classifier.predict(data, batch_size=7)
    assert [module.training for module in classifier.modules()] == modes
    assert torch.equal(classes, copy.deepcopy(classifier).eval()(samples).scores.argmax(1))
    assert not torch.equal(classifier(samples).scores, classifier(samples).scores)


def test_seed_of_predictions() -> None:
    classifier = make(RateEncoder(num_steps=2))
    before = torch.get_rng_state()
    first, second, other = (classifier.predict(DIGITS, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_read_only_encoder() -> None:
    classifier = make()
    with pytest.raises(AttributeError, match="encoder"):
        classifier.encoder = DIRECT  # type: ignore[misc]


def test_encoder_by_name() -> None:
    assert make("latency").encoder == LatencyEncoder(num_steps=8)


def test_class_names(tmp_path: Path) -> None:
    classes = ("zero", "one", "größer", *"defghij")
    classifier = make(classes=list(classes))
    assert classifier.classes == classes
    assert load(classifier.save(tmp_path / "digits.safetensors")).classes == classes
    assert classifier(DIGITS.images).classes == classes
    assert evaluate(classifier, DIGITS, device="cpu").classes == classes


class Own(nn.Module):
    """A network of another kind, which takes spikes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = LeakyMLP(hidden=20, threshold=0.2)

    def forward(self, spikes: Tensor) -> Record:
        assert spikes.dtype == torch.float32
        record: Record = self.inner(spikes)
        return record


def test_floats_for_another_kind_of_network() -> None:
    classifier = Classifier(Own(), "latency")
    before = copy.deepcopy(classifier.state_dict())
    fit(classifier, DIGITS, TrainConfig(epochs=1), device="cpu", progress=False)
    assert all(not torch.equal(x, before[name]) for name, x in classifier.named_parameters())
    evaluation = evaluate(classifier, DIGITS, device="cpu")
    right = (classifier.predict(DIGITS) == DIGITS.labels).double().mean()
    assert evaluation.accuracy == pytest.approx(float(right))
