"""Interrupted, killed, saved and loaded: nothing of what was learned is lost."""

from __future__ import annotations

import copy
import shutil
import signal
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.numpy

from spikemnist import _tensor_files
from spikemnist.plasticity import STDPClassifier, files, training_loop
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from tests.plasticity.bar_images import (
    ANSWERS,
    IMAGES,
    LABELS,
    LOAD,
    OTHERS,
    STOP,
    after,
    digest,
    press,
    python,
    same,
    small,
    twice,
)

if TYPE_CHECKING:
    from pathlib import Path

# Whether all neurons fire matters to two tests, which ask for these warnings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*neurons never fired:UserWarning"),
    pytest.mark.filterwarnings("ignore:neuron .* made .* of all spikes:UserWarning"),
]

posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process without its console"
)


@posix
@pytest.mark.parametrize(("blocks", "seen"), [(1, 64), (7, 400), (9, 528), (14, 800)])
def test_a_real_interrupt_ends_cleanly_and_resumes_to_the_same_bits(
    blocks: int,
    seen: int,
    undisturbed: STDPClassifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, handler = tmp_path / "run.safetensors", signal.getsignal(signal.SIGINT)
    after(blocks, monkeypatch, press)
    stopped = twice().fit(IMAGES, LABELS, checkpoint=file, progress=False)
    monkeypatch.undo()
    assert stopped.interrupted_
    assert stopped.n_images_seen_ == seen
    assert stopped.responses_.any()
    assert len(stopped.predict(OTHERS)) == 200
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = twice().fit(IMAGES, LABELS, checkpoint=file, resume=True, progress=False)
    assert resumed.interrupted_ is False
    assert same(resumed, undisturbed)
    assert digest(resumed) == digest(undisturbed)


@posix
def test_an_interrupt_while_neurons_are_assigned_keeps_what_was_learned(
    undisturbed: STDPClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = CompetitiveLayer.respond

    def pressing(layer: CompetitiveLayer, *arguments: Any) -> np.ndarray:
        press()
        return respond(layer, *arguments)

    monkeypatch.setattr(CompetitiveLayer, "respond", pressing)
    stopped = twice().fit(IMAGES, LABELS, progress=False)
    monkeypatch.undo()
    assert stopped.interrupted_
    assert np.array_equal(stopped.weights_, undisturbed.weights_)
    assert stopped.score(OTHERS, ANSWERS) > 0.9


@posix
def test_a_second_interrupt_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def press_twice() -> None:
        press()
        press()

    after(2, monkeypatch, press_twice)
    with pytest.raises(KeyboardInterrupt):
        twice().fit(IMAGES, LABELS, progress=False)
    assert signal.getsignal(signal.SIGINT) is handler


def test_another_thread_can_fit(fitted: STDPClassifier) -> None:
    """Only the main thread may say what a signal does."""
    classifier = small()
    worker = threading.Thread(target=classifier.fit, args=(IMAGES, LABELS))
    worker.start()
    worker.join()
    assert same(classifier, fitted)


# The block, and what had been saved by then: nothing but the beginning, 320, 400 and 656 images.
KILLS = {
    "first block": (1, 0),
    "first pass": (6, 320),
    "between the passes": (8, 400),
    "second pass": (12, 656),
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What a kill leaves behind: checkpoints of a run as they were at some moments, by when."""
    root = tmp_path_factory.mktemp("killed")
    found = {moment: root / f"{moment}.safetensors" for moment in (*KILLS, "assigning")}
    respond = CompetitiveLayer.respond

    def keep(moment: str) -> None:
        shutil.copy(root / "run.safetensors", found[moment])

    def assign(*arguments: Any) -> np.ndarray:
        keep("assigning")
        return respond(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_loop, "SAVED_EVERY", 100)
        for moment, (block, _) in KILLS.items():
            after(block, patch, partial(keep, moment))
        patch.setattr(CompetitiveLayer, "respond", assign)
        twice().fit(IMAGES, LABELS, checkpoint=root / "run.safetensors", progress=False)
    return found


def test_a_process_that_is_killed_leaves_that_behind(
    tmp_path: Path, killed: dict[str, Path]
) -> None:
    file = tmp_path / "run.safetensors"
    process = python(STOP, file, str(KILLS["second pass"][0]))
    assert process.stdout is not None
    line = process.stdout.readline()
    process.kill()
    process.communicate()
    assert line == "here\n", f"the run ended early: {line!r}"
    assert file.read_bytes() == killed["second pass"].read_bytes()


@pytest.mark.parametrize(
    ("moment", "seen"),
    [*((moment, seen) for moment, (_, seen) in KILLS.items()), ("assigning", 800)],
)
def test_a_killed_run_resumes_to_the_same_bits(
    moment: str, seen: int, killed: dict[str, Path], undisturbed: STDPClassifier
) -> None:
    _, metadata = _tensor_files.read(killed[moment], files.CHECKPOINT)
    assert metadata["progress"]["seen"] == seen
    resumed = twice().fit(IMAGES, LABELS, checkpoint=killed[moment], resume=True, progress=False)
    assert same(resumed, undisturbed)
    assert digest(resumed) == digest(undisturbed)


def test_resuming_a_finished_run_changes_nothing(
    tmp_path: Path, undisturbed: STDPClassifier
) -> None:
    file = tmp_path / "run.safetensors"
    twice().fit(IMAGES, LABELS, checkpoint=file, progress=False)
    again = twice().fit(IMAGES, LABELS, checkpoint=file, resume=True, progress=False)
    assert same(again, undisturbed)


def test_the_history_survives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "WINDOW", 100)
    whole = twice().fit(IMAGES, LABELS, progress=False)
    assert whole.accuracy_history_.shape == (11, 2)
    with monkeypatch.context() as here:
        after(6, here, lambda: (_ for _ in ()).throw(ConnectionError()))
        here.setattr(training_loop, "SAVED_EVERY", 64)
        with pytest.raises(ConnectionError):
            twice().fit(IMAGES, LABELS, checkpoint=tmp_path / "c", progress=False)
    resumed = twice().fit(IMAGES, LABELS, checkpoint=tmp_path / "c", resume=True, progress=False)
    assert same(resumed, whole)


def brighter() -> np.ndarray:
    images = IMAGES.copy()
    images[7, 3, 3] ^= 1
    return images


DIFFERENT = {
    "neurons": ({"n_neurons": 21}, {}, r"n_neurons was 20, is 21"),
    "passes": ({"passes": 3}, {}, r"passes was 2, is 3"),
    "threshold": ({"theta_plus": None}, {}, r"theta_plus was 0.5, is 0.05"),
    "voting": ({"voting": "assigned"}, {}, r"voting was 'proportional', is 'assigned'"),
    "seed": ({"random_state": 1}, {}, r"random_state was 0, is 1"),
    "several": ({"n_neurons": 5, "rest": 1.0}, {}, r"n_neurons was 20, is 5; rest was 150.0, is 1"),
    "images": ({}, {"images": brighter()}, r"data was \[400, .*\], is \[400,"),
    "labels": ({}, {"labels": 1 - LABELS}, r"data was \[400, .*\], is \[400,"),
    "fewer images": (
        {},
        {"images": IMAGES[:399], "labels": LABELS[:399]},
        r"data was \[400, .*\], is \[399,",
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_resuming_another_run_names_the_difference(what: str, killed: dict[str, Path]) -> None:
    options, data, message = DIFFERENT[what]
    file = killed["assigning"]
    before = file.read_bytes()
    arguments = {"images": IMAGES, "labels": LABELS, **data}
    with pytest.raises(ValueError, match="cannot resume .* with another configuration: " + message):
        twice(**options).fit(**arguments, checkpoint=file, resume=True, progress=False)
    assert file.read_bytes() == before


def test_a_refused_resume_leaves_a_fitted_classifier_as_it_was(
    killed: dict[str, Path], undisturbed: STDPClassifier
) -> None:
    classifier = copy.deepcopy(undisturbed).set_params(random_state=1)
    with pytest.raises(ValueError, match="random_state was 0, is 1"):
        classifier.fit(OTHERS, ANSWERS, checkpoint=killed["assigning"], resume=True, progress=False)
    assert same(classifier, undisturbed)
    fresh = twice(random_state=1)
    with pytest.raises(ValueError, match="random_state was 0, is 1"):
        fresh.fit(IMAGES, LABELS, checkpoint=killed["assigning"], resume=True, progress=False)
    with pytest.raises(ValueError, match="not fitted yet"):
        fresh.predict(OTHERS)


def test_an_existing_checkpoint_is_never_overwritten(killed: dict[str, Path]) -> None:
    file = killed["assigning"]
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match=r"assigning.safetensors holds an earlier run: pass "):
        twice().fit(IMAGES, LABELS, checkpoint=file, progress=False)
    assert file.read_bytes() == before


def test_resuming_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="resume=True needs the checkpoint= file to resume from"):
        small().fit(IMAGES, LABELS, resume=True)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of an STDP .*missing"):
        small().fit(IMAGES, LABELS, checkpoint=tmp_path / "missing", resume=True)


def test_a_fit_that_fails_at_once_leaves_no_checkpoint_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one entry for each"):
        small().fit(IMAGES, LABELS[1:], checkpoint=tmp_path / "run.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_what_is_loaded_elsewhere_predicts_the_same(tmp_path: Path, fitted: STDPClassifier) -> None:
    file = fitted.save(tmp_path / "classifier.safetensors")
    said, _ = python(LOAD, file).communicate(timeout=120)
    assert said.split() == [digest(fitted)]
    loaded = STDPClassifier.load(file)
    assert same(loaded, fitted)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.n_features_in_ == fitted.n_features_in_


def test_what_is_loaded_goes_on_to_the_same_bits(
    tmp_path: Path, fitted: STDPClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "WINDOW", 150)
    begun = small().fit(IMAGES, LABELS, progress=False)
    loaded = STDPClassifier.load(begun.save(str(tmp_path / "classifier.safetensors")))
    for classifier in (begun, loaded):
        classifier.partial_fit(OTHERS, ANSWERS)
    assert len(begun.accuracy_history_)
    assert same(begun, loaded)
    assert not np.array_equal(begun.weights_, fitted.weights_)


def test_a_damaged_or_foreign_file_is_refused(
    tmp_path: Path, fitted: STDPClassifier, killed: dict[str, Path]
) -> None:
    file = fitted.save(tmp_path / "classifier.safetensors")
    whole = file.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], b"no such thing" * 99):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            STDPClassifier.load(file)
    safetensors.numpy.save_file({"weights": np.zeros(3)}, file)
    with pytest.raises(ValueError, match="but not one that spikemnist wrote"):
        STDPClassifier.load(file)
    with pytest.raises(ValueError, match=r"has format 'spikemnist-stdp-checkpoint-1', written by"):
        STDPClassifier.load(killed["assigning"])
    fitted.save(file)
    with pytest.raises(ValueError, match="expected 'spikemnist-stdp-checkpoint-1'"):
        twice().fit(IMAGES, LABELS, checkpoint=file, resume=True)
    with pytest.raises(FileNotFoundError, match="no STDP classifier at"):
        STDPClassifier.load(tmp_path / "missing")
