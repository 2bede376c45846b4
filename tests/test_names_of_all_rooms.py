"""The public names where all rooms are there: none is missing, none stands twice."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import spikemnist
from tests.test_public_names import DOCS, FIRST, NAMES


@pytest.mark.parametrize("room", NAMES)
def test_names_of_the_page(room: str) -> None:
    """Each is once on the page of its room, so that removing one is a decision."""
    module = importlib.import_module(f"spikemnist.{room}")
    assert sorted(module.__all__) == sorted(NAMES[room])


def test_names_that_come_first() -> None:
    assert sorted(spikemnist.__all__) == sorted([*FIRST.split(), *NAMES, "__version__"])


def test_packages_with_internal_modules() -> None:
    root = Path(spikemnist.__file__).parent
    packages = {file.parent.name for file in root.glob("*/__init__.py")}
    assert len(packages) > len(NAMES)
    for name in packages:
        source = (root / name / "__init__.py").read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        assert ("Import its names from here; its modules are internal." in docstring) == (
            name in NAMES
        )
        assert ("Internal" in docstring) == (name not in NAMES)


def test_public_packages_of_the_pages() -> None:
    public = (DOCS / "api" / "public.md").read_text(encoding="utf-8")
    (names,) = re.findall(r"subpackages (.*?), with", public, re.DOTALL)
    assert sorted(re.findall(r"`(\w+)`", names)) == sorted(NAMES)
    pages = [*DOCS.glob("*.md"), *DOCS.glob("[!_]*/*.md"), *(DOCS.parent / "examples").iterdir()]
    for page in (page for page in pages if page.suffix in (".md", ".py", ".ipynb")):
        text = page.read_text(encoding="utf-8").replace(public, "")
        used = re.findall(r"(?:from|import) spikemnist\.([\w.]+)", text)
        assert {*used} <= {*NAMES}, page


def test_rooms_of_the_pages() -> None:
    """The directive leaves out a room that is not there: a name that is misspelt would be lost."""
    named = [
        name
        for page in DOCS.rglob("*.md")
        for names in re.findall(r"^```{beyond} (.*)$", page.read_text("utf-8"), re.MULTILINE)
        for name in names.split()
    ]
    rooms = {path.stem for path in Path(spikemnist.__file__).parent.iterdir()}
    assert set(named) <= rooms
    assert len(named) > 20
