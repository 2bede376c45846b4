"""`spikemnist.ops.leaky` by the Triton kernels.

Shapes: ``T`` timesteps, ``B`` batch, ``...`` neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist import gpu, ops
from spikemnist.ops.layer import LayerParams

if TYPE_CHECKING:
    from torch import Tensor


def triton_leaky(
    current: Tensor,
    beta: Tensor,
    threshold: Tensor,
    initial: Tensor | None,
    reset_mechanism: str,
    spike_grad: str,
) -> tuple[Tensor, Tensor]:
    """Run neurons of any shape, flattened to ``[N]``."""
    shape = current.shape[2:]
    flat = current.flatten(2) if shape else current.unsqueeze(2)
    layer = LayerParams(
        beta=_flattened(beta, shape),
        threshold=_flattened(threshold, shape),
        reset_mechanism=reset_mechanism,
        spike_grad=ops.get_surrogate(spike_grad),
        initial=None if initial is None else initial.reshape(flat.shape[1:]),
    )
    spikes, membrane, _ = gpu.run(flat, layer)
    assert membrane is not None
    return spikes.reshape(current.shape), membrane.reshape(current.shape)


def _flattened(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a parameter as a scalar, or one value for each neuron."""
    return values.broadcast_to(shape).reshape(-1) if values.dim() and shape else values.reshape(())


def layer_of(neurons: int, **options: object) -> LayerParams:
    """Return neurons that differ in beta and threshold."""
    random = torch.Generator().manual_seed(neurons)
    settings = {
        "beta": torch.rand(neurons, generator=random),
        "threshold": torch.rand(neurons, generator=random) + 0.5,
        "reset_mechanism": "subtract",
        "spike_grad": ops.get_surrogate("atan"),
    }
    return LayerParams(**{**settings, **options})
