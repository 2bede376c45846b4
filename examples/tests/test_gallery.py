"""The lessons of the gallery read well as a page, as a script and in a notebook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "examples").glob("[0-9]*.py"))
WRITES = re.compile(r'\.save(?:fig)?\("(.+?)"')
DESCRIBED = re.compile(r'^# sphinx_gallery_alt = "\w.{20,}"\n.*' + WRITES.pattern, re.MULTILINE)
TITLES = [
    title
    for folder in (".", "guide", "howto")
    for page in (ROOT / "docs" / folder).glob("*.md")
    for title in re.findall(r"^# (.+)$", page.read_text("utf-8"), re.MULTILINE)[:1]
]
LINK = re.compile(r"(?<!\*)\*([^*`]+)\*")
LEVEL = re.compile(r"Level: ([a-z ]+)\.(?: Before it: (\*.+\*)\.)?")
# Of each lesson its title, what it is about, its question and its level.
INTRODUCTIONS = [
    re.split(r"\n=*\n+", script.read_text("utf-8").split('"""')[1].strip()) for script in SCRIPTS
]
LESSONS = [title for title, *_ in INTRODUCTIONS]
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


@each_script
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


@each_script
def test_its_texts_have_no_markup_of_the_pages(script: Path) -> None:
    """A title in italics becomes a link; roles would stand in a notebook as they are written."""
    texts = "\n".join(re.findall(r"^# (?!%%|sphinx_gallery)(.*)$", script.read_text("utf-8"), re.M))
    assert not re.findall(r":\w+:`", texts)
    assert {*LINK.findall(texts)} <= {*TITLES, *LESSONS}


def test_a_title_names_one_page() -> None:
    titles = TITLES + LESSONS
    assert len({*titles}) == len(titles)


@pytest.mark.parametrize("introduction", INTRODUCTIONS, ids=LESSONS)
def test_questions_and_order_of_lessons(introduction: list[str]) -> None:
    title, about, question, level = introduction
    assert "?" not in about
    assert question.startswith("Question: ")
    assert question.endswith("?")
    match = LEVEL.fullmatch(level.replace("\n", " "))
    assert match
    assert {*LINK.findall(match[2] or "")} <= {*LESSONS[: LESSONS.index(title)]}


@each_script
def test_last_cell_of_a_lesson(script: Path) -> None:
    last = script.read_text("utf-8").split("\n# %%\n")[-1]
    *_, task, following = last.split("\n#\n")
    assert task.startswith("# Try: ")
    assert task.endswith("?")
    assert following.startswith("# Next: ")


def test_order_of_the_lessons_on_the_front_page() -> None:
    header = (ROOT / "examples" / "GALLERY_HEADER.rst").read_text("utf-8")
    levels = re.findall(r"^ +\*\*(.+)\*\*\n((?: {8}.+\n)+)", header, re.MULTILINE)
    listed = [(name.lower(), lesson) for name, text in levels for lesson in LINK.findall(text)]
    assert len(levels) <= 3
    assert listed == [
        (match[1], title) for title, *_, level in INTRODUCTIONS if (match := LEVEL.match(level))
    ]
