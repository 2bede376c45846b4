"""Networks that come with the package: their files and their cards."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from spikemnist import evaluate, load, load_digits
from spikemnist.encoding.registry import describe_encoder
from spikemnist.models import available_pretrained

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "src" / "spikemnist" / "models" / "weights"
NAMES = available_pretrained()


@pytest.mark.parametrize("name", NAMES)
def test_card_of_a_file(name: str) -> None:
    classifier, file = load(name), WEIGHTS / f"{name}.safetensors"
    card = json.loads(file.with_suffix(".json").read_text("utf-8"))
    assert card["encoder"] == describe_encoder(classifier.encoder)
    assert card["bytes"] == file.stat().st_size
    assert load(file).network.config == classifier.network.config
    assert card["accuracies"]["0"] == card["accuracy"]
    digits = load_digits()[1][:400]
    evaluation = evaluate(classifier, digits)
    # The digits are drawn from the 10,000 of the card: four standard errors of such a draw.
    error = math.sqrt(card["accuracy"] * (1 - card["accuracy"]) / len(digits))
    assert abs(evaluation.accuracy - card["accuracy"]) < 4 * error
    expected = {layer: spikes for layer, spikes in card["spikes"].items() if spikes is not None}
    assert evaluation.spikes_per_sample == pytest.approx(expected, rel=0.05)
    counts = card["operations"]  # an addition takes 0.9 pJ, a multiplication 4.6 pJ
    energy = 0.9 * counts["acs"] + 4.6 * (counts["macs"] + counts["decays"])
    assert card["energy"]["snn"] == pytest.approx(energy / 1000)
