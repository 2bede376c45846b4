"""What a task is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Task:
    """A function to write.

    Attributes
    ----------
    right
        A function that gives the right answer.
    draw
        A function of a generator that returns the arguments of the cases.
    mistakes
        Functions that make a known mistake, by the sentence that names it.
    """

    right: Callable[..., Any]
    draw: Callable[[torch.Generator], list[tuple[Any, ...]]]
    mistakes: dict[str, Callable[..., Any]]

    def cases(self) -> list[tuple[Any, ...]]:
        """Return the arguments of the cases, new ones with the same values each time."""
        return self.draw(torch.Generator().manual_seed(0))

    def answers(self, function: Callable[..., Any]) -> list[Any]:
        """Return what a function makes of each case."""
        return [function(*case) for case in self.cases()]
