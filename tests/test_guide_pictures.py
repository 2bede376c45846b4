"""The pictures of the user guide have names and texts, and a command draws each as SVG."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = runpy.run_path(str(ROOT / "scripts/guide_pictures.py"))
PICTURES = SCRIPT["pictures"]()


def draw(monkeypatch: pytest.MonkeyPatch, *words: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["guide_pictures.py", *map(str, words)])
    SCRIPT["main"]()


def test_names_and_texts_of_pictures() -> None:
    assert len({picture.name for picture in PICTURES}) == len(PICTURES) > 20
    assert len({picture.text for picture in PICTURES}) == len(PICTURES)


def test_pictures_as_svg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("a", "b"):
        draw(monkeypatch, "--out", tmp_path / folder, "neuron-1", "neuron-3")
    assert capsys.readouterr().out.split()[:2] == [
        str(tmp_path / "a" / f"neuron-{number}.svg") for number in (1, 3)
    ]
    for name in ("neuron-1.svg", "neuron-3.svg"):
        picture = (tmp_path / "a" / name).read_bytes()
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        assert picture == (tmp_path / "b" / name).read_bytes()


def test_unknown_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        draw(monkeypatch, "nuron-1")
    assert "'nuron-1'; choose from " in capsys.readouterr().err


def test_committed_pictures_of_the_guide() -> None:
    """Also of those that are files in the repository."""
    teachers = (ROOT / "docs/teachers.md").read_text("utf-8")
    for page in SCRIPT["GUIDE"].glob("*.md"):
        for name in re.findall(r"\]\(\.\./_static/([\w-]+)\.\w+\)", page.read_text("utf-8")):
            assert f"`{name}`" in teachers, page
