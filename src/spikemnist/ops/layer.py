"""Parameters and output of one layer of leaky neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerParams:
    """Weights of a layer, and parameters of its leaky neurons.

    Attributes
    ----------
    weight : torch.Tensor, default None
        Weights ``[N, F]``; None if the input of the layer is its current, ``[T, B, N]``.
    bias : torch.Tensor, default None
        Bias ``[N]``.
    beta, threshold : torch.Tensor
        Decay and firing threshold of the membrane, see `leaky`; scalars or ``[N]``.
    reset_mechanism : str
        Effect of a spike on the membrane: ``"subtract"``, ``"zero"`` or ``"none"``.
    spike_grad : callable
        Surrogate gradient, see `get_surrogate`.
    initial : torch.Tensor, default None
        Membrane before the first timestep, ``[B, N]``; zero if None.
    dropout : float, default 0.0
        Probability of dropping an input spike, drawn anew at each timestep from torch's global
        generator, as `torch.nn.Dropout` does for an input ``[T, B, F]``.

    Examples
    --------
    >>> from spikemnist.ops import get_surrogate
    >>> layer = LayerParams(
    ...     weight=torch.rand(3, 4),
    ...     beta=torch.tensor(0.9),
    ...     threshold=torch.ones(3),
    ...     reset_mechanism="zero",
    ...     spike_grad=get_surrogate("atan"),
    ... )
    >>> layer.bias is None, layer.dropout
    (True, 0.0)
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    beta: Tensor
    threshold: Tensor
    reset_mechanism: str
    spike_grad: Callable[[Tensor], Tensor]
    initial: Tensor | None = None
    dropout: float = 0.0

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """Tensors that may require a gradient."""
        return self.weight, self.bias, self.beta, self.threshold, self.initial


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """Spikes and membranes of a layer over all timesteps.

    Attributes
    ----------
    spikes, membrane : torch.Tensor or None
        ``[T, B, N]``, or ``[T, B, C, H, W]`` for neurons with pixels; None unless recorded.
    counts : torch.Tensor
        Number of spikes of each sample, int64 ``[B]``, detached.
    final : torch.Tensor or None
        Membranes after the last timestep, ``[B, N]``; None unless requested.
    shape : tuple of int
        Shape of the neurons of one sample, ``(N,)`` or ``(C, H, W)``.
    """

    spikes: Tensor | None
    membrane: Tensor | None
    counts: Tensor
    final: Tensor | None
    shape: tuple[int, ...]


def count_spikes(spikes: Tensor) -> Tensor:
    """Count the spikes ``[T, B, ...]`` of each sample; return int64 ``[B]``, detached."""
    # float32 counts exactly up to 2**24 spikes of one layer for one sample.
    exact = torch.promote_types(spikes.dtype, torch.float32)
    return spikes.detach().sum((0, *range(2, spikes.dim())), dtype=exact).long()
