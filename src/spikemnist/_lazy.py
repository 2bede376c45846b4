"""Packages whose names are imported on first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and the public names of a package.

    Parameters
    ----------
    package : str
        Name of the package, which imports the same names in ``if TYPE_CHECKING:``, for type
        checkers. Source files, where these stand, need not be there when it is used.
    modules : mapping of str to str
        Names by the module that has them, ``".module"`` of the package or another one.
    """
    places = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if places[name] == ".":
            return importlib.import_module(f".{name}", package)
        return getattr(importlib.import_module(places[name], package), name)

    return get, lambda: sorted(sys.modules[package].__all__), [*places]
