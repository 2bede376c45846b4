"""Leaky neurons: made and described.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist.ops.dynamics import RESET_MECHANISMS


def new_leaky(
    beta: Tensor,
    threshold: Tensor,
    *,
    reset_mechanism: str,
    spike_grad: Callable[[Tensor], Tensor],
    learn_beta: bool,
    learn_threshold: bool,
) -> snntorch.Leaky:
    """Return an `snntorch.Leaky` that snnTorch does not keep alive.

    snnTorch appends every neuron to a global list and never removes it.
    """
    with torch.device("cpu" if beta.is_meta else beta.device):  # snnTorch reads its own buffers
        leaky = snntorch.Leaky(
            beta=beta,
            threshold=threshold,
            spike_grad=spike_grad,
            learn_beta=learn_beta,
            learn_threshold=learn_threshold,
            reset_mechanism=reset_mechanism,
        )
    instances = snntorch.SpikingNeuron.instances
    instances[:] = [neuron for neuron in instances if neuron is not leaky]
    return leaky


@functools.cache
def resets() -> dict[object, str]:
    """Return the functions that a new `snntorch.Leaky` steps with, and their resets."""
    neurons = {
        name: new_leaky(
            torch.zeros(()),
            torch.ones(()),
            reset_mechanism=name,
            spike_grad=ops.get_surrogate("atan"),
            learn_beta=False,
            learn_threshold=False,
        )
        for name in RESET_MECHANISMS
    }
    return {neuron.state_function.__func__: name for name, neuron in neurons.items()}


def describe_neurons(leaky: snntorch.Leaky) -> tuple[str, str, str, str]:
    """Return beta, threshold, reset and surrogate of neurons in words."""
    surrogate = leaky.spike_grad
    is_ours = isinstance(surrogate, ops.Surrogate)
    name = repr(surrogate) if is_ours else getattr(surrogate, "__qualname__", "?").split(".")[0]
    return _format(leaky.beta), _format(leaky.threshold), str(leaky.reset_mechanism), name


def _format(parameter: Tensor) -> str:
    if parameter.is_meta:
        return "?"
    low, high = (f"{float(end):.4g}" for end in parameter.detach().aminmax())
    note = " (learned)" if parameter.requires_grad else ""
    return (low if low == high else f"{low} to {high}") + note


def is_hooked(module: nn.Module) -> bool:
    """Return whether a module has hooks or a ``forward`` of its own, set on the instance."""
    attributes = vars(module)
    return bool(
        attributes["_forward_pre_hooks"]
        or attributes["_forward_hooks"]
        or attributes["_backward_pre_hooks"]
        or attributes["_backward_hooks"]
        or "forward" in attributes
        or "_conv_forward" in attributes
    )
