"""Rooms beyond the core: rooms.toml lists them, and no import leads where it does not say."""

from __future__ import annotations

import ast
import os
import re
import runpy
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

tomllib: Any = pytest.importorskip("tomllib", reason="comes with Python 3.11")

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "spikemnist"
PROGRAM = runpy.run_path(str(ROOT / "scripts" / "rooms.py"))
TABLE = (ROOT / "rooms.toml").read_text(encoding="utf-8")
ROOMS = PROGRAM["read_rooms"](TABLE)
FILES = sorted(SOURCE.rglob("*.py"))
INITS = [file for file in FILES if file.name == "__init__.py"]


def dotted(file: Path) -> str:
    """Return the name of a module."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def rooms_of(file: Path) -> set[str]:
    """Return the rooms that a file belongs to: none in the core, or two for a command of a room."""
    path = file.relative_to(ROOT).as_posix()
    return {name for name, room in ROOMS.items() if PROGRAM["is_below"](path, room.paths)}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a file imports, anywhere in it, and what it takes from modules by a dot."""
    places = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            places.update({x.asname or x.name: f"{node.module}.{x.name}" for x in node.names})
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
    yield from places.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            yield f"{places.get(first, first)}.{rest}"


def exported() -> dict[str, str]:
    """Return the module and name behind each public name of a package."""
    return {
        f"{dotted(file)}.{name.name}": f"{node.module}.{name.name}"
        for file in INITS
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }


EXPORTED = exported()


def room_behind(name: str) -> str:
    """Return the first package or module of spikemnist in a name, as its tables resolve it."""
    while name in EXPORTED and EXPORTED[name] != name:
        name = EXPORTED[name]
    return f"{name}.".split(".")[1] if name.startswith("spikemnist.") else ""


def test_each_package_is_of_the_core_or_a_room() -> None:
    tops = {
        path.stem for path in [*SOURCE.glob("*.py"), *(x.parent for x in SOURCE.glob("*/*.py"))]
    }
    core = {*tomllib.loads(TABLE)["core"]}
    ground = {top for top in tops if top.startswith("_") and not rooms_of(SOURCE / f"{top}.py")}
    assert tops - ground - {"__main__"} == {*core, *ROOMS}
    assert core.isdisjoint(ROOMS)


def test_paths_of_the_rooms() -> None:
    for name, room in ROOMS.items():
        assert room.source in (f"src/spikemnist/{name}", f"src/spikemnist/{name}.py")
        assert [path for path in room.paths if not (ROOT / path).exists()] == []


def test_rooms_need_one_another_in_no_circle() -> None:
    graph = {name: room.needs for name, room in ROOMS.items()}
    assert {*TopologicalSorter(graph).static_order()} == {*ROOMS}


def test_imports_of_the_rooms() -> None:
    """They lead to the core, and to what a room needs; a file of two rooms may import both."""
    wrong = [
        f"{dotted(file)} imports {path}"
        for file in FILES
        if rooms_of(file)
        for path in imports(ast.parse(file.read_text(encoding="utf-8")))
        if room_behind(path) in {*ROOMS} - PROGRAM["needed_by"](rooms_of(file), ROOMS)
    ]
    assert wrong == []


def test_imports_of_the_core() -> None:
    """None leads to a room; the tables of names of its packages alone do."""
    wrong = [
        f"{dotted(file)} imports {path}"
        for file in FILES
        if file not in INITS and not rooms_of(file)
        for path in imports(ast.parse(file.read_text(encoding="utf-8")))
        if room_behind(path) in ROOMS
    ]
    assert wrong == []


def links(page: Path) -> Iterator[set[str]]:
    """Yield, for each link of a page, the rooms of the page or of the public name it leads to."""
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"{doc}`(?:[^`<]*<)?([^`>]+)|\]\(([^)#]+)", text):
        target = "".join(path)
        place = ROOT / "docs" / target[1:] if target.startswith("/") else page.parent / target
        name = os.path.relpath(place, ROOT).replace("docs/gallery/", "examples/")
        yield set().union(*(rooms_of(ROOT / f"{name}{ending}") for ending in ("", ".md", ".py")))
    for name in re.findall(r"{\w+}`(?:[^`<]*<)?[~.]*(spikemnist[\w.]*)", text):
        yield {room_behind(name)} & {*ROOMS}


def test_links_of_pages() -> None:
    """Those of the core name rooms in the directive alone, whose entries are in rooms.toml."""
    pages = (ROOT / "docs").rglob("*.md")
    about_all = tomllib.loads(TABLE)["pages"]
    wrong = [
        f"{page.relative_to(ROOT)} links to {rooms}"
        for page in pages
        if not PROGRAM["is_below"](page.relative_to(ROOT).as_posix(), about_all)
        if not rooms_of(page)
        for rooms in links(page)
        if rooms
    ]
    assert wrong == []


def test_imports_of_tests_and_examples() -> None:
    """They follow their room: those of the core use the core alone."""
    table = tomllib.loads(TABLE)
    files = [file for name in ("tests", "examples") for file in (ROOT / name).rglob("*.py")]
    wrong = [
        f"{file.relative_to(ROOT)} imports {path}"
        for file in files
        if not PROGRAM["is_below"](file.relative_to(ROOT).as_posix(), table["whole"])
        for path in imports(ast.parse(file.read_text(encoding="utf-8")))
        if room_behind(path) in {*ROOMS} - PROGRAM["needed_by"](rooms_of(file), ROOMS)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", [*ROOMS, "nothing"])
def test_files_without_a_room(name: str) -> None:
    """Tables of names and pyproject.toml are read as before, and do not name it any more."""
    for file in INITS:
        text = PROGRAM["strip_table"](file.read_text(encoding="utf-8"), dotted(file), {name})
        if not rooms_of(file):
            assert name not in {room_behind(path) for path in imports(ast.parse(text))}, file
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = PROGRAM["strip_project"](text, {name}, ROOMS[name].packages if name in ROOMS else ())
    assert f"spikemnist.{name}" not in str(tomllib.loads(text))
    assert name not in tomllib.loads(PROGRAM["strip_rooms"](TABLE, {name}))


def test_reading_order_in_the_readme() -> None:
    """`python scripts/rooms.py --readme` writes it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert PROGRAM["reading_order"]() in readme
    assert PROGRAM["with_reading_order"](readme) == readme


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_says_what_it_needs(name: str) -> None:
    """The rooms that need it may have gone."""
    source = ROOT / ROOMS[name].source
    file = source if source.suffix else source / "__init__.py"
    text = " ".join((ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").split())
    sentence = re.search(r"\bFor \S.*?\. Needs: (.*?)\. Needed by: (.*?)\.", text)
    assert sentence
    needs, users = (words.split(", ") for words in sentence.groups())
    assert needs == (list(ROOMS[name].needs) or ["the core"])
    expected = [other for other, room in ROOMS.items() if name in room.needs]
    assert [x for x in users if x in ROOMS] == expected
