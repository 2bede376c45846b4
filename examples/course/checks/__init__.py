"""Check the functions that a student writes: `check(function)` names the likely mistake.

Each sheet of the course has a file of tasks beside this one. A task is named as the function to
write. It has the library's answer, cases drawn at random, and answers that are wrong in a known
way: where the student's function gives one of those, its sentence is printed.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import Any

import torch

from . import chip, neuron, spikes, stdp, surrogate, why_not
from .chip import hand_in, on_chip
from .comparison import arguments, close, first_difference, wrong_form
from .digits import own_digits
from .task import Task

__all__ = ["TASKS", "check", "hand_in", "on_chip", "own_digits", "report"]

TASKS: dict[str, Task] = {
    **spikes.TASKS,
    **neuron.TASKS,
    **surrogate.TASKS,
    **why_not.TASKS,
    **chip.TASKS,
    **stdp.TASKS,
}
"""The tasks of all sheets, by the name of the function to write."""

WHOLE = "Compare the tensor of all neurons as a whole, without an if: (a > b).float()."
HINTS = {
    r"Boolean value of Tensor with more than one value": f"An if takes one value. {WHOLE}",
    r"expected Tensor as element \d+ .* but got (?:int|float)": (
        f"The list holds numbers, one for all neurons. {WHOLE}"
    ),
    r"(ceil|exp|floor|log|sqrt)\(\): argument 'input' .* must be Tensor": (
        r"torch.\1 takes a tensor: for a number there is math.\1."
    ),
}
"""What to do about an error of torch, by a pattern of its message."""

_right: dict[str, bool] = {}


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compare a function with the library on drawn cases, and print what is right or wrong.

    Parameters
    ----------
    function
        The function that a sheet asks for, under the name that it has there.

    Returns
    -------
    Callable
        The same function if it is right, else the library's, so that the sheet goes on.
    """
    name = function.__name__
    if name not in TASKS:
        print(f"There is no task {name!r}. The tasks are: {', '.join(TASKS)}.")
        return function
    task = TASKS[name]
    fault = _fault(function, task)
    _right[name] = fault is None
    if fault is None:
        print(f"{name}: right, in {len(task.cases())} cases.")
        return function
    print(f"{name}: not yet. {fault}\nThe sheet goes on with the library's {name}.")
    return task.right


def report(*names: str) -> None:
    """Print how many of the named functions are right."""
    right = [name for name in names if _right.get(name)]
    print(f"{len(right)} of {len(names)} right: {', '.join(right) or 'none'}")
    for name in names:
        if name not in _right:
            print(f"{name} was not checked: run its cell.")


def _fault(function: Callable[..., Any], task: Task) -> str | None:
    """Return a sentence that says what is wrong, or None."""
    answers = []
    for case, given in zip(task.cases(), task.cases(), strict=True):
        try:
            answers.append(function(*given))
        except Exception as error:
            place, given = _place(function, error), arguments(function, case)
            stop = f"It stops with {type(error).__name__}: {error} ({place}{given})."
            return " ".join([stop, *_hints(str(error))])
        if answers[-1] is None:
            return "It returns nothing: the gap is empty, or a return is missing."
        for before, after in zip(case, given, strict=True):
            if isinstance(before, torch.Tensor) and not before.equal(after):
                return (
                    "It changes its arguments, as a += b and a[...] = b do: write a = a + b, "
                    "or work with a copy, a.clone()."
                )
    right = task.answers(task.right)
    for answer, expected in zip(answers, right, strict=True):
        if (form := wrong_form(answer, expected)) is not None:
            return form
    if all(map(close, answers, right)):
        return None
    for sentence, wrong in task.mistakes.items():
        if all(map(close, answers, task.answers(wrong))):
            return sentence
    return first_difference(function, task.cases(), answers, right)


def _hints(message: str) -> list[str]:
    """Return what to do about an error with this message."""
    found = ((re.search(pattern, message), hint) for pattern, hint in HINTS.items())
    return [match.expand(hint) for match, hint in found if match]


def _place(function: Callable[..., Any], error: Exception) -> str:
    """Return the line of the student's function in which an error was raised."""
    inside = function.__code__
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.name == inside.co_name]
    number = (lines[-1].lineno or 0) - inside.co_firstlineno + 1 if lines else 1
    return f"line {number} of the function"
