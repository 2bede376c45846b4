"""`spikemnist.ops.leaky` by fused kernels.

Shapes: ``T`` timesteps, ``B`` batch, ``...`` neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist import fused, ops
from spikemnist.ops.layer import LayerParams

if TYPE_CHECKING:
    from torch import Tensor

# Sums over T <= 12 steps of products of up to T factors: at most T**2 / 2 roundings.
DOUBLE = 72 * 2.0**-53
SINGLE = 72 * 2.0**-24


def fused_leaky(
    backend: str,
    current: Tensor,
    beta: Tensor,
    threshold: Tensor,
    initial: Tensor | None,
    reset_mechanism: str,
    spike_grad: str,
) -> tuple[Tensor, Tensor]:
    """Run neurons of any shape, numbered."""
    shape = current.shape[2:]
    flat = current.flatten(2) if shape else current.unsqueeze(2)
    layer = LayerParams(
        beta=_numbered(beta, shape),
        threshold=_numbered(threshold, shape),
        reset_mechanism=reset_mechanism,
        spike_grad=ops.get_surrogate(spike_grad),
        initial=None if initial is None else initial.reshape(flat.shape[1:]),
    )
    spikes, membrane = fused.run(backend, flat, layer)
    assert membrane is not None
    return spikes.reshape(current.shape), membrane.reshape(current.shape)


def _numbered(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a parameter as a scalar, or for each neuron."""
    return values.broadcast_to(shape).reshape(-1) if values.dim() and shape else values.reshape(())


def layer_of(neurons: int, **options: object) -> LayerParams:
    """Return neurons with parameters of their own."""
    random = torch.Generator().manual_seed(neurons)
    settings = {
        "beta": torch.rand(neurons, generator=random),
        "threshold": torch.rand(neurons, generator=random) + 0.5,
        "reset_mechanism": "subtract",
        "spike_grad": ops.get_surrogate("atan"),
    }
    return LayerParams(**{**settings, **options})
