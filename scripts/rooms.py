"""Take rooms off a copy of the checkout, and check what is left without them.

    python scripts/rooms.py [NAME ...]    the rooms with these names, or all
    python scripts/rooms.py --readme      no copy: write the files to read first into README.md

The rooms that need one of them go as well. The copy has the files that git knows or would add,
without those of the rooms; their lines in tables of names, in pyproject.toml and in rooms.toml go.
In a fresh environment without the packages that only they need, every module that is left is
imported, then the tests, the doctests, the types and the contracts of imports are checked. Each
step prints a line. The exit code is 1 if one has failed, else 0.
"""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import tomllib  # type: ignore[import-not-found]  # types are checked for Python 3.10

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "src/spikemnist"
TOOLS = ("mypy", "import-linter")
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
IMPORT = """
import importlib, sys
optional, *modules = sys.argv[1:]
failed = 0
for module in modules:
    try:
        importlib.import_module(module)
    except Exception as error:
        if getattr(error, "name", None) in optional.split():
            print(module, "needs", error.name)
        else:
            failed += 1
            print(f"FAILED {module}: {type(error).__name__}: {error}")
print(f"{len(modules)} modules, {failed} fail")
sys.exit(failed > 0)
"""
"""Imports the modules named; one that needs a package that may be missing is no failure."""


class Room(NamedTuple):
    """A part of the library that can be taken off."""

    summary: str
    paths: Sequence[str]
    needs: Sequence[str] = ()
    packages: Sequence[str] = ()

    @property
    def source(self) -> str:
        """The folder or file in the library."""
        return next(x for x in self.paths if str(PurePosixPath(x).parent) == SOURCE)


def read_rooms(text: str) -> dict[str, Room]:
    """Return the rooms of rooms.toml by their names."""
    tables = {name: x for name, x in tomllib.loads(text).items() if isinstance(x, dict)}
    return {name: Room(**table) for name, table in tables.items()}


def with_dependents(names: Collection[str], rooms: Mapping[str, Room]) -> set[str]:
    """Return the names with those of all rooms that need them."""
    more = {name for name, room in rooms.items() if {*names}.intersection(room.needs)}
    return {*names} if more <= {*names} else with_dependents({*names, *more}, rooms)


def needed_by(names: Collection[str], rooms: Mapping[str, Room]) -> set[str]:
    """Return the names with those of all rooms that they need."""
    more = {other for name in names for other in rooms[name].needs}
    return {*names} if more <= {*names} else needed_by({*names, *more}, rooms)


def is_below(file: str, paths: Collection[str]) -> bool:
    """Return whether a file is one of the paths, or lies in one."""
    return not {file, *map(str, PurePosixPath(file).parents)}.isdisjoint(paths)


def strip_table(text: str, package: str, gone: Collection[str]) -> str:
    """Return an ``__init__.py`` without the lines of names that a room has which is gone."""
    lines = text.splitlines(keepends=True)
    for paths, first, last in _entries(ast.parse(text), package):
        if any(f"{path}.".startswith(f"spikemnist.{name}.") for path in paths for name in gone):
            lines[first - 1 : last] = [""] * (last - first + 1)
        elif f"{package}." in paths:  # the packages of the package
            words = rf"\b({'|'.join(gone)})\b ?"
            lines[first - 1 : last] = [re.sub(words, "", x) for x in lines[first - 1 : last]]
    return "".join(lines)


