"""The course of ``examples/course``: sheets, solutions, and checks that name the mistake."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

COURSE = Path(__file__).resolve().parent.parent / "examples" / "course"
sys.path.insert(0, str(COURSE))  # as in a notebook that lies there

import checks  # noqa: E402

MAKE = runpy.run_path(str(COURSE / "solutions" / "make_sheets.py"))
SOLUTIONS = sorted((COURSE / "solutions").glob("[0-9]_*.py"))
NAMES = [path.stem for path in SOLUTIONS]


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code of a sheet in a folder of its own."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(checks, "_right", {})
    with torch.random.fork_rng():
        exec(compile(code, "sheet", "exec", dont_inherit=True), {"__name__": "sheet"})


def tasks_of(solution: str) -> list[str]:
    """Return the functions that a sheet checks."""
    return re.findall(r"^(\w+) = check\(\1\)$", solution, re.MULTILINE)


@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_sheet_is_made_from_its_solution(path: Path) -> None:
    text = path.read_text("utf-8")
    assert (COURSE / f"{path.stem}.ipynb").read_text("utf-8") == MAKE["sheet"](text)
    assert len(tasks_of(text)) >= 2


def test_every_task_belongs_to_one_sheet() -> None:
    asked = [name for path in SOLUTIONS for name in tasks_of(path.read_text("utf-8"))]
    assert sorted(asked) == sorted(checks.TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_solution_is_right(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = path.read_text("utf-8")
    run(text, tmp_path, monkeypatch)
    said = capsys.readouterr().out
    count = len(tasks_of(text))
    assert "not yet" not in said
    assert f"{count} of {count} right" in said


@pytest.mark.slow
@pytest.mark.parametrize("path", SOLUTIONS, ids=NAMES)
def test_a_sheet_with_its_gaps_runs_and_says_what_is_missing(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cells = json.loads((COURSE / f"{path.stem}.ipynb").read_text("utf-8"))["cells"]
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    run(code.replace(MAKE["MAGIC"], "", 1), tmp_path, monkeypatch)
    said = capsys.readouterr().out
    for name in tasks_of(code):
        assert f"{name}: not yet. It returns nothing: the gap is empty" in said
    assert f"0 of {len(tasks_of(code))} right" in said
