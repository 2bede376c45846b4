"""Packages that only export formats need, installed by the extra ``export``."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, format_name: str) -> Any:
    """Import a package that a format needs.

    Raises
    ------
    ModuleNotFoundError
        If it is not installed; the message has the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ModuleNotFoundError(
            f'{format_name} needs the package {module}: pip install "spikemnist[export]"',
            name=module,
        ) from None
