"""The folder of a run: its files, its description, and when it is refused."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from snntorch import surrogate

from spikemnist import Classifier, LeakyConvNet, TrainConfig, __version__, fit, load
from spikemnist._run_folder import locked, open_folder
from spikemnist.data import ImageDataset
from spikemnist.encoding import RateEncoder
from spikemnist.training import Recipe
from tests.files.test_resume import of_snntorch
from tests.rooms import of_rooms
from tests.training import small_runs
from tests.training.small_runs import (
    BATCHES,
    FIELDS,
    RANDOM,
    Wrapped,
    digits,
    interrupt_after,
    new_classifier,
    new_network,
    run,
    same,
    watched,
    weights,
)

FILES = {"checkpoint.pt", "config.json", "metrics.csv", "model.safetensors"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Classifier]:
    folder, classifier = tmp_path_factory.mktemp("runs") / "of/today", new_classifier()
    run(folder, classifier, epochs=1)
    return folder, classifier


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def description(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return values


def test_files_and_model_of_a_run(tmp_path: Path) -> None:
    classifier, folder = new_classifier(), tmp_path / "run"
    run(folder, new_classifier(), epochs=2, callbacks=[interrupt_after(1)], resume="auto")
    assert names(folder) == FILES - {"model.safetensors"}
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors, because the run has"):
        classifier.load_weights(folder)
    run(folder, classifier, epochs=2, resume="auto")
    assert names(folder) == FILES
    assert same(weights(load(folder)), weights(classifier))


def test_description_of_a_run(tmp_path: Path) -> None:
    """It is its recipe, from which the run can be made again, and its data."""
    torch.manual_seed(0)
    classifier = Classifier(LeakyConvNet("2C5-P2-3"), RANDOM, tuple("abc"))
    data = replace(digits(30), labels=digits(30).labels % 3, classes=("a", "b", "c"))
    # Numbers of NumPy are written as numbers.
    changes = {"lr": np.float64(5e-3), "seed": np.int64(7), "schedule": np.cos}
    config = TrainConfig(epochs=1, batch_size=10, augment=("flip",), **changes)
    fit(classifier, data, config, run=tmp_path, validation=np.float64(0.2))
    values = description(tmp_path)
    assert list(values) == ["version", *Recipe().to_json(), "data", "threads"]
    assert (values["version"], values["threads"]) == (__version__, torch.get_num_threads())
    recipe = Recipe.from_json(values)
    assert recipe == Recipe.of(classifier, config, (28, 28))
    assert (recipe.config.lr, recipe.config.seed) == (5e-3, 7)
    assert (recipe.sample, recipe.classes) == ((28, 28), ("a", "b", "c"))
    assert recipe.classifier().network.config == classifier.network.config
    assert re.fullmatch("sha256:[0-9a-f]{16}", values["data"].pop("digest"))
    expected = {"name": "digits", "root": "", "samples": 30, "validation": 0.2}
    assert values["data"] == expected


def brighter(data: ImageDataset) -> ImageDataset:
    images = data.images.clone()
    images[0, 0, 0] += 1
    return replace(data, images=images)


RUNS: dict[str, tuple[Callable[..., Classifier], dict[str, Any]]] = {
    "ours": (partial(new_classifier, dropout=0.1), {}),
    "constant": (new_classifier, {"schedule": "constant", "epochs": 2, "validation": None}),
    "snnTorch": (of_snntorch, {}),
    "learned": (partial(of_snntorch, learn_beta=True), {"lr": 0.1}),
    "module": (lambda **options: Classifier(Wrapped(new_network(**options)), RANDOM), {}),
    **dict(of_rooms("RUNS")),
    "batches": (new_classifier, {"train": [*digits(50).batches(10)], "validation": digits(20)}),
}
"""Kinds of runs: how the classifier is made, and settings."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, (make, settings) in RUNS.items():
        run(folder / name, make(), **{"epochs": 1, **settings})
    return folder


