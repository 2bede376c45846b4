"""Packages whose names are imported on first use."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import Any

from spikemnist._doors import import_object, is_installed


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
        Names by the module that has them, ``".module"`` of the package or another one. Those of a
        room that is missing are not public, and asking for one raises an `ImportError`.
    """
    paths = {
        name: f"{importlib.util.resolve_name(module, package)}.{name}"
        for module, names in modules.items()
        for name in names.split()
    }

    def get(name: str) -> Any:
        if name not in paths:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if paths[name] == f"{package}.{name}" and is_installed(paths[name]):
            return importlib.import_module(paths[name])
        return import_object(paths[name])

    public = [name for name, path in paths.items() if is_installed(path)]
    return get, lambda: sorted(sys.modules[package].__all__), public
