"""The folder of a run: its files, its configuration, and when it is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from spikemnist.training.folder import locked, open_folder

from spikemnist import __version__, load
from spikemnist.training import TrainConfig
from spikemnist.training.checkpoint import load_checkpoint
from tests.training import small_runs
from tests.training.small_runs import PROCESSES, new_classifier, run, same, weights

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

    from spikemnist.models import Classifier

FILES = {"checkpoint.pt", "config.json", "metrics.csv", "model.safetensors"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    folder, classifier = tmp_path_factory.mktemp("runs") / "of/today", new_classifier()
    run(folder, classifier, epochs=1)
    return folder, classifier


@pytest.fixture
def copied(finished: tuple[Path, Classifier], tmp_path: Path) -> Path:
    return shutil.copytree(finished[0], tmp_path / "run")


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def configuration(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


def interrupt(history: object, classifier: object) -> None:
    raise KeyboardInterrupt


def test_a_finished_run_has_four_files(finished: tuple[Path, Classifier]) -> None:
    folder, classifier = finished
    assert names(folder) == FILES
    assert same(weights(load(folder)), weights(classifier))


def test_an_interrupted_run_has_a_model_once_it_is_resumed(tmp_path: Path) -> None:
    run(tmp_path, new_classifier(), epochs=2, callbacks=[interrupt])
    assert names(tmp_path) == FILES - {"model.safetensors"}
    run(tmp_path, new_classifier(), epochs=2, resume=True)
    assert names(tmp_path) == FILES


def test_the_configuration_describes_the_run(finished: tuple[Path, Classifier]) -> None:
    values = configuration(finished[0])
    assert list(values) == ["version", "classifier", "data", "settings"]
    assert values["version"] == __version__
    assert values["classifier"]["network"] == "LeakyMLP"
    assert values["classifier"]["hidden"] == [16]
    assert values["classifier"]["encoder"].startswith("RateEncoder(num_steps=5")
    assert values["data"]["train"].startswith("(200, 28, 28) torch.uint8 sha256:")
    assert values["data"]["validation"] == 0.2
    assert list(values["settings"]) == [field.name for field in fields(TrainConfig)]
    assert values["settings"]["epochs"] == 1


def test_numbers_of_numpy_are_written_as_numbers(tmp_path: Path) -> None:
    changes = {
        "lr": np.float64(5e-3),
        "clip_norm": np.float32(1.0),
        "seed": np.int64(7),
        "validation": np.float64(0.2),
        "schedule": lambda progress: np.cos(progress),
        "epochs": 1,
    }
    run(tmp_path, new_classifier(), **changes)
    settings = configuration(tmp_path)["settings"]
    assert (settings["lr"], settings["clip_norm"], settings["seed"]) == (5e-3, 1.0, 7)
    assert type(load_checkpoint(tmp_path / "checkpoint.pt").history.epochs[0].lr) is float


def test_more_epochs_at_a_constant_rate_are_written_down(tmp_path: Path) -> None:
    for epochs in (1, 2):
        run(tmp_path, new_classifier(), epochs=epochs, schedule="constant", resume=epochs > 1)
        assert configuration(tmp_path)["settings"]["epochs"] == epochs


def test_a_run_without_its_checkpoint_starts_anew(
    copied: Path, finished: tuple[Path, Classifier], capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "checkpoint.pt").unlink()
    classifier = new_classifier()
    run(copied, classifier, epochs=1, resume=True)
    line = f"spikemnist: no checkpoint.pt in {copied}: starting at the first epoch"
    assert line in capsys.readouterr().err.splitlines()
    assert same(weights(classifier), weights(finished[1]))
    assert names(copied) == FILES


@pytest.mark.parametrize("error", [FloatingPointError, OSError, RuntimeError, ValueError])
def test_a_run_that_fails_in_its_first_epoch_leaves_no_files(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error("not this one")

    folder, other = tmp_path / "run", tmp_path / "other/notes.txt"
    other.parent.mkdir()
    other.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(small_runs, "on_batch", [fail])
        for place in (folder, other.parent):
            with pytest.raises(error, match="not this one"):
                run(place, new_classifier())
    assert not folder.exists()
    assert names(other.parent) == {"notes.txt"}
    run(folder, new_classifier(), epochs=1)


def start_together(root: Path, rank: int, count: int, barrier: Barrier, pipe: Connection) -> None:
    begun = []
    for number in range(count):
        barrier.wait(60)
        with (
            contextlib.suppress(FileExistsError),
            open_folder(root / str(number), {"settings": {"rank": rank}}, resume=False),
        ):
            begun.append(number)
    pipe.send(begun)


def test_of_two_runs_that_begin_at_once_one_gets_the_folder(tmp_path: Path) -> None:
    count, barrier, results = 100, PROCESSES.Barrier(2), list[list[int]]()
    pipes = []
    for rank in range(2):
        ours, theirs = PROCESSES.Pipe()
        arguments = (tmp_path, rank, count, barrier, theirs)
        PROCESSES.Process(target=start_together, args=arguments, daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        assert pipe.poll(120), "a process hangs"
        results.append(pipe.recv())
    assert sorted(results[0] + results[1]) == [*range(count)]
    for rank, begun in enumerate(results):
        assert {configuration(tmp_path / str(n))["settings"]["rank"] for n in begun} <= {rank}


def test_a_run_is_not_disturbed_by_a_second_one(
    tmp_path: Path, finished: tuple[Path, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_another() -> None:
        monkeypatch.setattr(small_runs, "on_batch", [])
        with pytest.raises(FileExistsError, match="holds a run already"):
            run(tmp_path, new_classifier(seed=3), epochs=1, lr=1.0)
        with (
            pytest.raises(FileExistsError, match="holds a run already"),
            open_folder(tmp_path, {"settings": {}}, resume=False),
        ):  # as if it had looked before the first one began
            pass
        if sys.platform != "win32":
            with pytest.raises(FileExistsError, match=f"another process is training in {tmp_path}"):
                run(tmp_path, new_classifier(seed=3), epochs=1, resume=True)

    monkeypatch.setattr(small_runs, "on_batch", [begin_another])
    classifier = new_classifier()
    run(tmp_path, classifier, epochs=1)
    assert names(tmp_path) == FILES
    assert same(weights(classifier), weights(finished[1]))
    assert configuration(tmp_path) == configuration(finished[0])
    run(tmp_path, classifier, epochs=1, resume=True)  # the folder is free again


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_worker_that_lives_on_keeps_no_lock(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with locked(tmp_path):
        worker = os.fork()
        if not worker:
            os.read(reading, 1)
            os._exit(0)
    try:
        with locked(tmp_path):
            pass
    finally:
        os.write(writing, b"x")
        os.waitpid(worker, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such lock")
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    run(tmp_path, new_classifier(), epochs=1)
    assert names(tmp_path) == FILES


def test_a_folder_that_a_kill_left_empty_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    message = f"^{re.escape(str(tmp_path / 'config.json'))} is empty: a run begins here, or was k"
    with pytest.raises(FileExistsError, match=message):
        run(tmp_path, new_classifier())
    with pytest.raises(ValueError, match=message):
        run(tmp_path, new_classifier(), resume=True)
    (tmp_path / "config.json").unlink()
    run(tmp_path, new_classifier(), epochs=1)


def test_a_full_disk_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space left"):
            run(tmp_path, new_classifier())
    assert names(tmp_path) == set()


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_folder_with_any_file_of_a_run_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(FileExistsError, match="holds a run already: pass resume=True to continue"):
        run(tmp_path, new_classifier())
    assert names(tmp_path) == {name}


def test_runs_inside_a_folder_without_one_are_named(tmp_path: Path) -> None:
    message = "is not a run folder: it has no config.json; resume='auto' begins a run there"
    with pytest.raises(FileNotFoundError, match=message):
        run(tmp_path, new_classifier(), resume=True)
    inside = [tmp_path / name for name in "ab"]
    for folder in inside:
        folder.mkdir()
        (folder / "config.json").touch()
    message = f"no config.json; run folders in it are {inside[0]}, {inside[1]}"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        run(tmp_path, new_classifier(), resume=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"version": "1.0", "class', "Unterminated string"),
        ("[1, 2]", "it lacks 'classifier'"),
        ("3", "it lacks 'classifier'"),
        ('{"classifier": {}, "data": {}}', "it lacks 'settings'"),
        ('{"classifier": [], "data": {}, "settings": {}}', "it lacks 'classifier'"),
    ],
)
def test_a_damaged_configuration_is_refused(text: str, reason: str, copied: Path) -> None:
    file = copied / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))} is damaged: .*({reason})"):
        run(copied, new_classifier(), epochs=1, resume=True)
    assert file.read_text(encoding="utf-8") == text