def resume(kind: str, folder: Path, changes: dict[str, Any]) -> None:
    """Resume a run with other options or settings."""
    make, settings = RUNS[kind]
    own = {name: changes[name] for name in changes.keys() - FIELDS - {"train", "validation"}}
    classifier = make(**own)
    before = weights(classifier)
    others = {name: value for name, value in changes.items() if name not in own}
    try:
        run(folder, classifier, resume=True, **{"epochs": 1, **settings, **others})
    except ValueError:
        assert same(weights(classifier), before)
        raise


SECOND = "network.modules.network.2."
OTHER: list[tuple[str, dict[str, Any], str]] = [
    ("ours", {"epochs": 5, "seed": 8}, "config.epochs was 1, is 5; config.seed was 7, is 8. R"),
    ("ours", {"optimizer": torch.optim.RMSprop}, "config.optimizer was 'adam', is 'torch.optim."),
    ("ours", {"loss": lambda *given: watched(*given)}, f"config.loss was '{watched.__module__}.w"),
    ("ours", {"initial_rate": 0.1}, "config.initial_rate was None, is 0.1"),
    ("ours", {"augment": ("affine",)}, "config.augment was None, is ['affine']"),
    ("ours", {"validation": 0.25}, "data.validation was 0.2, is 0.25"),
    ("ours", {"validation": digits(20)}, "data.validation was 0.2, is 'sha256:"),
    ("ours", {"train": brighter(digits())}, "data.digest was 'sha256:"),
    ("ours", {"train": replace(digits(), labels=digits().labels.roll(1))}, "data.digest was"),
    ("ours", {"train": digits(190)}, "data.samples was 200, is 190; data.digest"),
    ("ours", {"encoder": RateEncoder(num_steps=6)}, "encoder.num_steps was 5, is 6"),
    ("ours", {"hidden": (17,)}, "network.hidden was [16], is [17]"),
    ("ours", {"spike_grad": "sigmoid"}, "network.spike_grad.name was 'atan', is 'sigmoid'"),
    ("ours", {"learn_beta": True}, "network.learn_beta was False, is True"),
    ("constant", {"epochs": 1}, "config.epochs was 2, is 1. Resume"),
    ("constant", {"schedule": "cosine"}, "config.schedule was 'constant', is 'cosine'"),
    ("snnTorch", {"reset_mechanism": "zero"}, f"{SECOND}reset_mechanism was 'subtract', is "),
    (
        "snnTorch",
        {"spike_grad": surrogate.fast_sigmoid()},
        f"{SECOND}spike_grad.name was 'atan', is 'fast_sigmoid'",
    ),
    ("snnTorch", {"beta": 0.8}, f"{SECOND}beta was 0.9, is 0.8"),
    ("snnTorch", {"threshold": 0.5}, f"{SECOND}threshold was 0.3, is 0.5"),
    ("snnTorch", {"beta": torch.full((16,), 0.8)}, f"{SECOND}beta was 0.9, is [0.8, 0.8"),
    ("snnTorch", {"learn_beta": True}, f"{SECOND}beta was 0.9, is None"),
    ("snnTorch", {"scores": {"readout": "spike_count"}}, "network.readout was 'mean_membrane', is"),
    ("snnTorch", {"scores": {"population": 2}}, "network.population was 1, is 2"),
    ("module", {"hidden": (17,)}, "network.modules.inner.network.0.linear.options was 'in_feat"),
    *of_rooms("OTHER"),
    ("batches", {"train": digits(50)}, "sample was [], is [28, 28]; data."),
]
"""Kinds of runs, changes of their options or settings, and the difference in words."""


