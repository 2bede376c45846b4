"""The two stages of a layer: its weights, for all timesteps at once, and its leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional

from spikemnist._arguments import check_choice, must_be
from spikemnist._names import ResetMechanism
from spikemnist._tensors import check_tensor
from spikemnist.ops.reference import LeakyScan
from spikemnist.ops.surrogate import get_surrogate

RESET_MECHANISMS: tuple[str, ...] = get_args(ResetMechanism)
"""How a spike acts on the membrane one timestep later."""


def is_constant(spikes: Tensor) -> bool:
    """Return whether an input ``[T, ...]`` repeats one timestep by a stride of 0 along T."""
    return spikes.shape[0] > 1 and spikes.stride(0) == 0


def linear(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    r"""Apply the weights to all timesteps in one matrix product: :math:`I_t = W x_t + b`.

    For an input that is constant over time (stride 0 along T, as `DirectEncoder` returns it) the
    product is computed once, and the result is constant as well.

    Parameters
    ----------
    spikes : torch.Tensor
        Input ``[T, B, F]``, any dtype; converted to the dtype of ``weight``.
    weight : torch.Tensor
        Weights ``[N, F]``.
    bias : torch.Tensor, default None
        Bias ``[N]``.

    Returns
    -------
    torch.Tensor
        Current ``[T, B, N]``.

    Raises
    ------
    RuntimeError
        If a shape or the dtype of the bias does not fit.

    Examples
    --------
    >>> image = torch.rand(2, 4)
    >>> linear(image.expand(25, 2, 4), torch.rand(3, 4)).stride(0)
    0
    """
    if is_constant(spikes) and not spikes.requires_grad:
        current = functional.linear(spikes[0].to(weight.dtype), weight, bias)
        return current.expand(len(spikes), *current.shape)
    return functional.linear(spikes.to(weight.dtype), weight, bias)


def leaky(
    current: Tensor,
    beta: float | Tensor,
    threshold: float | Tensor = 1.0,
    *,
    reset_mechanism: str = "subtract",
    spike_grad: str | Callable[[Tensor], Tensor] = "atan",
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Run leaky integrate-and-fire neurons over all timesteps, as `snntorch.Leaky` does.

    .. math::

        U_t &= \beta U_{t-1} + I_t - S_{t-1} \theta  && \text{subtract} \\
        U_t &= \beta (1 - S_{t-1}) U_{t-1} + I_t     && \text{zero} \\
        U_t &= \beta U_{t-1} + I_t                   && \text{none} \\
        S_t &= H(U_t - \theta)

    with :math:`S_{-1} = H(U_{-1} - \theta)`, :math:`H(0) = 0` and :math:`\beta` clamped to
    [0, 1]. In the backward pass :math:`\partial S_t / \partial (U_t - \theta)` is the surrogate
    derivative, and :math:`S_{t-1}` of the reset is a constant.

    Parameters
    ----------
    current : torch.Tensor
        Input :math:`I`, ``[T, B, ...]``, floating.
    beta : float or torch.Tensor
        Decay of the membrane per timestep, a number or a tensor that broadcasts against
        ``[B, ...]``; may require a gradient.
    threshold : float or torch.Tensor, default 1.0
        Firing threshold :math:`\theta`, with the same choices as ``beta``.
    reset_mechanism : str, default "subtract"
        Effect of a spike on the membrane: ``"subtract"``, ``"zero"`` or ``"none"``.
    spike_grad : str or callable, default "atan"
        Surrogate gradient: see `get_surrogate`.
    initial : torch.Tensor, default None
        Membrane :math:`U_{-1}` before the first timestep, ``[B, ...]``; zero if None.

    Returns
    -------
    spikes : torch.Tensor
        Spikes ``[T, B, ...]``, zeros and ones in the dtype of ``current``.
    membrane : torch.Tensor
        Membranes ``[T, B, ...]``, after integration and before the reset of the next timestep.

    Raises
    ------
    ValueError
        For an unknown reset mechanism or surrogate, no timestep, or shapes that do not fit.
    TypeError
        For a current that is not a floating tensor.

    Notes
    -----
    For the same current, spikes and membranes equal snnTorch's bit for bit.
    J. K. Eshraghian et al., *Training spiking neural networks using lessons from deep learning*,
    Proceedings of the IEEE, 2023.

    Examples
    --------
    >>> current = torch.full((4, 1, 1), 0.6)
    >>> spikes, membrane = leaky(current, beta=1.0)
    >>> spikes.flatten()
    tensor([0., 1., 0., 1.])
    >>> membrane.flatten()
    tensor([0.6000, 1.2000, 0.8000, 1.4000])
    """
    check_reset(reset_mechanism)
    check_tensor(current, "current", "[T, B, ...]")
    if not current.is_floating_point():
        raise TypeError(f"current must be floating; got {current.dtype}")
    if current.dim() < 2 or len(current) < 1:
        raise must_be("current", "[T, B, ...] with at least one timestep", current)
    if initial is None:
        initial = torch.zeros(current.shape[1:], dtype=current.dtype, device=current.device)
    check_tensor(initial, "initial", "[B, ...]")
    if initial.shape != current.shape[1:]:
        raise must_be("initial", f"one timestep of shape {tuple(current.shape[1:])}", initial)
    return LeakyScan.apply(  # type: ignore[no-any-return, no-untyped-call]
        current,
        _parameter("beta", beta, current),
        _parameter("threshold", threshold, current),
        initial.to(current.dtype),
        reset_mechanism,
        get_surrogate(spike_grad),
    )


def check_reset(reset_mechanism: str) -> None:
    """Raise a `ValueError` for an unknown reset mechanism; it lists the known ones."""
    check_choice("reset_mechanism", reset_mechanism, RESET_MECHANISMS)


def _parameter(name: str, value: float | Tensor, current: Tensor) -> Tensor:
    tensor = torch.as_tensor(value, dtype=current.dtype, device=current.device)
    step = current.shape[1:]
    sizes = zip(reversed(tensor.shape), reversed(step), strict=False)
    if tensor.dim() > len(step) or any(size not in (1, wide) for size, wide in sizes):
        raise must_be(name, f"a number or broadcast against {tuple(step)}", tensor)
    return tensor
