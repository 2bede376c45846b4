"""A fit that Ctrl-C or an error ends, and what it leaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from tests.plasticity.bar_images import IMAGES, LABELS, TEST_IMAGES, after, small

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")

BLOCKS = 7
"""Blocks of a pass over 400 images."""


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def fail() -> None:
    raise OSError("the disk is full")


@pytest.mark.parametrize(("block", "seen"), [(2, 128), (BLOCKS, 400), (BLOCKS + 2, 528)])
def test_ctrl_c_ends_a_fit_after_the_block(
    block: int, seen: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run" / "model.safetensors"
    after(block, monkeypatch, press)
    stopped = small(passes=2).fit(IMAGES, LABELS, progress=False, run=file.parent)
    assert stopped.interrupted_
    assert stopped.n_images_seen_ == seen
    assert stopped.responses_.any()
    assert STDPClassifier.load(file).n_images_seen_ == seen


def test_ctrl_c_before_the_first_block(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = STDPClassifier._passes

    def pressing(*arguments: Any, **options: Any) -> Iterator[None]:
        press()
        return passes(*arguments, **options)

    monkeypatch.setattr(STDPClassifier, "_passes", pressing)
    assert small().fit(IMAGES, LABELS, progress=False).n_images_seen_ == 64


def test_ctrl_c_while_neurons_are_assigned(
    fitted: STDPClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = CompetitiveLayer.respond

    def pressing(layer: CompetitiveLayer, *arguments: Any) -> np.ndarray:
        press()
        return respond(layer, *arguments)

    monkeypatch.setattr(CompetitiveLayer, "respond", pressing)
    stopped = small().fit(IMAGES, LABELS, progress=False)
    assert stopped.interrupted_
    assert np.array_equal(stopped.weights_, fitted.weights_)
    assert stopped.responses_.any()


def test_a_fit_that_fails_leaves_its_last_whole_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run" / "model.safetensors"
    after(BLOCKS, monkeypatch, press)
    whole = small(passes=2).fit(IMAGES, LABELS, progress=False)
    monkeypatch.undo()
    after(BLOCKS + 3, monkeypatch, fail)
    with pytest.raises(OSError, match="the disk is full"):
        small(passes=2).fit(IMAGES, LABELS, progress=False, run=file.parent)
    left = STDPClassifier.load(file)
    assert left.n_images_seen_ == whole.n_images_seen_ == 400
    assert np.array_equal(left.weights_, whole.weights_)
    assert left.predict(TEST_IMAGES).shape == (200,)
