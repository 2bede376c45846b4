"""The event-driven engine: kernels for the CPU that work only where a spike is.

Importing it loads Numba. Its pieces, in the order in which data passes through them: `events`
packs spikes into bits and lists them; `forward` and `backward` are the kernels of a layer, built
of row operations (`vector`, `rowwise`, `slopes`) on tiles of neurons (`tiles`); `layers` gives the
kernels what they need; `network` runs all of them, and `operators` makes torch know it. In front of
neurons with pixels, `convolution` weighs spikes, and `pooled` pools and runs the neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spikemnist.ops.dynamics import is_constant
from spikemnist.ops.event_driven.forward import RESETS
from spikemnist.ops.event_driven.network import PER_LAYER, Output, nothing_or
from spikemnist.ops.event_driven.operators import call
from spikemnist.ops.event_driven.slopes import slope_of
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
    recorded = [record == "all" or index == len(layers) for index in range(1, len(layers) + 1)]
    given = [(x.weight, x.bias, x.beta, x.threshold, x.initial) for x in layers]
    tensors = [spikes, *(tensor for layer in given for tensor in layer if tensor is not None)]
    lists = [list(map(nothing_or, kind)) for kind in zip(*given, strict=True)]
    masks = _masks(spikes, layers)
    settings = (
        [RESETS[layer.reset_mechanism] for layer in layers],
        [float(number) for layer in layers for number in slope_of(layer.spike_grad)],
        [1 / (1 - layer.dropout) for layer in layers],
        recorded,
        final,
        torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors),
    )
    *fields, counts, _ = call(spikes, [*lists, masks], settings)
    activities = []
    for index, kept in enumerate(recorded):
        out = Output(*fields[PER_LAYER * index : PER_LAYER * (index + 1)])
        activities.append(
            Activity(
                out.spikes if kept else None,
                out.membrane if kept else None,
                counts[index + 1],
                out.final if final else None,
            )
        )
    return activities


def _masks(spikes: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
    """Draw which spikes dropout lets through, with the same numbers as `torch.nn.Dropout`."""
    steps, batch, size = spikes.shape
    masks = []
    for layer in layers[:-1]:
        size = size if layer.weight is None else len(layer.weight)
        mask = nothing_or(None)
        if layer.dropout:
            mask = torch.empty((steps, batch, size), dtype=torch.uint8, device="cpu")
            mask.bernoulli_(1 - layer.dropout)
        masks.append(mask)
    return [*masks, nothing_or(None)]


def weigh(spikes: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Weigh the input of all timesteps: `spikemnist.ops.linear`, spike by spike.

    Parameters
    ----------
    spikes
        ``[T, B, F]``.
    weight, bias
        ``[N, F]`` and ``[N]``.
    """
    steps, batch, features = spikes.shape
    if is_constant(spikes):
        return weigh(spikes[:1], weight, bias).expand(steps, -1, -1)
    # All of it in one timestep of neurons that never fire: their membrane is their current.
    layer = Layer(
        weight=weight,
        bias=bias,
        beta=weight.new_zeros(()),
        threshold=weight.new_full((), torch.inf),
        reset_mechanism="none",
        spike_grad=Heaviside(),
    )
    together = spikes.reshape(1, steps * batch, features)
    (activity,) = run_fused(together, [layer], record="output", final=False)
    assert activity.membrane is not None
    return activity.membrane.view(steps, batch, -1)
