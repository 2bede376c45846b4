"""Run folders: one for each run, whatever starts at the same instant."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from spikemnist.cli import main, runs, stdp, train
from spikemnist.cli.options import Stdp, Train
from tests.cli.claims import PAIRS, claim, claim_many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(("out", "made"), [(None, False), ("run", False), ("run", True)])
def test_processes_that_start_at_the_same_instant(
    out: str | None, made: bool, tmp_path: Path
) -> None:
    for number in range(PAIRS):
        (tmp_path / str(number) / "run" if made else tmp_path / str(number)).mkdir(parents=True)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    pipes = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=claim_many, args=(str(tmp_path), out, barrier, pipe))
        for _, pipe in pipes
    ]
    for process in processes:
        process.start()
    pairs = [{pipe.recv() for pipe, _ in pipes} for _ in range(PAIRS)]
    for process in processes:
        process.join(60)
    # Two folders, or a folder and a refusal; never one for both, and never none.
    assert all(len(pair) == 2 and (None in pair) == (out is not None) for pair in pairs)


@pytest.mark.parametrize("linked", [True, False])
def test_threads_and_file_systems_without_hard_links(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("no hard links")

    if not linked:
        monkeypatch.setattr(os, "link", refuse)
    barrier, found = threading.Barrier(8), []

    def run() -> None:
        barrier.wait(60)
        found.append(claim(Stdp(out=tmp_path / "new" / "run")))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(folder is not None for folder in found) == 1
    assert [file.name for file in (tmp_path / "new" / "run").iterdir()] == ["config.json"]
    assert runs.read_config(tmp_path / "new" / "run", Stdp)["neurons"] == 400


def test_a_new_run_never_goes_on_from_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def claim_late(command: Train) -> Path:
        """Claim a folder in which another run has left a checkpoint meanwhile."""
        folder = claim_first(command)
        (folder / runs.CHECKPOINT).write_bytes(b"of another run")
        return folder

    def fit(*_: object, resume: bool, **__: object) -> None:
        asked.append(resume)
        raise ValueError("enough")

    claim_first: Callable[[Train], Path] = runs.new_run
    monkeypatch.setattr(runs, "new_run", claim_late)
    monkeypatch.setattr(train, "fit", fit)
    assert main(["train", "--out", str(tmp_path / "run")]) == 1
    assert asked == [False]


ALLOCATION = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 31360000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize("error", [ALLOCATION, MemoryError()])
def test_too_much_memory_names_what_asked_for_it_and_leaves_no_folder(
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(train, "LeakyMLP", fail)
    monkeypatch.setattr(stdp.STDPClassifier, "fit", fail)
    for words, sizes in (
        ("train --hidden 9000 90", "--num-steps 8, --hidden 9000 90, --batch-size 64"),
        ("stdp --neurons 1000000", "--neurons 1000000"),
    ):
        assert main([*words.split(), "--out", str(tmp_path / "run")]) == 2
        assert capsys.readouterr().err == (
            f"spikemnist: error: there is not enough memory for {sizes}: lower one of them\n"
        )
    assert not any(tmp_path.iterdir())


KILLED = """
import os, sys
from pathlib import Path
from spikemnist.cli import runs
from spikemnist.cli.options import Stdp

os.link = lambda *_: os._exit(9)
runs.new_run(Stdp(out=Path(sys.argv[1])))
"""


def test_the_next_run_removes_what_a_killed_one_has_left(tmp_path: Path) -> None:
    """Killed between the draft of the configuration and its name: no lock is held any more."""
    folder = tmp_path / "run"
    assert subprocess.run([sys.executable, "-c", KILLED, folder], check=False).returncode == 9
    assert [file.suffix for file in folder.iterdir()] == [".json"]
    assert claim(Stdp(out=folder)) == str(folder)
    assert {file.name for file in folder.iterdir()} == {"config.json"}