@pytest.mark.usefixtures("neurons")
@pytest.mark.filterwarnings("ignore:Inhibition", "ignore:snnTorch steps this network")
@pytest.mark.parametrize(("kind", "changes", "words"), OTHER)
def test_another_run_is_refused_by_the_difference(
    kind: str, changes: dict[str, Any], words: str, runs: Path
) -> None:
    folder = runs / kind
    before = (folder / "checkpoint.pt").read_bytes()
    message = f"cannot resume {folder} with another configuration: {words}"
    with pytest.raises(ValueError, match=re.escape(message)):
        resume(kind, folder, changes)
    assert (folder / "checkpoint.pt").read_bytes() == before


SAME: list[tuple[str, dict[str, Any]]] = [
    ("ours", {"train": replace(digits(), name="copy", root="elsewhere")}),
    ("ours", {"train": (digits().images, digits().labels)}),
    ("constant", {"epochs": 3}),
    ("learned", {"beta": 0.5}),  # what is learned is part of the weights
]


@pytest.mark.usefixtures("neurons")
@pytest.mark.parametrize(("kind", "changes"), SAME)
def test_differences_that_are_none(
    kind: str, changes: dict[str, Any], runs: Path, tmp_path: Path
) -> None:
    resume(kind, shutil.copytree(runs / kind, tmp_path, dirs_exist_ok=True), changes)
    expected = description(runs / kind)
    expected["config"] |= {name: changes[name] for name in changes.keys() & {"epochs"}}
    if name := getattr(changes.get("train"), "name", ""):  # the data may have moved
        expected["data"] |= {"name": name, "root": "elsewhere"}
    assert description(tmp_path) == expected


WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"run": None, "resume": True}, ValueError, "resume=True needs run=, the folder of the run"),
    ({"resume": "yes"}, ValueError, "resume must be True, False or 'auto'; got 'yes'"),
    ({"run": "file"}, FileExistsError, "file is a file: run= takes a folder"),
    ({"run": "of/today"}, FileExistsError, "holds a run already: continue it with resume=True"),
    ({"resume": True}, FileNotFoundError, "no config.json; resume='auto' begins a run there"),
    ({"run": "of", "resume": True}, FileNotFoundError, f"folders in it are {Path('of/today')}"),
]


