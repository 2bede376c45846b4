"""The scan of a layer, all timesteps in one kernel: around the two kernels of a device.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch

from spikemnist.ops.reference import through_clamp

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.ops.surrogate import Surrogate


class Neurons(NamedTuple):
    """What kernels know of the neurons of a layer.

    Attributes
    ----------
    beta, threshold : torch.Tensor
        Scalars or ``[N]``, contiguous.
    initial : torch.Tensor or None
        Membrane ``[B, N]`` before the first timestep, contiguous; zero when None.
    reset_mechanism : str
        ``"subtract"``, ``"zero"`` or ``"none"``.
    spike_grad : Surrogate
        A named surrogate gradient.
    """

    beta: Tensor
    threshold: Tensor
    initial: Tensor | None
    reset_mechanism: str
    spike_grad: Surrogate


class Gradients(NamedTuple):
    """Where kernels write gradients; None where one is not needed.

    Attributes
    ----------
    current : torch.Tensor
        ``[T, B, N]``.
    initial, beta, threshold : torch.Tensor or None
        ``[B, N]``: beta and threshold of each sample by itself, to be added up in a fixed order.
    """

    current: Tensor
    initial: Tensor | None
    beta: Tensor | None
    threshold: Tensor | None


class Kernels(Protocol):
    """The kernels of a device: a module with these two functions."""

    def forward(
        self, current: Tensor, neurons: Neurons, spikes: Tensor, membrane: Tensor | None
    ) -> None:
        """Write spikes ``[T, B, N]``, and membranes unless None.

        A timestep of the current is contiguous, and so are they, or their stride along T is 0.
        """
        ...

    def backward(
        self,
        grad_spikes: Tensor | None,
        grad_membrane: Tensor | None,
        membrane: Tensor,
        neurons: Neurons,
        gradients: Gradients,
    ) -> None:
        """Write gradients; those of spikes and membranes are contiguous."""
        ...


def scan(
    current: Tensor, neurons: Neurons, kernels: Kernels, *, membrane: bool = True
) -> tuple[Tensor, Tensor | None]:
    """Run a layer of leaky neurons over all timesteps: see `spikemnist.ops.leaky`.

    Parameters
    ----------
    current : torch.Tensor
        ``[T, B, N]``, floating, of a dtype that the device has.
    neurons : Neurons
        On the device of the current; its tensors need not be contiguous.
    kernels : Kernels
        Kernels of that device.
    membrane : bool, default True
        Whether to return membranes.

    Returns
    -------
    spikes : torch.Tensor
        ``[T, B, N]``, zeros and ones in the dtype of the current.
    membrane : torch.Tensor or None
        ``[T, B, N]``, float64 for a float64 current, float32 for all others.
    """
    initial = neurons.initial
    neurons = neurons._replace(
        beta=neurons.beta.contiguous(),
        threshold=neurons.threshold.contiguous(),
        initial=None if initial is None else initial.contiguous(),
    )
    if not current[0].is_contiguous() or current.stride(0) not in (0, current[0].numel()):
        current = current.contiguous()
    inputs = (current, neurons.beta, neurons.threshold, neurons.initial)
    if not torch.is_grad_enabled() or not any(t is not None and t.requires_grad for t in inputs):
        return _forward(current, neurons, kernels, membrane=membrane)
    spikes, membranes = _Scan.apply(kernels, current, *neurons)  # type: ignore[no-untyped-call]
    return spikes, membranes if membrane else None


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernels: Kernels, current: Tensor, *neurons: Any) -> Any:
        beta, threshold, initial, *rest = neurons
        spikes, membrane = _forward(current, Neurons(*neurons), kernels, membrane=True)
        # Without the spikes: a neuron has fired where its membrane is above the threshold.
        ctx.save_for_backward(membrane, beta, threshold, initial)
        ctx.kernels, ctx.rest, ctx.dtype = kernels, rest, current.dtype
        ctx.set_materialize_grads(False)
        return spikes, membrane

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, grad_spikes: Tensor | None, grad_membrane: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if grad_spikes is None and grad_membrane is None:
            return (None,) * 7
        membrane, beta, threshold, initial = ctx.saved_tensors
        # A layer that only its neurons learn from still carries the gradient of its current.
        of_beta, of_threshold, of_initial = (
            torch.empty_like(membrane[0]) if needed else None
            for needed in ctx.needs_input_grad[2:5]
        )
        of_current = torch.empty(membrane.shape, dtype=ctx.dtype, device=membrane.device)
        if membrane.numel():
            ctx.kernels.backward(
                None if grad_spikes is None else grad_spikes.contiguous(),
                None if grad_membrane is None else grad_membrane.contiguous(),
                membrane,
                Neurons(beta, threshold, initial, *ctx.rest),
                Gradients(of_current, of_initial, of_beta, of_threshold),
            )
        if of_beta is not None:
            of_beta = through_clamp(of_beta, beta).to(beta.dtype)
        if of_threshold is not None:
            of_threshold = of_threshold.sum_to_size(threshold.shape).to(threshold.dtype)
        if of_initial is not None:
            of_initial = of_initial.to(initial.dtype)
        return None, of_current, of_beta, of_threshold, of_initial, None, None


def _forward(
    current: Tensor, neurons: Neurons, kernels: Kernels, *, membrane: bool
) -> tuple[Tensor, Tensor | None]:
    spikes = torch.empty(current.shape, dtype=current.dtype, device=current.device)
    number = torch.promote_types(current.dtype, torch.float32)
    membranes = torch.empty_like(spikes, dtype=number) if membrane else None
    if spikes.numel():
        kernels.forward(current, neurons, spikes, membranes)
    return spikes, membranes


def surrogate_constants(surrogate: Surrogate) -> tuple[str, float, float]:
    """Return the name of a surrogate, and the two numbers that its derivative is made of."""
    parameters = {**vars(surrogate)}
    if surrogate.name == "atan":
        return surrogate.name, math.pi / 2 * parameters["alpha"], parameters["alpha"] / 2
    first, second = (*parameters.values(), 0.0, 0.0)[:2]
    return surrogate.name, first, second
