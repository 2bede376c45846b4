"""Which backend runs the T steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch

from spikemnist.kernels import compiler
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["auto", "reference", "event_driven", "snntorch"]
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
        ``"snntorch"`` steps the real `snntorch.Leaky` modules, the oracle;
        ``"auto"`` takes the event-driven engine where it can serve and is the faster one, else
        the reference.
    spikes, weight
        The input, ``[T, B, ...]``, and the first weights of the network, ``[N, F]`` or of a
        convolution ``[N, C, H, W]``; when left out, the answer is about one in float32 on the CPU.

    Returns
    -------
    str
        ``"reference"``, ``"event_driven"`` or ``"snntorch"``.

    Raises
    ------
    ValueError
        For an unknown backend, and when the event-driven engine is asked for by name and cannot
        serve; the message says why.

    Examples
    --------
    >>> select_backend("reference")
    'reference'
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}; got {backend!r}")
    if backend not in ("auto", "event_driven"):
        return backend
    if backend == "auto" and _is_small(spikes, weight):
        return "reference"
    obstacle = _obstacle(spikes, weight)
    if backend == "auto":
        return "reference" if obstacle else "event_driven"
    if obstacle is None:
        return "event_driven"
    raise ValueError(f"backend='event_driven' cannot run here: {obstacle}. Use backend='auto'")


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


def _obstacle(spikes: Tensor | None, weight: Tensor | None) -> str | None:
    """Return why the event-driven engine cannot run with such spikes and weights, or None."""
    traced = spikes is not None and type(spikes.detach()) is not torch.Tensor
    if traced or torch.compiler.is_compiling():
        return "torch.compile and torch.export cannot trace its kernels"
    if weight is not None and (unfit := _unfit(weight)):
        return unfit
    missing = compiler.obstacle()
    return missing and f"its kernels need {missing}"


def _unfit(weight: Tensor) -> str | None:
    """Return why the event-driven engine does not serve such weights, or None."""
    if weight.device.type != "cpu":
        return f"it runs on the CPU, and the model is on {weight.device.type}"
    if weight.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 and float64, and the model is in {weight.dtype}"
    if torch.is_autocast_enabled("cpu"):
        return f"it computes in {weight.dtype}, and autocast asks for another precision"
    return None
