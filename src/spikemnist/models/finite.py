"""Check that the parameters of a model are finite, once for each version of a tensor.

An event-driven kernel skips the weights of silent inputs. An infinite weight or NaN among them
would stay hidden, whereas a matrix product would show it.
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
"""Parameters and buffers of a module that a call reads."""

_MANY = 4096
"""Number of known tensors at which entries of deleted tensors are removed."""

_known: dict[int, tuple[weakref.ref[Tensor], int, int]] = {}
"""Finite tensors by ``id``: weak reference, address of the memory, and version."""


def finite_backend(asked: str, backend: str, modules: Iterable[tuple[str, nn.Module]]) -> str:
    """Return the backend to use: the reference in place of the engine if a parameter is not finite.

    Parameters
    ----------
    asked, backend : str
        Backend set on the model, and the one that `spikemnist.ops.select_backend` chose for it.
    modules : iterable of (str, torch.nn.Module)
        Modules with their places in the model.

    Returns
    -------
    str
        ``"reference"`` in place of ``"event_driven"`` if a parameter is not finite, else
        ``backend``.

    Raises
    ------
    ValueError
        If a parameter is not finite and the event-driven engine was requested by name.
    """
    if backend != "event_driven" or torch.compiler.is_compiling():
        return backend
    bad = _first_not_finite(modules)
    if bad is None:
        return backend
    if asked == "auto":
        return "reference"
    raise ValueError(
        f"{bad} has NaN or infinite values, which backend='event_driven' reads only where there "
        "is a spike. Use backend='auto' or 'reference' to see their effect"
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
    if tensor.is_inference():  # has no version counter
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
