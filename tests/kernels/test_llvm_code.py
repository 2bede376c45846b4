"""LLVM code names the types of what it loads: pointers of newer releases do not know them."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import spikemnist

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(spikemnist.__file__).parent

TYPES = {"load": "typ", "gep": "source_etype"}
"""Methods of `llvmlite.ir.IRBuilder`, and the argument that names a type."""


def instructions(file: Path) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of builders that load or compute addresses."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method, owner = node.func.attr, ast.unparse(node.func.value)
            if method in TYPES and owner.rpartition(".")[2] in ("builder", "inside"):
                yield node, method


def test_loads_and_addresses_name_their_types() -> None:
    found, untyped = 0, []
    for file in sorted(PACKAGE.rglob("*.py")):
        for call, method in instructions(file):
            found += 1
            if TYPES[method] not in {keyword.arg for keyword in call.keywords}:
                untyped.append(f"{file.relative_to(PACKAGE)}:{call.lineno} {ast.unparse(call)}")
    assert untyped == []
    assert found > 8
