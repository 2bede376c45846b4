"""The event-driven engine: kernels for the CPU that work only where a spike is.

Importing it loads Numba. Its pieces, in the order in which data passes through them: `bounds`
validates shapes, dtypes and devices; `events` packs spikes into bits and lists them, and `signals`
are what layers hand on; `forward`, `backward` with `weight_gradient`, and `separable` are the
kernels of a layer, built of row operations (`bits`, `vector`, `rowwise`, `membranes`, `slopes`) on
tiles of neurons (`tiles`); `layers` and `gradients` give the kernels what they need; `network` runs
all layers, `autograd` makes torch know it, and `operators` its compiler. In front of neurons with
pixels, `convolution` weighs spikes, and `pooled` pools and runs the neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist.engine import autograd, operators
from spikemnist.engine.bounds import check_dtype, check_layers
from spikemnist.engine.layers import Layer as Neurons
from spikemnist.engine.membranes import RESETS
from spikemnist.engine.network import Asked
from spikemnist.engine.slopes import slope_of
from spikemnist.ops.dynamics import is_constant
from spikemnist.ops.layers import Activity, Layer
from spikemnist.ops.surrogate import Heaviside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def run_fused(
    spikes: Tensor, layers: Sequence[Layer], *, record: str, final: bool
) -> list[Activity]:
    """Run layers whose surrogates have names: see `spikemnist.ops.run_layers`.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    layers, record, final
        As there.
    """
    check_layers(spikes, layers)
    stack = [_neurons(layer) for layer in layers]
    tensors = [spikes, *(tensor for layer in stack for tensor in layer.tensors)]
    differentiable = any(tensor is not None and tensor.requires_grad for tensor in tensors)
    recorded = [record == "all"] * (len(layers) - 1) + [True]
    asked = Asked(recorded, final, keep=differentiable and torch.is_grad_enabled())
    traced = torch.compiler.is_compiling() or type(spikes.detach()) is not torch.Tensor
    call = operators.call if traced else autograd.call
    everything, counts = call(spikes, stack, _masks(spikes, layers), asked)
    return [
        Activity(shown.spikes, shown.membrane, fired, shown.final)
        for shown, fired in zip(everything, counts.unbind(), strict=True)
    ]


def _neurons(layer: Layer) -> Neurons:
    return Neurons(
        layer.weight,
        layer.bias,
        layer.beta,
        layer.threshold,
        layer.initial,
        RESETS[layer.reset_mechanism],
        slope_of(layer.spike_grad),
        scale=1 / (1 - layer.dropout),
    )


def _masks(spikes: Tensor, layers: Sequence[Layer]) -> list[Tensor | None]:
    """Draw which spikes dropout lets through, with the same numbers as `torch.nn.Dropout`."""
    steps, batch, size = spikes.shape
    masks: list[Tensor | None] = []
    for layer in layers[:-1]:
        size = size if layer.weight is None else len(layer.weight)
        mask = None
        if layer.dropout:
            mask = torch.empty((steps, batch, size), dtype=torch.uint8, device="cpu")
            mask.bernoulli_(1 - layer.dropout)
        masks.append(mask)
    return [*masks, None]


def weigh(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Weigh the input of all timesteps: `spikemnist.ops.linear`, spike by spike.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    weight, bias
        ``[N, F]`` and ``[N]``.
    """
    check_dtype(weight.dtype)
    # All of it in one timestep of neurons that never fire: their membrane is their current.
    layer = Layer(
        weight=weight,
        bias=bias,
        beta=weight.new_zeros(()),
        threshold=weight.new_full((), torch.inf),
        reset_mechanism="none",
        spike_grad=Heaviside(),
    )
    check_layers(spikes, [layer])
    steps = len(spikes)
    seen = spikes[:1] if is_constant(spikes) else spikes
    (activity,) = run_fused(seen.flatten(0, 1)[None], [layer], record="output", final=False)
    assert activity.membrane is not None
    return activity.membrane.view(*seen.shape[:2], -1).expand(steps, -1, -1)
