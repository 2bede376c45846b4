"""Compare what a student's function returns with what the library returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import torch

FEW = 12
"""Numbers of a tensor that are written out in a message."""


def _parts(answer: Any) -> Sequence[Any]:
    return answer if isinstance(answer, (tuple, list)) else (answer,)


def wrong_form(answer: Any, expected: Any) -> str | None:
    """Return a sentence if the answer does not have the type and shape of the library's."""
    pairs = [(answer, expected), *zip(_parts(answer), _parts(expected), strict=False)]
    if any(isinstance(x, list) and isinstance(model, torch.Tensor) for x, model in pairs):
        return "It returns a list where a tensor is expected: make one of it with torch.stack."
    if len(_parts(answer)) != len(_parts(expected)):
        return f"It returns {_kind(answer)}; expected is {_kind(expected)}."
    for part, model in zip(_parts(answer), _parts(expected), strict=True):
        if not isinstance(part, (Real, torch.Tensor)) or _shape(part) != _shape(model):
            return f"It returns {_kind(answer)}; expected is {_kind(expected)}."
    tensors = [pair for pair in pairs[1:] if _shape(pair[1])]  # a count may be a whole number
    types = [[getattr(x, "dtype", torch.float32) for x in pair] for pair in tensors]
    for kind, right in types:
        if right.is_floating_point and not kind.is_floating_point:
            return f"It returns a tensor of {kind}; expected is {right}: add .float()."
    if any(
        getattr(x, "requires_grad", False) > getattr(y, "requires_grad", False) for x, y in pairs
    ):
        return (
            "It returns a tensor with its gradients: take its number by .item(), or .detach() it."
        )
    return None


def _shape(value: Any) -> list[int]:
    return list(value.shape) if isinstance(value, torch.Tensor) else []


def _kind(answer: Any) -> str:
    if isinstance(answer, torch.Tensor) and answer.dim():
        return f"a tensor of shape {list(answer.shape)}"
    if isinstance(answer, (Real, torch.Tensor)):
        return "a number"
    if isinstance(answer, (tuple, list)):
        kinds = [_kind(value) for value in answer[:3]] + ["and so on"] * (len(answer) > 3)
        return f"a {type(answer).__name__} of {len(answer)}: " + ", ".join(kinds)
    return f"a {type(answer).__name__}"


def close(answer: Any, expected: Any) -> bool:
    """Return whether two answers agree within the rounding of single precision."""
    if wrong_form(answer, expected) is not None:
        return False
    pairs = zip(_parts(answer), _parts(expected), strict=True)
    return all(
        torch.allclose(
            *(torch.as_tensor(x).double() for x in pair), rtol=1e-4, atol=1e-5, equal_nan=True
        )
        for pair in pairs
    )


def arguments(function: Callable[..., Any], case: Sequence[Any]) -> str:
    """Return the end of a sentence: numbers, tuples and tensors of a case, by their names."""
    texts = [
        f"{name} = {_value(value)}"
        for name, value in zip(inspect.signature(function).parameters, case, strict=False)
        if isinstance(value, (Real, torch.Tensor, tuple))
    ]
    return ", for " + ", ".join(texts) if texts else ""


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, torch.Tensor):
        return str(value)
    if value.numel() > FEW:
        return _kind(value)
    return str((value.double().round(decimals=4) if value.is_floating_point() else value).tolist())


def first_difference(
    function: Callable[..., Any], cases: Sequence[Any], answers: Sequence[Any], right: Sequence[Any]
) -> str:
    """Return where the first case differs, with its arguments."""
    number = next(i for i, pair in enumerate(zip(answers, right, strict=True)) if not close(*pair))
    pairs = list(zip(_parts(answers[number]), _parts(right[number]), strict=True))
    place = next(i for i, pair in enumerate(pairs) if not close(*pair))
    part, model = (torch.as_tensor(x).double() for x in pairs[place])
    at = tuple(
        (~torch.isclose(part, model, rtol=1e-4, atol=1e-5, equal_nan=True)).nonzero()[0].tolist()
    )
    where = f" at {list(at)}" if at else ""
    given = arguments(function, cases[number])
    which = f" in value {place + 1} of {len(pairs)}" if len(pairs) > 1 else ""
    return f"It returns {part[at]:.6g}{where}{which}; right is {model[at]:.6g}{given}."
