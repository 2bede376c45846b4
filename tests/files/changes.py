"""Changes of what is in a file of tensors: of its description, and of its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Change = Callable[[dict[str, Any], dict[str, Any]], object]


def tensor(name: str, change: Callable[[Tensor], Tensor]) -> Change:
    """Return what changes one tensor."""
    return lambda _, tensors: tensors.update({name: change(tensors[name])})