def _entries(tree: ast.AST, package: str) -> Iterator[tuple[list[str], int, int]]:
    """Yield the paths of each import and each entry of a table, with its first and last line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            path = f"{node.module}.{node.names[0].name}"
            yield [path], node.lineno, node.end_lineno or node.lineno
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                words = [str(x.value) for x in (key, value) if isinstance(x, ast.Constant)]
                paths = [package + x if x.startswith(".") else x for x in words if "." in x]
                if key is not None:
                    yield paths, key.lineno, value.end_lineno or key.lineno


def strip_project(text: str, gone: Collection[str], packages: Collection[str]) -> str:
    """Return pyproject.toml without requirements, modules and paths that are gone.

    Doctests that fail to import a module are failures as well.
    """
    module = rf"[^\"\n]*\bspikemnist[./]({'|'.join(gone)})\b[^\"\n]*"
    package = rf"({'|'.join(packages) or '(?!)'})\b(?!-)[^\"\n]*"
    text = re.sub(rf'^(\S+ = "{module}"|"{module}" = ).*\n', "", text, flags=re.MULTILINE)
    text = re.sub(rf'"({module}|{package})"(, *)?', "", text)
    text = re.sub(r"(?<=\nlayers = \[).*?(?=\n\])", _without(gone), text, flags=re.DOTALL)
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    empty = re.compile(r"^(module|\w+_modules) = \[\s*\]", re.MULTILINE)
    text = "".join(table for table in tables if not empty.search(table))
    return text.replace("--doctest-ignore-import-errors ", "")


def _without(gone: Collection[str]) -> Callable[[re.Match[str]], str]:
    """Return a function that takes names out of layers, such as ``"engine | gpu",``."""

    def strip(layers: re.Match[str]) -> str:
        lines = [re.findall(r"\w+", line) for line in re.findall(r'"(.*)"', layers.group())]
        left = (" | ".join(x for x in line if x not in gone) for line in lines)
        return "".join(f'\n  "{line}",' for line in left if line)

    return strip


def strip_rooms(text: str, gone: Collection[str], paths: Collection[str] = ()) -> str:
    """Return rooms.toml without the tables of the rooms, and without their paths elsewhere."""
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    left = "".join(x for x in tables if x[1:].split("]")[0] not in gone)
    lines = left.splitlines(keepends=True)
    return "".join(x for x in lines if not is_below(x.strip(' ",\n'), paths))


def copy_without(gone: Collection[str], rooms: Mapping[str, Room], copy: Path) -> None:
    """Write the files that are left into the folder of the copy."""
    paths = {path for name in gone for path in rooms[name].paths}
    paths.update(tomllib.loads((ROOT / "rooms.toml").read_text("utf-8"))["whole"])
    modules = {Path(x).stem for x in paths if str(PurePosixPath(x).parent) == SOURCE}
    needed = {x for name, room in rooms.items() if name not in gone for x in room.packages}
    packages = {x for name in gone for x in rooms[name].packages} - needed
    git = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    listed = subprocess.check_output([*git, "-co", "--exclude-standard"], cwd=ROOT, text=True)
    for file in listed.rstrip("\0").split("\0"):
        if not (ROOT / file).is_file() or is_below(file, paths):
            continue
        content = (ROOT / file).read_bytes()
        if file == "pyproject.toml":
            content = strip_project(content.decode(), modules, packages).encode()
        elif file == "rooms.toml":
            content = strip_rooms(content.decode(), gone, paths).encode()
        elif file.startswith(SOURCE) and file.endswith("__init__.py"):
            package = ".".join(Path(file).parts[1:-1])
            content = strip_table(content.decode(), package, modules).encode()
        (copy / file).parent.mkdir(parents=True, exist_ok=True)
        (copy / file).write_bytes(content)
        (copy / file).chmod((ROOT / file).stat().st_mode)


def code_lines(text: str) -> int:
    """Count the lines of a program without docstrings, comments and blank lines."""
    strings = (x for x in ast.walk(ast.parse(text)) if isinstance(x, ast.Expr))
    strings = (x for x in strings if isinstance(getattr(x.value, "value", None), str))
    docs = {y for x in strings for y in range(x.lineno, (x.end_lineno or x.lineno) + 1)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    code = (x for x in tokens if x.type not in LAYOUT and x.string)
    return len({y for x in code for y in range(x.start[0], x.end[0] + 1)} - docs)


def lines_of(*paths: str) -> int:
    """Count the lines of code of files and of those in folders, below the root."""
    files = [file for path in paths for file in (ROOT / path).rglob("*.py")]
    files += [ROOT / path for path in paths if (ROOT / path).is_file()]
    return sum(code_lines(file.read_text("utf-8")) for file in files)


def files_to_read() -> dict[str, dict[str, int]]:
    """Return the lines of the files of the core to read first, in order, by all of its rooms."""
    table = tomllib.loads((ROOT / "rooms.toml").read_text("utf-8"))
    rooms: dict[str, dict[str, int]] = {room: {} for room in table["core"]}
    for room, name in (path.split("/") for path in table["reading"]):
        rooms[room][name] = lines_of(f"{SOURCE}/{room}/{name}")
    return rooms


def reading_order() -> str:
    """Return the files to read first in Markdown, a line a room."""
    rows = (
        f"1. `{room}`: {', '.join(f'`{name}` {lines}' for name, lines in files.items())}\n"
        for room, files in files_to_read().items()
        if files
    )
    lines = [x for files in files_to_read().values() for x in files.values()]
    return f"{''.join(rows)}\n{len(lines)} files, {sum(lines):,} lines of code.\n"


def with_reading_order(readme: str) -> str:
    """Return a README with the files to read first as they are now."""
    return re.sub(
        r"1\. `encoding`: .*? lines of code\.\n", reading_order(), readme, flags=re.DOTALL
    )


def run(title: str, command: Sequence[str | Path], copy: Path) -> tuple[bool, str]:
    """Run a command in the copy and print a line, with the failures if there are any."""
    begin = time.monotonic()
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: x for name, x in os.environ.items() if name not in hidden}
    done = subprocess.run(
        command, cwd=copy, env=environment, stdout=-1, stderr=-2, text=True, encoding="utf-8"
    )
    lines = done.stdout.strip().splitlines() or ["done"]
    print(f"{time.monotonic() - begin:5.0f} s  {title}: {lines[-1]}", flush=True)
    if done.returncode:
        failures = [x for x in lines if re.match("FAILED|ERROR|.*: error:|Broken", x)]
        print(*failures or lines[-40:], sep="\n", flush=True)
    return done.returncode == 0, done.stdout


def check(copy: Path, rooms: Mapping[str, Room]) -> bool:
    """Check the copy, which has these rooms, in a fresh environment."""
    project = tomllib.loads((copy / "pyproject.toml").read_text("utf-8"))["project"]
    tools = [x for x in project["optional-dependencies"]["dev"] if x.startswith(TOOLS)]
    environment = copy.parent / "venv"
    python = environment / "bin" / "python"
    files = [x for x in sorted((copy / SOURCE).rglob("*.py")) if x.stem != "__main__"]
    modules = {
        ".".join(x.relative_to(copy / "src").with_suffix("").parts).removesuffix(".__init__"): x
        for x in files
    }
    optional = " ".join(package for room in rooms.values() for package in room.packages)
    made, _ = run("environment", [sys.executable, "-m", "venv", environment], copy)
    install = [python, "-m", "pip", "install", "-q", "-e", ".[test]", *tools]
    if not made or not run("packages", install, copy)[0]:
        return False
    imported, output = run("imports", [python, "-c", IMPORT, optional, *modules], copy)
    lacking = re.findall(r"^(\S+) needs", output, re.MULTILINE)
    ignored = [f"--ignore={modules[name].relative_to(copy)}" for name in lacking]
    commands: dict[str, list[str | Path]] = {
        "tests and doctests": [python, "-m", "pytest", "-q", *ignored],
        "types": [python, "-m", "mypy", "src"],
        "contracts": [environment / "bin" / "lint-imports"],
    }
    return all([imported, *[run(title, words, copy)[0] for title, words in commands.items()]])


def main(names: Sequence[str]) -> int:
    """Check what is left without the rooms named, or without all; or write the README."""
    if [*names] == ["--readme"]:
        readme = ROOT / "README.md"
        readme.write_text(with_reading_order(readme.read_text("utf-8")), "utf-8", newline="\n")
        return 0
    rooms = read_rooms((ROOT / "rooms.toml").read_text("utf-8"))
    if unknown := {*names} - {*rooms}:
        print(f"no room {', '.join(sorted(unknown))}; there are {', '.join(rooms)}")
        return 2
    gone = with_dependents(names or rooms, rooms)
    left: dict[str, Any] = {name: room for name, room in rooms.items() if name not in gone}
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        copy_without(gone, rooms, copy)
        files = [*(copy / SOURCE).rglob("*.py")]
        lines = sum(code_lines(file.read_text("utf-8")) for file in files)
        print(
            f"without {', '.join(sorted(gone))}: {lines:,} code lines in {len(files)} files of src"
        )
        return 0 if check(copy, left) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
