"""Which backend runs the T steps."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import torch

from spikemnist.kernels import compiler
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Backend = Literal["auto", "reference", "event_driven", "triton", "metal", "snntorch"]
BACKENDS: tuple[str, ...] = get_args(Backend)
"""How the T steps are run."""

FEW_STEPS = 12
"""Timesteps below which the reference's loop over them can be the faster one."""

FEW_UPDATES, FEW_CONSTANT = 1 << 15, 1 << 21
"""Timesteps times samples times neurons of the first layer below which it then is: the engine's
fixed cost of some hundred microseconds outweighs the loop. The second number is for an input that
is the same at every timestep, where both compute one and the same matrix product."""

FEW_IN_IMAGES = 1 << 18
"""The same for a network that begins with a convolution, whatever its timesteps and its code: times
samples, channels and pixels."""


def select_backend(backend: str, spikes: Tensor | None = None, weight: Tensor | None = None) -> str:
    """Return the backend that runs when ``backend`` is asked for.

    Parameters
    ----------
    backend
        ``"reference"`` runs each layer over all timesteps in plain torch, on any device;
        ``"event_driven"`` runs them in compiled kernels that work only where a spike is, on the
        CPU, in float32 and float64;
        ``"triton"`` runs each layer in one kernel on CUDA, and ``"metal"`` on Apple's GPU, in
        float32, bfloat16 and float16, ``"triton"`` in float64 as well;
        ``"snntorch"`` steps the real `snntorch.Leaky` modules, the oracle;
        ``"auto"`` takes the event-driven engine on the CPU where it can serve and is the faster
        one, ``"triton"`` on CUDA where it can serve, else the reference.
    spikes, weight
        The input, ``[T, B, ...]``, and the first weights of the network, ``[N, F]`` or of a
        convolution ``[N, C, H, W]``; when left out, the answer is about weights that the backend
        serves, on the CPU for ``"auto"``.

    Returns
    -------
    str
        One of `BACKENDS`, and not ``"auto"``.

    Raises
    ------
    ValueError
        For an unknown backend, and when one of compiled kernels is asked for by name and cannot
        serve; the message says why.

    Examples
    --------
    >>> select_backend("reference")
    'reference'
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    if backend in ("reference", "snntorch"):
        return backend
    if backend == "auto":
        preferred = _preferred(weight)
        if preferred == "event_driven" and _is_small(spikes, weight):
            return "reference"
        return "reference" if _obstacle(preferred, spikes, weight) else preferred
    if obstacle := _obstacle(backend, spikes, weight):
        raise ValueError(f"backend={backend!r} cannot run here: {obstacle}. Use backend='auto'")
    return backend


def _preferred(weight: Tensor | None) -> str:
    """Return the kernels for the device of weights; not ``"metal"``, which was not seen to run."""
    return "triton" if weight is not None and weight.device.type == "cuda" else "event_driven"


def _is_small(spikes: Tensor | None, weight: Tensor | None) -> bool:
    """Return whether a call of the engine costs more than all the steps of the reference."""
    if spikes is None or weight is None:
        return False
    steps, batch = spikes.shape[:2]
    updates = steps * batch * weight.shape[:1].numel()
    if weight.dim() > 2:
        # A convolution has neurons at about as many places as its input has pixels.
        return updates * spikes.shape[3:].numel() < FEW_IN_IMAGES
    few = FEW_CONSTANT if is_constant(spikes) else FEW_UPDATES
    return steps < FEW_STEPS and updates < few


def _obstacle(backend: str, spikes: Tensor | None, weight: Tensor | None) -> str | None:
    """Return why compiled kernels cannot run with such spikes and weights, or None."""
    traced = spikes is not None and type(spikes.detach()) is not torch.Tensor
    if traced or torch.compiler.is_compiling():
        return "torch.compile and torch.export cannot trace its kernels"
    if weight is not None and (unfit := _unfit(backend, weight)):
        return unfit
    missing = COMPILED[backend].missing()
    return missing and f"its kernels need {missing}"


def _unfit(backend: str, weight: Tensor) -> str | None:
    """Return why compiled kernels do not serve such weights, or None."""
    kernels = COMPILED[backend]
    if weight.device.type != kernels.device and not (backend == "triton" and _is_interpreted()):
        return f"it runs on {kernels.title}, and the model is on {weight.device.type}"
    if weight.dtype not in kernels.dtypes:
        names = [str(dtype).removeprefix("torch.") for dtype in kernels.dtypes]
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        return f"it computes in {listed}, and the model is in {weight.dtype}"
    if backend == "event_driven" and torch.is_autocast_enabled("cpu"):
        return f"it computes in {weight.dtype}, and autocast asks for another precision"
    return None


def _is_interpreted() -> bool:
    """Return whether Triton runs its kernels in NumPy, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def _missing_for_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "Triton, which comes with torch for CUDA on Linux"
    return None


def _missing_for_metal() -> str | None:
    if not hasattr(torch.mps, "compile_shader"):
        return "torch.mps.compile_shader"
    return None


class Compiled(NamedTuple):
    """Kernels of a backend.

    Attributes
    ----------
    device, title : str
        Type of the device that they run on, and what messages call it.
    dtypes : tuple of torch.dtype
        What they compute in.
    missing : callable
        Returns what is not installed that they need, or None.
    """

    device: str
    title: str
    dtypes: tuple[torch.dtype, ...]
    missing: Callable[[], str | None]


HALF = (torch.bfloat16, torch.float16)
COMPILED = {
    "event_driven": Compiled("cpu", "the CPU", (torch.float32, torch.float64), compiler.obstacle),
    "triton": Compiled("cuda", "CUDA", (torch.float32, torch.float64, *HALF), _missing_for_triton),
    "metal": Compiled("mps", "MPS", (torch.float32, *HALF), _missing_for_metal),
}
"""Backends of compiled kernels."""
