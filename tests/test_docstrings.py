"""Every public name is documented to one standard, and this file says which.

A docstring is compared with the signature, the annotations and the source of what it stands in; a
failure names what it lacks. What a property is, its summary says; a member is shown at work in the
example of its class.
"""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import re
import sys
from functools import cache
from pathlib import Path
from types import FunctionType, GenericAlias, ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

ROOMS = ["data", "encoding", "ops", "models", "training", "energy", "plasticity", "viz"]
MAKERS, RETURNS = ["__init__", "__post_init__"], {"Returns", "Yields"}
# They cannot carry a docstring of their own; docs/api describes them.
EXEMPT = {
    "spikemnist.__version__": "a string",
    "spikemnist.data.EVENT": "a dtype of NumPy",
    "spikemnist.energy.MEMORIES": "a mapping of numbers",
    "spikemnist.energy.TECHNOLOGIES": "a mapping of instances of Technology",
    "spikemnist.models.READOUTS": "a tuple of names",
    "spikemnist.ops.BACKENDS": "a tuple of names",
    "spikemnist.ops.Backend": "a Literal",
    "spikemnist.ops.RESET_MECHANISMS": "a tuple of names",
    "spikemnist.ops.ResetMechanism": "a Literal",
    "spikemnist.ops.SURROGATES": "a mapping of classes",
    "spikemnist.training.Callback": "an alias of Callable",
}
SHAPE = re.compile(r"\[(\.{3}|[^\]]*(?<![\w'])[A-Z](?![\w'])[^\]]*)\]")  # [T, B, 28, 28], [...]
ARRAY = re.compile(r"\b(Tensor|NDArray|ArrayLike|Array|Events)\b")
CALLABLE = re.compile(r"Callable\[\[.*?\], [^\]]*\]")


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield what is public, and behind each class its methods and properties that are ours."""
    for place in ("spikemnist", *(f"spikemnist.{room}" for room in ROOMS)):
        module = importlib.import_module(place)
        for name in module.__all__:
            thing = getattr(module, name)
            yield f"{place}.{name}", thing
            if isinstance(thing, type):
                yield from members(f"{place}.{name}", thing)


def members(place: str, kind: type) -> Iterator[tuple[str, Any]]:
    found: dict[str, Any] = {}
    for owner in reversed(ours(kind)):
        found |= vars(owner)
    for name, member in found.items():
        plain = getattr(member, "__func__", member)  # of a classmethod
        if isinstance(plain, FunctionType | property) and (name[0] != "_" or name == "__call__"):
            yield f"{place}.{name}", plain


def ours(kind: type) -> list[type]:
    return [owner for owner in kind.__mro__ if owner.__module__.startswith("spikemnist")]


def sections(docstring: str) -> dict[str, str]:
    """Return the text below each underlined heading, and under "" what stands above the first."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(section: str) -> list[str]:
    """Return what a section describes: ``a, b : int`` are two."""
    heads = re.findall(r"^(\S[^:\n]*)", section, flags=re.MULTILINE)
    return [name.strip(" *") for head in heads for name in head.split(",")]


def parameters(thing: Any) -> list[str]:
    """Return the arguments of a function or a class, or the fields of a dataclass."""
    if dataclasses.is_dataclass(thing):
        return [field.name for field in dataclasses.fields(thing) if field.name[0] != "_"]
    function = method(thing, "__init__") if isinstance(thing, type) else thing
    names = inspect.signature(function).parameters if isinstance(function, FunctionType) else ()
    return [name for name in names if name not in ("self", "cls")]


def method(kind: type, name: str) -> FunctionType | None:
    """Return a method that one of our classes writes down, none that Protocol brings."""
    found = [vars(owner).get(name) for owner in ours(kind)]
    return next((f for f in found if getattr(f, "__module__", "").startswith("spikemnist")), None)


