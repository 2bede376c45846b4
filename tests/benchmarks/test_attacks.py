"""The program that attacks: it counts what ran, and reports nothing as held that did not run."""

from __future__ import annotations

import random
import re
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.attacks import data_files, known, model_files
from benchmarks.attacks.__main__ import main
from benchmarks.attacks.damage import damage
from benchmarks.attacks.registry import ATTACKS, MODULES
from spikemnist.models import LeakyMLP
from tests.benchmarks import planted_attacks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Run = tuple[int, str]


@pytest.fixture
def attacked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """Return a function that runs planted classes for a while: exit code, and what was printed."""

    def run(*words: object, seconds: float = 0.5) -> Run:
        arguments = ["--minutes", str(seconds / 60), *map(str, words)]
        return main(arguments, planted_attacks.ATTACKS), capsys.readouterr().out

    return run


def row(printed: str, name: str) -> list[str]:
    (line,) = (line for line in printed.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_what_holds_is_counted(attacked: Callable[..., Run]) -> None:
    code, printed = attacked("--only", "holds")
    _, tried, held, failed, what = row(printed, "holds")
    assert (code, failed, what) == (0, "0", "")
    assert int(tried) == int(held) > 3


def test_a_planted_failure_is_counted_named_and_repeated(attacked: Callable[..., Run]) -> None:
    code, printed = attacked("--only", "fails", "--seed", 5)
    _, tried, held, failed, what = row(printed, "fails")
    assert code == 1
    assert int(tried) == int(held) + int(failed)
    assert 0 < int(failed) < int(tried)
    assert what.startswith(f"{failed} new, such as: planted: the number 0.")
    told = re.search(r"^fails: (planted.*)\n +python -m benchmarks.attacks (.*)", printed, re.M)
    assert told is not None
    words = told[2].split("   ")[0].split()
    again, repeated = attacked(*words)
    assert again == 1
    assert row(repeated, "fails")[1:] == ["1", "0", "1", f"1 new, such as: {told[1]}"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("dies", "the process died (of SIGABRT|with exit code)"),
        pytest.param("hangs", "did not end in 1 s"),
        pytest.param("raises", "the attack itself met KeyError: 'a mistake of the attack'"),
        pytest.param(
            "grows",
            "the attack itself met MemoryError",
            marks=pytest.mark.skipif(
                sys.platform != "linux", reason="only Linux limits the addresses of a process"
            ),
        ),
    ],
)
def test_what_ends_a_process_is_a_failure(
    attacked: Callable[..., Run], name: str, message: str
) -> None:
    code, printed = attacked("--only", name, "holds", seconds=1.2)
    assert code == 1
    assert re.search(message, row(printed, name)[4])
    assert row(printed, name)[2] == "0"
    assert int(row(printed, "holds")[2]) > 0 or name == "hangs"


def test_a_class_that_did_not_run_is_not_reported_as_held(attacked: Callable[..., Run]) -> None:
    code, printed = attacked(seconds=0)
    assert code == 0
    for attack in planted_attacks.ATTACKS:
        assert row(printed, attack.name)[1:] == ["not run", "", "", "no time"]


def test_a_class_without_material_did_not_run_and_fails(attacked: Callable[..., Run]) -> None:
    code, printed = attacked("--only", "unprepared")
    assert code == 1
    why = "could not be prepared: RuntimeError: no material"
    assert row(printed, "unprepared")[1:] == ["not run", "", "", why]


def test_a_known_failure_is_counted_and_accepted(
    attacked: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = known.Known("fails", "^planted: the number 0", "planted on purpose")
    monkeypatch.setattr(known, "KNOWN", (entry,))
    code, printed = attacked("--only", "fails")
    _, tried, held, failed, what = row(printed, "fails")
    assert (code, what) == (0, f"{failed} accepted: planted on purpose")
    assert int(failed) == int(tried) - int(held) > 0


def test_the_registry_lists_each_class_once() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) > 10
    for module in MODULES:
        for attack in module.ATTACKS:
            assert sys.modules[attack.case.__module__] is module
            assert attack.expectation.endswith(".")


def test_a_case_alone_needs_its_class_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--case", "3", "--only", "idx"])
    assert "--case needs one class in --only, and --seed" in capsys.readouterr().err
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(attack.expectation in listed for attack in ATTACKS)


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_damage(seed: int) -> None:
    sound = random.Random(0).randbytes(500)
    how, damaged = damage(sound, random.Random(seed))
    assert how
    assert damaged != sound


@pytest.mark.parametrize("seed", range(6))
def test_damaged_data_files_hold(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for case in (data_files.idx_case, data_files.recording_case):
        place = tmp_path / case.__name__
        place.mkdir()
        assert case(None, random.Random(seed), place) is None


def test_a_reader_that_overlooks_damage_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that are not those of the file, and an error that names no file."""
    monkeypatch.chdir(tmp_path)
    material = {"mlp": model_files.models(tmp_path)["mlp"]}
    load = model_files.load_model

    def careless(path: Path) -> LeakyMLP:
        return LeakyMLP(hidden=(8,)) if path.name == "victim.safetensors" else load(path)

    monkeypatch.setattr(model_files, "load_model", careless)
    found = model_files.model_case(material, random.Random(0), tmp_path)
    assert found is not None
    assert found.endswith("read without a word, with other contents")

    def refuse(*_: object, **__: object) -> None:
        raise ValueError("something is damaged")

    monkeypatch.setattr(data_files, "load_nmnist", refuse)
    verdict = data_files.recording_case(None, random.Random(0), tmp_path)
    assert verdict is not None
    assert "does not name the file: ValueError: something is damaged" in verdict
