"""Change the package in small ways, one at a time, and see whether the tests notice.

    python -m benchmarks.mutants --seed 0 --count 60 --out mutants.json

A mutant is a copy of the checkout with one change of ``src``: another comparison or operator, a
constant one higher, a condition without its ``not``, a call or an addition in place left out, a
message with other words. Mutants are drawn from all such places with a seed, as many in each room
as its share of the code. The tests that name the module come first, then those of the room, and the
whole suite only where these pass. What no test notices survives, or means the same as before: read
it. About a minute for each on two idle cores; results are written after each.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("src/spikemnist")
LEFT_OUT = shutil.ignore_patterns(".git", "_build", "runs", ".venv", ".mypy_cache", ".ruff_cache")
LIMIT = 1500.0
"""Seconds after which a test run is ended: a loop without end is noticed as well."""
SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv},
}


class Mutant(NamedTuple):
    """A place in a file, given by its lines and columns, and the text that takes its place."""

    file: str
    place: tuple[int, int, int, int]
    before: str
    after: str


def mutants(file: Path) -> Iterator[Mutant]:
    """Yield all mutants of a file."""
    source = file.read_text(encoding="utf-8")
    for node in code(ast.parse(source)):
        for changed in changes(node):
            place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
            before = ast.get_source_segment(source, node) or ""
            yield Mutant(str(file.relative_to(ROOT)), place, before, ast.unparse(changed))


def code(node: ast.AST, *, raised: bool = False) -> Iterator[Any]:
    """Yield the nodes that run: no annotations, docstrings, or imports for type checkers."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            inside = raised or isinstance(child, ast.Raise)
            text = isinstance(child, ast.JoinedStr) or isinstance(getattr(child, "value", 0), str)
            if raised or not text:
                yield child
            if not isinstance(child, ast.JoinedStr):  # its parts have no columns of their own
                yield from code(child, raised=inside)


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may take the place of a node."""
    match node:
        case ast.Compare(ops=[operator], left=left, comparators=others):
            if type(operator) in SWAPPED:
                yield ast.Compare(left, [SWAPPED[type(operator)]()], others)  # type: ignore[list-item]
        case ast.BinOp(op=operator, left=left, right=right):
            if type(operator) in SWAPPED and not isinstance(left, ast.Constant | ast.JoinedStr):
                yield ast.BinOp(left, SWAPPED[type(operator)](), right)  # type: ignore[arg-type]
        case ast.BoolOp(op=operator, values=values):
            yield ast.BoolOp(SWAPPED[type(operator)](), values)  # type: ignore[arg-type]
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str()) | ast.JoinedStr():
            yield ast.Constant("other words")
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()


def draw(seed: int, count: int) -> list[Mutant]:
    """Return mutants, as many of each room as its share of all lines."""
    rooms: dict[str, list[Mutant]] = {}
    lines: Counter[str] = Counter()
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        rooms.setdefault(room_of(file.relative_to(ROOT)), []).extend(mutants(file))
        lines[room_of(file.relative_to(ROOT))] += len(file.read_text("utf-8").splitlines())
    random_ = random.Random(seed)
    shares = {room: count * lines[room] / lines.total() for room in rooms}
    numbers = {room: int(share) for room, share in shares.items()}
    by_rest = sorted(rooms, key=lambda room: numbers[room] - shares[room])
    for room in by_rest[: count - sum(numbers.values())]:
        numbers[room] += 1
    drawn = [one for room in rooms for one in random_.sample(rooms[room], numbers[room])]
    random_.shuffle(drawn)  # the first ones are a fair sample, too
    return drawn


def room_of(file: Path) -> str:
    """Return the subpackage of a file; empty for the files beside the subpackages."""
    inside = file.relative_to(PACKAGE).parts
    return inside[0] if len(inside) > 1 else ""


def tests_of(room: str) -> list[str]:
    """Return the tests of a room, its docstrings and the laws that it obeys among them."""
    laws = ["tests/laws"] if room in ("ops", "engine", "gpu", "models") else []
    laws += ["tests/files"] if room in ("", "models", "training", "plasticity") else []
    if room:
        return [f"tests/{room}", f"{PACKAGE}/{room}", *laws]
    return [*laws, *(f"tests/{path.name}" for path in sorted((ROOT / "tests").glob("test_*.py")))]


def near(file: Path) -> list[str]:
    """Return up to three files of tests of the room, those with the module's name in their own."""
    named = re.compile(rf"\b{file.stem.strip('_')}\b")
    folders = (ROOT / folder for folder in tests_of(room_of(file)) if folder.startswith("tests"))
    files = (path for folder in folders for path in (*folder.glob("test_*.py"), folder))
    tests = sorted(
        (path for path in files if path.is_file() and named.search(path.read_text("utf-8"))),
        key=lambda path: file.stem.strip("_") not in path.stem,
    )
    return [str(path.relative_to(ROOT)) for path in tests[:3]]


def run(copy: Path, mutant: Mutant) -> dict[str, Any]:
    """Return which test noticed a mutant, and whether it is one of its room."""
    file = copy / mutant.file
    original = file.read_text(encoding="utf-8")
    lines = original.splitlines(keepends=True)
    (top, left, bottom, right), first = mutant.place, mutant.place[0] - 1
    head = lines[first].encode()[:left].decode()
    tail = lines[bottom - 1].encode()[right:].decode()
    changed = mutant.after if mutant.after == "pass" else f"({mutant.after})"
    text = "".join(lines[:first]) + head + changed + tail + "".join(lines[bottom:])
    file.write_text(text, encoding="utf-8")
    try:
        own, close = tests_of(room_of(Path(mutant.file))), near(Path(mutant.file))
        noticed = notice(copy, ["-n", "0", *close]) if close else ""
        noticed = noticed or notice(copy, own) or notice(copy, [])
        by_room = noticed != "" and noticed.startswith(tuple(own))
        return {**mutant._asdict(), "line": top, "noticed": noticed, "by_room": by_room}
    finally:
        file.write_text(original, encoding="utf-8")


def notice(copy: Path, tests: list[str]) -> str:
    """Return the first test that fails; empty if all pass."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "300"}
    try:
        ended = subprocess.run(
            words, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return "no end"
    if ended.returncode in (0, 5):  # all passed, or none can run here
        return ""
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", ended.stdout, re.MULTILINE)
    return failed[0] if failed else f"pytest ended with {ended.returncode}"


def main() -> None:
    """Draw mutants, run each, and write the results after each."""
    parser = argparse.ArgumentParser(description="See whether the tests notice small changes.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("mutants.json"))
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "checkout")
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        for mutant in draw(options.seed, options.count):
            results.append(run(copy, mutant))
            options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(f"{mutant.file}:{mutant.place[0]}: {mutant.before} -> {mutant.after}: ", end="")
            print(results[-1]["noticed"] or "SURVIVED", flush=True)
    noticed = Counter(bool(one["noticed"]) + bool(one["by_room"]) for one in results)
    print(f"{noticed[2]} noticed by their room, {noticed[1]} by others, {noticed[0]} by none")


if __name__ == "__main__":
    main()
