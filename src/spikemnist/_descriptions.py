"""Descriptions of objects in the types of JSON, and what differs between two of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Return a value in the types of JSON.

    A dataclass becomes a mapping of its name and its fields. Of any other object, only the name of
    its class stays; of a function or a class, its own name.

    Examples
    --------
    >>> from spikemnist.data import RandomFlip
    >>> plain((0.5, RandomFlip(), len))  # doctest: +NORMALIZE_WHITESPACE
    [0.5, {'name': 'spikemnist.data.augmentation.RandomFlip', 'probability': 0.5},
     'builtins.len']
    """
    if hasattr(value, "item") and not getattr(value, "shape", True):  # a number of NumPy or torch
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    kind = value if hasattr(value, "__qualname__") else type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"name": name, **plain(fields_of(value))}
    return name


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, without copies of what they hold."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def differences(old: Any, new: Any, free: Collection[str] = ()) -> str:
    """Return what differs between two descriptions, in words; empty if nothing does.

    Parameters
    ----------
    old, new : mapping
        Descriptions, which may hold mappings of their own.
    free : collection of str, default ()
        Paths that may differ, such as ``"data.root"``.

    Examples
    --------
    >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
    'a.b was 1, is 3'
    >>> differences({"code": {"name": "rate", "gain": 1}}, {"code": {"name": "latency", "tau": 2}})
    "code.name was 'rate', is 'latency'"
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    changed = [
        path
        for path in {**after, **before}
        if path not in free and before.get(path) != after.get(path)
    ]
    # Things of different kinds have different options.
    kinds = tuple(path.removesuffix("name") for path in changed if path.endswith(".name"))
    return "; ".join(
        f"{path} was {before.get(path)!r}, is {after.get(path)!r}"
        for path in changed
        if path.endswith(".name") or not path.startswith(kinds)
    )


def _leaves(description: Any, path: str = "") -> Any:
    """Yield the path and the value of each entry that is no mapping."""
    for name, value in description.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value
