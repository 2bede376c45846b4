"""Gradients of hand-written backward passes, which cannot be differentiated again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


def once_differentiable(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Make a second derivative through a backward pass an error.

    `torch.autograd.function.once_differentiable` marks its results as constants of every input, so
    `torch.autograd.grad` leaves out the node that would raise, and returns a wrong number. Here the
    results hang on the incoming gradients and on every saved tensor that requires a gradient.
    """

    @functools.wraps(backward)
    def checked(ctx: Any, *incoming: Tensor | None) -> Gradients:
        with torch.no_grad():
            results = backward(ctx, *incoming)
        if not torch.is_grad_enabled():  # the usual case: no create_graph=True
            return results
        present = [result for result in results if result is not None]
        sources = [x for x in (*incoming, *ctx.saved_tensors) if x is not None and x.requires_grad]
        guarded = iter(_Once.apply(len(present), *present, *sources))  # type: ignore[no-untyped-call]
        return tuple(None if result is None else next(guarded) for result in results)

    return checked


class _Once(torch.autograd.Function):
    """Results, as functions of the tensors behind them, whose gradient raises."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.clone() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Gradients:
        raise RuntimeError(
            "second derivatives are not computed by this backend: build the network with "
            "backend='snntorch', whose steps autograd can differentiate again"
        )