@pytest.mark.parametrize(("changes", "error", "words"), WRONG)
def test_wrong_ways_to_begin_and_to_resume(
    changes: dict[str, Any],
    error: type[Exception],
    words: str,
    finished: tuple[Path, Classifier],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = finished[0]
    monkeypatch.chdir(folder.parents[1])
    Path("file").touch()
    classifier, before = new_classifier(), (folder / "checkpoint.pt").read_bytes()
    untouched = weights(classifier)
    with pytest.raises(error, match=re.escape(words)):
        run(Path(), classifier, **changes)
    assert same(weights(classifier), untouched)
    assert (folder / "checkpoint.pt").read_bytes() == before
    assert names(Path()) == {"file", "of"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_folder_with_any_file_of_a_run_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(FileExistsError, match="holds a run already"):
        run(tmp_path, new_classifier())
    assert names(tmp_path) == {name}


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


@pytest.fixture(params=[True, False], ids=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system has links."""

    def fail(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not request.param:
        monkeypatch.setattr(os, "link", fail)
    return bool(request.param)


def test_of_two_runs_that_begin_at_once_one_gets_the_folder(links: bool, tmp_path: Path) -> None:
    """A file system without links has the claim empty for a moment, another one never."""
    barrier = threading.Barrier(3)

    def read() -> None:
        for number in range(100):
            barrier.wait(60)
            end = time.monotonic() + 60
            while not (tmp_path / str(number) / "config.json").exists():
                assert time.monotonic() < end
            while links:  # the file is whole from the first moment
                assert time.monotonic() < end
                with contextlib.suppress(PermissionError):  # Windows, while its second name goes
                    assert description(tmp_path / str(number))["rank"] in (0, 1)
                    break

    def begin(rank: int) -> list[int]:
        begun = []
        for number in range(100):
            barrier.wait(60)
            with (
                contextlib.suppress(FileExistsError),
                open_folder(tmp_path / str(number), {"rank": rank}, resume=False),
            ):
                begun.append(number)
        return begun

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        results = [*pool.map(begin, range(2))]
    reading.result()
    assert sorted(results[0] + results[1]) == [*range(100)]
    for rank, begun in enumerate(results):
        assert {description(tmp_path / str(number))["rank"] for number in begun} <= {rank}


def test_a_run_is_not_disturbed_by_a_second_one(
    tmp_path: Path, finished: tuple[Path, Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_another() -> None:
        monkeypatch.setattr(small_runs, "on_batch", [])
        with pytest.raises(FileExistsError, match="holds a run already"):
            run(tmp_path, new_classifier(seed=3), epochs=1, lr=1.0)
        with (
            pytest.raises(FileExistsError, match="holds a run already"),
            open_folder(tmp_path, {}, resume=False),
        ):  # as if it had looked before the first one began
            pass
        message = re.escape(f"another process is training in {tmp_path}: wait for it, or end it")
        with pytest.raises(FileExistsError, match=message):
            run(tmp_path, new_classifier(seed=3), epochs=1, resume=True)

    monkeypatch.setattr(small_runs, "on_batch", [begin_another])
    classifier = new_classifier()
    run(tmp_path, classifier, epochs=1)
    assert names(tmp_path) == FILES
    assert same(weights(classifier), weights(finished[1]))
    assert description(tmp_path) == description(finished[0])
    run(tmp_path, classifier, epochs=1, resume=True)  # the folder is free again


def test_model_is_written_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Classifier.save

    def save_in_locked_folder(self: Classifier, path: Path) -> Path:
        with pytest.raises(FileExistsError, match="another process is training"), locked(tmp_path):
            pass
        return save(self, path)

    monkeypatch.setattr(Classifier, "save", save_in_locked_folder)
    run(tmp_path, new_classifier(), epochs=1)
    assert names(tmp_path) == FILES


@pytest.mark.skipif(sys.platform == "win32", reason="a folder with an open file keeps its name")
@pytest.mark.parametrize("replaced", [True, False])
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_folder_that_is_renamed_while_its_run_trains(
    epoch: int, replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends at its next checkpoint; the other run is not touched."""
    folder, renamed, steps = tmp_path / "a", tmp_path / "b", iter(range(1, 100))

    def rename() -> None:
        if next(steps) == (epoch - 1) * BATCHES + 2:
            folder.rename(renamed)
            if replaced:
                monkeypatch.setattr(small_runs, "on_batch", [])
                run(folder, new_classifier(seed=3), epochs=1)
                expected.update({file: (folder / file).read_bytes() for file in FILES})

    expected: dict[str, bytes] = {}
    monkeypatch.setattr(small_runs, "on_batch", [rename])
    with pytest.raises(FileNotFoundError, match=r"a was renamed, replaced or deleted while its ru"):
        run(folder, new_classifier())
    if replaced:
        assert {file: (folder / file).read_bytes() for file in FILES} == expected
    else:
        assert not folder.exists()
    monkeypatch.setattr(small_runs, "on_batch", [])
    resumed, whole = new_classifier(), new_classifier()
    run(renamed, resumed, resume=True)
    run(tmp_path / "c", whole)
    assert same(weights(resumed), weights(whole))


def test_a_run_that_goes_on_with_other_threads(tmp_path: Path, threads: None) -> None:
    torch.set_num_threads(1)
    run(tmp_path, new_classifier(), epochs=1, schedule="constant")
    torch.set_num_threads(2)
    message = "the number of threads was 1 when .* began, and is 2: bits may differ"
    with pytest.warns(UserWarning, match=message):
        run(tmp_path, new_classifier(), epochs=2, schedule="constant", resume=True)
    assert description(tmp_path)["threads"] == 1


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


@pytest.mark.usefixtures("links")
def test_a_full_disk_leaves_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, new_classifier())
    assert names(tmp_path) == set()
