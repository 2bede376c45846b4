"""Layers of leaky neurons one after the other, on the event-driven engine.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Weights and the leaky neurons behind them.

    Attributes
    ----------
    weight
        ``[N, F]``; ``None`` where the layer's input is its current, ``[T, B, N]``.
    bias
        ``[N]``.
    beta, threshold
        Of the membrane: see `leaky`. Scalars or ``[N]``.
    reset_mechanism
        ``"subtract"``, ``"zero"`` or ``"none"``.
    spike_grad
        The surrogate: see `get_surrogate`.
    initial
        Membrane before the first step, ``[B, N]``; zero when ``None``.
    dropout
        Probability with which a spike is dropped on its way to the next layer, drawn anew at
        each timestep from torch's global generator.
    """

    weight: Tensor | None
    bias: Tensor | None = None
    beta: Tensor
    threshold: Tensor
    reset_mechanism: str
    spike_grad: Callable[[Tensor], Tensor]
    initial: Tensor | None = None
    dropout: float = 0.0


@dataclass(frozen=True)
class Activity:
    """What a layer did.

    Attributes
    ----------
    spikes, membrane
        ``[T, B, N]``, of the last layer, and of the others where everything is recorded.
    counts
        Spikes of each sample, int64 ``[B]``, detached.
    final
        Membranes after the last step, ``[B, N]``, where they are asked for.
    """

    spikes: Tensor | None
    membrane: Tensor | None
    counts: Tensor
    final: Tensor | None


def run_layers(
    spikes: Tensor, layers: Sequence[Layer], *, record: str = "output", final: bool = False
) -> list[Activity]:
    """Run layers over all timesteps on the event-driven engine.

    What `linear` and `leaky` do one layer after the other, with spikes travelling between the
    layers as bits.

    Parameters
    ----------
    spikes
        ``[T, B, F]``, any dtype, on the CPU.
    layers
        At least one; each takes the spikes of the one before. Their surrogates must be named
        ones, their dtype float32 or float64.
    record
        ``"output"`` keeps spikes and membranes of the last layer, ``"all"`` those of every one.
    final
        Whether the membranes after the last step are wanted.

    Returns
    -------
    list of Activity
        One for each layer.

    Notes
    -----
    Sums over input spikes come in another order than in a matrix product, so a membrane within
    rounding of the threshold may fire here and not there.

    Examples
    --------
    >>> import torch
    >>> from spikemnist.ops import get_surrogate
    >>> layer = Layer(
    ...     weight=torch.ones(1, 2),
    ...     beta=torch.tensor(0.5),
    ...     threshold=torch.tensor(1.0),
    ...     reset_mechanism="subtract",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> (activity,) = run_layers(torch.ones(3, 1, 2), [layer])
    >>> activity.membrane.flatten(), activity.counts
    (tensor([2., 2., 2.]), tensor([3]))
    """
    # Loads the compiler, which the package alone must not.
    from spikemnist.ops import event_driven

    return event_driven.run_fused(spikes, layers, record=record, final=final)


def weigh_events(spikes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Weigh the input of all timesteps spike by spike: `linear` on the event-driven engine.

    Parameters
    ----------
    spikes
        ``[T, B, F]``, any dtype, on the CPU.
    weight, bias
        ``[N, F]`` and ``[N]``, float32 or float64.

    Returns
    -------
    torch.Tensor
        ``[T, B, N]``.
    """
    from spikemnist.ops import event_driven

    return event_driven.weigh(spikes, weight, bias)
