"""Networks that come with the package: their files, their cards, and the page made of them."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spikemnist import evaluate, load, load_digits
from spikemnist.encoding.registry import describe_encoder
from spikemnist.models import available_pretrained

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "src" / "spikemnist" / "models" / "weights"
NAMES = available_pretrained()


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_pretrained", ROOT / "scripts" / "make_pretrained.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cards(script: ModuleType) -> dict[str, dict[str, Any]]:
    return {card["name"]: card for card in script.read_cards()}


def test_cards_and_commands(cards: dict[str, dict[str, Any]], script: ModuleType) -> None:
    assert set(NAMES) == set(cards) == set(script.COMMANDS) == set(script.SUMMARIES)
    assert {"mnist-mlp", "mnist-conv", "mnist-sparse"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_card_of_a_file(name: str, cards: dict[str, dict[str, Any]]) -> None:
    card, classifier, file = cards[name], load(name), WEIGHTS / f"{name}.safetensors"
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


def test_page_of_the_cards(script: ModuleType) -> None:
    page = (ROOT / "docs" / "pretrained.md").read_text(encoding="utf-8")
    assert page == script.page(script.read_cards())
