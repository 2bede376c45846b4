"""The docstrings of public names, compared with signatures, annotations, source and pages.

A protocol is documented once: members that implement it need a summary alone. Summaries, and
parameters where a function lists some, are left to ruff.
"""

from __future__ import annotations

import builtins
import dataclasses
import doctest
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from functools import cache
from types import FunctionType, GenericAlias, ModuleType
from typing import Any

import pytest

from spikemnist._doors import is_installed

ROOMS = ["data", "encoding", "ops", "models", "training", "viz"]
BEYOND = ["energy", "plasticity", "recognition", "export"]
ROOMS += [room for room in BEYOND if is_installed(f"spikemnist.{room}")]
PROTOCOL_MEMBERS = ["__call__", "decode", "extra_repr", "table"]
SHAPE = re.compile(r"\[(\.{3}|[^\]]*(?<![\w'])[A-Z](?![\w'])[^\]]*)\]")  # [T, B, 28, 28], [...]
ARRAY = re.compile(r"\b(Tensor|NDArray|ArrayLike|Array|Events)\b")
CALLABLE = re.compile(r"Callable\[\[.*?\], [^\]]*\]")


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield functions, classes, and the public methods and properties of classes."""
    for place in ("spikemnist", *(f"spikemnist.{room}" for room in ROOMS)):
        module = importlib.import_module(place)
        for name in module.__all__:
            thing = getattr(module, name)
            # Python 3.10 takes a GenericAlias for a class.
            if isinstance(thing, FunctionType | type) and not isinstance(thing, GenericAlias):
                yield f"{place}.{name}", thing
                if isinstance(thing, type):
                    yield from members(f"{place}.{name}", thing)


def members(place: str, kind: type) -> Iterator[tuple[str, Any]]:
    for name in dir(kind):
        owner = next(owner for owner in kind.__mro__ if name in vars(owner))
        member = vars(owner)[name]
        member = getattr(member, "__func__", member)  # of a classmethod
        public = name[0] != "_" or name == "__call__"
        ours = owner.__module__.startswith("spikemnist")
        if ours and public and isinstance(member, FunctionType | property):
            yield f"{place}.{name}", member


def sections(docstring: str) -> dict[str, str]:
    """Return the text below each underlined heading."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(section: str) -> list[str]:
    """Return the names that a section describes: ``a, b : int`` are two."""
    heads = re.findall(r"^(\S[^:\n]*)", section, flags=re.MULTILINE)
    return [name.strip(" *") for head in heads for name in head.split(",")]


def parameters(thing: Any) -> list[str]:
    """Return the arguments of a function or a class, or the fields of a dataclass."""
    if dataclasses.is_dataclass(thing):
        return [field.name for field in dataclasses.fields(thing) if field.name[0] != "_"]
    function = constructor(thing) if isinstance(thing, type) else thing
    names = inspect.signature(function).parameters if function else ()
    return [name for name in names if name not in ("self", "cls")]


def constructor(kind: type) -> FunctionType | None:
    """Return the constructor that one of our classes defines."""
    name = "__post_init__" if dataclasses.is_dataclass(kind) else "__init__"
    functions = (vars(owner).get(name) for owner in kind.__mro__)
    written = (f for f in functions if isinstance(f, FunctionType))
    return next((f for f in written if f.__module__.startswith("spikemnist")), None)


def raised(function: Any) -> set[str]:
    """Return the errors in the source of a function; "" for the result of a call."""
    source = inspect.getsource(function) if function else ""
    names = re.findall(r"^ +raise (\w+)", source, flags=re.MULTILINE)
    return {name if name.endswith("Error") else "" for name in names}


@cache
def examples(module: str) -> set[str]:
    """Return the names in a module whose docstrings have an example that doctest runs."""
    tests = doctest.DocTestFinder().find(sys.modules[module])
    return {t.name for t in tests if any(doctest.SKIP not in e.options for e in t.examples)}


def missing(place: str, thing: Any) -> Iterator[str]:
    """Yield what a docstring lacks."""
    docstring = (thing.__doc__ if isinstance(thing, type) else inspect.getdoc(thing)) or ""
    if place.rpartition(".")[2] in PROTOCOL_MEMBERS:
        return
    parts = sections(docstring)
    yield from missing_parameters(thing, parts)
    function = constructor(thing) if isinstance(thing, type) else getattr(thing, "fget", thing)
    described = entries(parts.get("Raises", ""))
    for error in sorted(raised(function)):
        if not described or (error and error not in described):
            yield f"the section Raises: {error or 'an error'}"
    hints = inspect.get_annotations(getattr(thing, "fget", thing))
    returns = {"Returns", "Yields"} & parts.keys() or isinstance(thing, type | property)
    if str(hints.get("return", "None")) != "None" and not returns:
        yield "the section Returns or Yields"
    types = CALLABLE.sub("", " ".join(map(str, hints.values())))
    if ARRAY.search(types) and not SHAPE.search(docstring):
        yield "the shape of an array, such as [T, B, N]"
    name = getattr(thing, "__qualname__", ".")  # a member is part of its class's example
    if "." not in name and f"{thing.__module__}.{name}" not in examples(thing.__module__):
        yield "an example that runs"


def missing_parameters(thing: Any, parts: dict[str, str]) -> Iterator[str]:
    expected = [] if isinstance(thing, property) else parameters(thing)
    listed = entries(parts.get("Parameters", ""))
    described = {*listed, *entries(parts.get("Attributes", ""))}
    yield from (f"the parameter {name}" for name in expected if name not in described)
    yield from (f"no parameter {name}, but describes it" for name in listed if name not in expected)


NAMES = dict(public_names())
PACKAGES = {
    name: importlib.import_module(name)
    for name in ("spikemnist", *(f"spikemnist.{room}" for room in ROOMS))
}
ELSEWHERE = {*dir(builtins), "matplotlib", "os", "snntorch", "torch", "tqdm"}
MARKED = re.compile(r"``.*?``|:math:`[^`]*`", re.DOTALL)


def described(thing: Any) -> set[str]:
    """Return the members, parameters, attributes and results of an object."""
    if isinstance(thing, ModuleType):
        return {*thing.__all__, *PACKAGES}
    texts = sections(thing.__doc__ or "")
    named = (texts.get(name, "") for name in ("Parameters", "Attributes", "Returns", "Yields"))
    own = {name for text in named for name in entries(text)}
    own |= set() if isinstance(thing, property) else {*parameters(thing)}
    return own | {*dir(thing)} if isinstance(thing, type) else own


@pytest.mark.parametrize("place", NAMES)
def test_complete_docstring(place: str) -> None:
    lacks = list(missing(place, NAMES[place]))
    assert not lacks, f"the docstring of {place} lacks {'; '.join(lacks)}"
