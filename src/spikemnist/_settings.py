"""Compare the settings of a run with those that its checkpoint was written with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def check_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], path: Path) -> None:
    """Raise a `ValueError` that names every setting in which a run differs from its checkpoint."""
    differences = [
        f"{name} was {found.get(name)!r}, is {wanted.get(name)!r}"
        for name in (*wanted, *(name for name in found if name not in wanted))
        if found.get(name) != wanted.get(name)
    ]
    if differences:
        raise ValueError(
            f"cannot resume {path} with another configuration: {'; '.join(differences)}. "
            "Resume with the same one, or start a new run"
        )