def raised(function: Any) -> set[str]:
    """Return what a function raises in its own source; "" for what a call returns."""
    code = getattr(function, "__code__", None)
    node = functions_in(code.co_filename).get(code.co_firstlineno) if code else None
    errors = [each.exc for each in ast.walk(node) if isinstance(each, ast.Raise)] if node else []
    names = [getattr(getattr(error, "func", error), "id", "") for error in errors]
    return {name if name.endswith("Error") else "" for name in names}


@cache
def functions_in(file: str) -> dict[int, ast.AST]:
    """Return the functions of a file by their first line, which may be a decorator's."""
    text = Path(file).read_text(encoding="utf-8") if Path(file).is_file() else ""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {min(part.lineno for part in (node, *node.decorator_list)): node for node in found}


@cache
def examples(module: str) -> set[str]:
    """Return the names in a module whose docstrings have an example that doctest runs."""
    tests = doctest.DocTestFinder().find(sys.modules[module])
    return {t.name for t in tests if any(doctest.SKIP not in e.options for e in t.examples)}


def lacks(place: str, thing: Any) -> list[str]:
    """Return what a docstring lacks."""
    alias = isinstance(thing, GenericAlias)  # which Python 3.10 takes for a class
    if alias or not isinstance(thing, FunctionType | type | property | ModuleType):
        return [] if place in EXEMPT else ["a line in EXEMPT, since it can have none"]
    docstring = (thing.__doc__ if isinstance(thing, type) else inspect.getdoc(thing)) or ""
    parts = sections(docstring)
    found = [] if parts[""].split("\n\n")[0].rstrip().endswith(".") else ["a summary sentence"]
    if isinstance(thing, ModuleType):
        return found
    code = getattr(thing, "fget", thing)
    found += [*lacks_parameters(code, parts), *lacks_errors(code, parts)]
    hints = {name: str(hint) for name, hint in inspect.get_annotations(code).items()}
    if hints.get("return", "None") != "None" and not RETURNS & parts.keys() and code is thing:
        found.append("the section Returns or Yields")
    if ARRAY.search(CALLABLE.sub("", " ".join(hints.values()))) and not SHAPE.search(docstring):
        found.append("the shape of an array, such as [T, B, N]")
    name = f"{code.__module__}.{code.__qualname__}"
    if "." not in code.__qualname__ and name not in examples(code.__module__):
        found.append("an example that runs")
    return found


def lacks_parameters(thing: Any, parts: dict[str, str]) -> Iterator[str]:
    expected, listed = parameters(thing), entries(parts.get("Parameters", ""))
    described = {*listed, *entries(parts.get("Attributes", ""))}
    yield from (f"the parameter {name}" for name in expected if name not in described)
    yield from (f"a parameter {name}, and describes it" for name in listed if name not in expected)


def lacks_errors(thing: Any, parts: dict[str, str]) -> Iterator[str]:
    described = entries(parts.get("Raises", ""))
    makers = [method(thing, name) for name in MAKERS] if isinstance(thing, type) else [thing]
    for error in sorted(set().union(*map(raised, makers))):
        if not described or (error and error not in described):
            yield f"the section Raises: {error or 'an error'}"


NAMES = dict(public_names())


@pytest.mark.parametrize("place", NAMES)
def test_the_docstring_is_whole(place: str) -> None:
    found = lacks(place, NAMES[place])
    assert not found, f"the docstring of {place} lacks {'; '.join(found)}"


def test_no_exemption_is_left_over() -> None:
    assert set(EXEMPT) <= set(NAMES)


def forgetful(spikes: Tensor, size: int = 1) -> Tensor:
    """Pool spikes

    Parameters
    ----------
    side : int
        Of a window.
    """
    if size < 1:
        raise ValueError(size)
    return spikes


def test_a_bad_docstring_is_caught() -> None:
    assert lacks("forgetful", forgetful) == [
        "a summary sentence",
        "the parameter spikes",
        "the parameter size",
        "a parameter side, and describes it",
        "the section Raises: ValueError",
        "the section Returns or Yields",
        "the shape of an array, such as [T, B, N]",
        "an example that runs",
    ]
