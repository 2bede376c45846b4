"""The page of the pretrained networks, made of their cards."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spikemnist.models import available_pretrained

ROOT = Path(__file__).resolve().parents[2]
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


def test_page_of_the_cards(script: ModuleType) -> None:
    page = (ROOT / "docs" / "pretrained.md").read_text(encoding="utf-8")
    assert page == script.page(script.read_cards())
