"""The public names. A name goes only after a release that warns of it."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import spikemnist

DOCS = Path(__file__).resolve().parent.parent / "docs"
FIRST = """
    Classifier DirectEncoder LatencyEncoder LeakyConvNet LeakyMLP RateEncoder
    STDPClassifier TrainConfig accelerate decide diagnose evaluate fit get_encoder load load_digits
    load_fashion_mnist load_images load_mnist load_nmnist measure_energy measure_limits summary
"""


def on_page(room: str) -> list[str]:
    """Return the names in the tables of a page, and the constants with a line of their own."""
    page = (DOCS / "api" / f"{room}.md").read_text("utf-8")
    names = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    return names + re.findall(r"^\.\. (?:py:|auto)data:: (?:.*\.)?(\w+)$", page, re.MULTILINE)


ROOMS = [name for name in spikemnist.__all__ if inspect.ismodule(getattr(spikemnist, name))]
NAMES = {room: on_page(room) for room in ROOMS}
PLACES = {**NAMES, "_load": ["load"]}  # of the names that come first


@pytest.mark.parametrize("room", NAMES)
def test_public_names(room: str) -> None:
    """Each is on the page of its room, so that adding one is a decision."""
    module = importlib.import_module(f"spikemnist.{room}")
    assert {*module.__all__} <= {*NAMES[room]}
    assert {*module.__all__} <= {*dir(module)}
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    with pytest.raises(AttributeError, match=f"'spikemnist.{room}' has no attribute 'Nonsense'"):
        _ = module.Nonsense


def test_first_names() -> None:
    first = {*spikemnist.__all__} - {*NAMES, "__version__"}
    assert first <= {*FIRST.split()}
    assert dir(spikemnist) == sorted(spikemnist.__all__)
    for name in first:
        (room,) = [room for room, names in PLACES.items() if name in names]
        module = importlib.import_module(f"spikemnist.{room}")
        assert getattr(spikemnist, room) is module
        assert getattr(module, name) is getattr(spikemnist, name)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="'spikemnist' has no attribute 'LeakyConvolution'"):
        _ = spikemnist.LeakyConvolution
    with pytest.raises(ImportError, match="LeakyConvolution"):
        from spikemnist import LeakyConvolution  # noqa: F401
