"""Interrupted or killed, and resumed: the bits of a fit without interruption."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikemnist.plasticity import STDPClassifier
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from tests.plasticity.bar_images import IMAGES, LABELS, after, same, small

pytestmark = pytest.mark.filterwarnings("ignore:.*neuron")

BLOCKS = 7
"""Blocks of a pass over 400 images."""


def fit(file: Path | None = None, **options: Any) -> STDPClassifier:
    """Run two passes."""
    resume = file is not None and file.exists()
    classifier = small(passes=2)
    return classifier.fit(IMAGES, LABELS, progress=False, checkpoint=file, resume=resume, **options)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def uninterrupted() -> STDPClassifier:
    return fit()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a finished fit."""
    file = tmp_path_factory.mktemp("saved") / "stdp.safetensors"
    fit(file)
    return file


@pytest.mark.parametrize(("block", "seen"), [(2, 128), (BLOCKS, 400), (BLOCKS + 2, 528)])
def test_ctrl_c_ends_a_fit_that_can_be_resumed(
    block: int,
    seen: int,
    uninterrupted: STDPClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "stdp.safetensors"
    with monkeypatch.context() as patch:
        after(block, patch, press)
        stopped = fit(file)
    assert stopped.interrupted_
    assert stopped.n_images_seen_ == seen
    assert stopped.responses_.any()
    assert file.exists() == (seen >= 400)
    resumed = fit(file)
    assert resumed.interrupted_ is False
    assert same(resumed, uninterrupted)


def test_ctrl_c_while_neurons_are_assigned(
    uninterrupted: STDPClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = CompetitiveLayer.respond

    def pressing(layer: CompetitiveLayer, *arguments: Any) -> np.ndarray:
        press()
        return respond(layer, *arguments)

    monkeypatch.setattr(CompetitiveLayer, "respond", pressing)
    stopped = fit()
    assert stopped.interrupted_
    assert np.array_equal(stopped.weights_, uninterrupted.weights_)
    assert stopped.responses_.any()


KILL = int(getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows, SIGTERM ends it at once
KILLED = f"""
import os, pathlib, sys, pytest
from tests.plasticity import bar_images, test_stdp_resume
with pytest.MonkeyPatch.context() as patch:
    bar_images.after({BLOCKS + 3}, patch, lambda: os.kill(os.getpid(), {KILL}))
    test_stdp_resume.fit(pathlib.Path(sys.argv[1]))
"""


def test_a_killed_or_finished_fit_is_resumed(uninterrupted: STDPClassifier, tmp_path: Path) -> None:
    file = tmp_path / "stdp.safetensors"
    process = subprocess.run([sys.executable, "-c", KILLED, file], check=False, timeout=120)
    assert abs(process.returncode) == KILL
    assert STDPClassifier.load(file).n_images_seen_ == 400
    assert same(fit(file), uninterrupted)
    before = file.read_bytes()
    assert same(fit(file), uninterrupted)
    assert file.read_bytes() == before


OTHER_FITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "parameters": ({"n_neurons": 5, "rest": 1.0}, {}, "n_neurons was 20, is 5; rest was 150.0, is"),
    "passes": ({"passes": 3}, {}, "passes was 2, is 3"),
    "classes": (
        {},
        {"labels": LABELS + 1},
        r"learned the classes \[0, 1\] .*expected \[1, 2\]",
    ),
    "number of images": (
        {},
        {"images": IMAGES[:399], "labels": LABELS[:399]},
        "from 800 images; expected .* whole passes over 399",
    ),
    "size of images": ({}, {"images": IMAGES[:, :5]}, "images must have 36 pixels.* got 30"),
}


@pytest.mark.parametrize("difference", OTHER_FITS)
def test_another_fit_cannot_be_resumed(
    difference: str, saved: Path, uninterrupted: STDPClassifier
) -> None:
    options, data, message = OTHER_FITS[difference]
    before = saved.read_bytes()
    classifier = copy.deepcopy(uninterrupted).set_params(**options)
    arguments = {"images": IMAGES, "labels": LABELS, **data}
    with pytest.raises(ValueError, match=message):
        classifier.fit(**arguments, checkpoint=saved, resume=True, progress=False)
    assert saved.read_bytes() == before
    assert same(classifier.set_params(**uninterrupted.get_params()), uninterrupted)


def test_the_file_must_exist_to_be_resumed_and_not_otherwise(saved: Path, tmp_path: Path) -> None:
    classifier = small(passes=2)
    with pytest.raises(FileExistsError, match=r"stdp.safetensors holds an earlier run: pass "):
        classifier.fit(IMAGES, LABELS, checkpoint=saved)
    with pytest.raises(ValueError, match="resume=True needs the checkpoint= file to resume from"):
        classifier.fit(IMAGES, LABELS, resume=True)
    with pytest.raises(FileNotFoundError, match=r"no STDP classifier at .*missing"):
        classifier.fit(IMAGES, LABELS, checkpoint=tmp_path / "missing", resume=True)
