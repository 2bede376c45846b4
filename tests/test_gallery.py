"""The scripts of the gallery read well as a page, as a script and in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted((ROOT / "examples").glob("[0-9]*.py"))
WRITES = re.compile(r'\.save(?:fig)?\("(.+?)"')
DESCRIBED = re.compile(r'^# sphinx_gallery_alt = "\w.{20,}"\n.*' + WRITES.pattern, re.MULTILINE)
LESSONS = {script.read_text("utf-8").splitlines()[1] for script in SCRIPTS}
TITLES = {
    re.findall(r"^# (.+)$", page.read_text("utf-8"), re.MULTILINE)[0]
    for folder in ("guide", "howto", "benchmarks")
    for page in (ROOT / "docs" / folder).glob("*.md")
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_shows_describes_and_names_its_pictures(script: Path) -> None:
    text = script.read_text("utf-8")
    pictures = WRITES.findall(text)
    assert pictures
    assert DESCRIBED.findall(text) == pictures
    assert f'print("pictures: {", ".join(pictures)}")\n' in text
    for cell in text.split("\n# %%\n"):
        drawn = [name for name in WRITES.findall(cell) if name.endswith(".png")]
        assert len(drawn) <= 1, "Jupyter shows the last figure of a cell alone"
        assert not drawn or cell.rstrip().endswith("\nfigure")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_its_texts_have_no_markup_of_the_pages(script: Path) -> None:
    """A title in italics becomes a link; roles would stand in a notebook as they are written."""
    texts = "\n".join(re.findall(r"^# (?!%%|sphinx_gallery)(.*)$", script.read_text("utf-8"), re.M))
    assert not re.findall(r":\w+:`", texts)
    assert {*re.findall(r"(?<!\*)\*([^*`\n]+)\*", texts)} <= TITLES | LESSONS
