"""Whether the parameters of a model are finite, looked at once for each version of them.

A kernel that works only where a spike is does not come across the weights of silent inputs. What is
infinite or not a number among them would stay hidden, which in a matrix product it does not.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

_READ = ("weight", "bias", "beta", "threshold", "running_mean", "running_var")
"""What a call reads of a module."""

_MANY = 4096
"""Tensors that are remembered before those that are gone are forgotten."""

_known: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}
"""Finite tensors by their identity: where their memory was, and in which version."""


def finite_backend(asked: str, backend: str, modules: Iterable[tuple[str, nn.Module]]) -> str:
    """Return the backend that shows what is infinite or not a number in the parameters.

    Parameters
    ----------
    asked, backend
        What the model is set to, and what `spikemnist.ops.select_backend` made of it.
    modules
        Modules and their places in the model.

    Returns
    -------
    str
        ``"reference"`` in place of the event-driven engine where a parameter is not finite.

    Raises
    ------
    ValueError
        When that engine was asked for by name.
    """
    if backend != "event_driven" or torch.compiler.is_compiling():
        return backend
    bad = _first_not_finite(modules)
    if bad is None:
        return backend
    if asked == "auto":
        return "reference"
    raise ValueError(
        f"{bad} has values that are infinite or not a number, and backend='event_driven' comes "
        "across them only where a spike is. Use backend='auto' or 'reference' to see what they do"
    )


def _first_not_finite(modules: Iterable[tuple[str, nn.Module]]) -> str | None:
    for path, module in modules:
        for name in _READ:
            tensor: Tensor | None = module._parameters.get(name)
            if tensor is None:
                tensor = module._buffers.get(name)
            if tensor is not None and not _is_finite(tensor):
                return f"{path}.{name}"
    return None


def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_inference():  # without a version
        return _look(tensor)
    state = tensor.data_ptr(), tensor._version
    known = _known.get(id(tensor))
    if known is not None and known[0]() is tensor and known[1:] == state:
        return True
    if not _look(tensor):
        return False
    if len(_known) >= _MANY:
        for key in [key for key, (which, *_) in list(_known.items()) if which() is None]:
            _known.pop(key, None)
    _known[id(tensor)] = weakref.ref(tensor), *state
    return True


def _look(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
