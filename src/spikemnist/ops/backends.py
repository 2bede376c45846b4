"""Choose the backend that runs the T timesteps."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from spikemnist._arguments import check_choice
from spikemnist._doors import behind, is_there, missing_room
from spikemnist._names import Backend

BACKENDS: tuple[str, ...] = get_args(Backend)
"""Names of the backends."""

FEW_FRAMES = 4
"""Timesteps times samples below which inference by the reference is faster than by the engine, in a
network that begins with a convolution."""


def select_backend(backend: str, spikes: Tensor | None = None, weight: Tensor | None = None) -> str:
    """Return the backend that runs for a requested ``backend``.

    Parameters
    ----------
    backend : str
        Requested backend.
        ``"reference"`` runs each layer over all timesteps in plain torch, on any device;
        ``"event_driven"`` runs compiled kernels that do work only for spikes, on the CPU, in
        float32 and float64;
        ``"triton"`` runs each layer in one kernel on CUDA, in float32, float64, bfloat16 and
        float16: compared in Triton's interpreter, never on a GPU;
        ``"snntorch"`` steps the real `snntorch.Leaky` modules, the oracle of the tests;
        ``"auto"`` chooses the event-driven engine on the CPU where it can run and is faster,
        ``"triton"`` on CUDA where it can run, else the reference.
    spikes, weight : torch.Tensor, default None
        Input ``[T, B, ...]``, and first weights of the network, ``[N, F]`` or, for a convolution,
        ``[N, C, H, W]``. Without them, the answer is for weights that the backend supports, on
        the CPU for ``"auto"``.

    Returns
    -------
    str
        One of `BACKENDS`, but not ``"auto"``.

    Raises
    ------
    ValueError
        For an unknown backend, or a named backend of compiled kernels that cannot run; the
        message says why.

    Examples
    --------
    >>> select_backend("reference")
    'reference'
    """
    check_choice("backend", backend, BACKENDS)
    if backend in ("reference", "snntorch"):
        return backend
    if backend == "auto":
        choice = _preference(weight)
        if choice == "event_driven" and _is_small(spikes, weight):
            return "reference"
        return "reference" if _reason(choice, spikes, weight) else choice
    if reason := _reason(backend, spikes, weight):
        raise ValueError(f"backend={backend!r} cannot run here: {reason}. Use backend='auto'")
    return backend


def _preference(weight: Tensor | None) -> str:
    """Return the compiled backend for the device of weights."""
    return "triton" if weight is not None and weight.device.type == "cuda" else "event_driven"


def _is_small(spikes: Tensor | None, weight: Tensor | None) -> bool:
    """Return whether a call of the engine costs more than the reference's loop over time."""
    if spikes is None or weight is None:
        return False
    return weight.dim() > 2 and spikes.shape[:2].numel() < FEW_FRAMES


def _reason(backend: str, spikes: Tensor | None, weight: Tensor | None) -> str | None:
    """Return why a compiled backend cannot run with these spikes and weights, or None."""
    plain = spikes is None or type(spikes) is Tensor or type(spikes.detach()) is Tensor
    if not plain or torch.compiler.is_compiling():
        kind = "" if spikes is None or plain else f", and they read no {type(spikes).__name__}"
        return f"torch.compile and torch.export cannot trace its kernels{kind}"
    if weight is not None and (unfit := _unfit(backend, weight)):
        return unfit
    missing = COMPILED[backend].missing()
    return missing and f"its kernels need {missing}"


def _unfit(backend: str, weight: Tensor) -> str | None:
    """Return why a compiled backend does not support these weights, or None."""
    kernels = COMPILED[backend]
    # For tests, Triton interprets its kernels in NumPy.
    interpreted = backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1"
    if weight.device.type != kernels.device and not interpreted:
        return f"it runs on {kernels.title}, and the model is on {weight.device.type}"
    if weight.dtype not in kernels.dtypes:
        names = [str(dtype).removeprefix("torch.") for dtype in kernels.dtypes]
        text = f"{', '.join(names[:-1])} and {names[-1]}"
        return f"it computes in {text}, and the model is in {weight.dtype}"
    if backend == "event_driven" and torch.is_autocast_enabled("cpu"):
        return f"it computes in {weight.dtype}, and autocast asks for another precision"
    return None


def _missing_for_engine() -> str | None:
    numba = "spikemnist.kernels.compiler.missing"
    return behind(numba)() if is_there(numba) else missing_room(numba)


def _missing_for_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton, which comes with torch for CUDA on Linux"
    return None


class CompiledBackend(NamedTuple):
    """Requirements of a backend of compiled kernels.

    Attributes
    ----------
    device, title : str
        Device type, and its name in messages.
    dtypes : tuple of torch.dtype
        Dtypes in which the kernels compute.
    missing : callable
        Function that returns a missing dependency, or None.
    """

    device: str
    title: str
    dtypes: tuple[torch.dtype, ...]
    missing: Callable[[], str | None]


FULL, HALF = (torch.float32, torch.float64), (torch.bfloat16, torch.float16)
COMPILED = {
    "event_driven": CompiledBackend("cpu", "the CPU", FULL, _missing_for_engine),
    "triton": CompiledBackend("cuda", "CUDA", (*FULL, *HALF), _missing_for_triton),
}
"""Backends of compiled kernels."""
