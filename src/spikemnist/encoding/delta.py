"""Delta code: a spike whenever the picture is brighter than what the spikes have said so far.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from spikemnist.encoding.protocol import check_dtype, check_num_steps, check_spikes, intensities
from spikemnist.encoding.registry import register_encoder
from spikemnist.encoding.spikes import timesteps

if TYPE_CHECKING:
    from torch import Tensor


@register_encoder("delta")
@dataclass(frozen=True, kw_only=True)
class DeltaEncoder:
    r"""A spike for each step of the threshold by which the estimate of a pixel has to rise.

    .. math::

        S_t &= 1 \text{ if } x - \hat x_{t-1} \ge \theta, \text{ else } 0 \\
        \hat x_t &= \hat x_{t-1} + \theta S_t, \qquad \hat x_{-1} = 0

    The picture appears out of the dark and stays. So a pixel fires at the first
    :math:`\min(\lfloor x / \theta \rfloor, T)` timesteps, and its brightness is how long it went
    on. No spike says that a pixel became darker, since none does.

    Parameters
    ----------
    num_steps
        Number of timesteps, ``T``. Pixels brighter than ``num_steps * threshold`` look the same.
    threshold
        :math:`\theta`, in (0, 1]: the resolution of the code.
    dtype
        Of the spikes; ``torch.uint8`` or ``torch.bool`` where they should be compact.

    Raises
    ------
    ValueError
        For a parameter out of its range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Lichtsteiner, Posch, Delbruck, *A 128 × 128 120 dB 15 μs latency asynchronous temporal
    contrast vision sensor*, IEEE Journal of Solid-State Circuits, 2008, whose pixels send such
    events; `snntorch.spikegen.delta` is the same for signals that come as a sequence.

    Examples
    --------
    >>> import torch
    >>> encoder = DeltaEncoder(num_steps=5, threshold=0.25)
    >>> spikes = encoder(torch.tensor([[0.0, 0.3, 1.0]]))
    >>> spikes.sum(0), encoder.decode(spikes)
    (tensor([[0., 1., 4.]]), tensor([[0.0000, 0.3750, 1.0000]]))
    """

    binary: ClassVar[bool] = True

    num_steps: int
    threshold: float = 0.1
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        check_num_steps(self.num_steps)
        check_dtype(self.dtype)
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1]; got {self.threshold}")

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Parameters
        ----------
        images
            ``[B, ...]``, uint8 or floating in [0, 1].
        generator
            Not used: the code is deterministic.

        Returns
        -------
        torch.Tensor
            ``[T, *images.shape]``, zeros and ones of the dtype asked for.
        """
        rises = (intensities(images).detach().float() / self.threshold).floor()
        return (timesteps(self.num_steps, rises) < rises).to(self.dtype)

    def decode(self, spikes: Tensor) -> Tensor:
        """Read images back: the middle of what the number of spikes allows, 0 for silence.

        Parameters
        ----------
        spikes
            ``[T, B, ...]``.

        Returns
        -------
        torch.Tensor
            Pixels in [0, 1], float32 ``[B, ...]``.

        Raises
        ------
        ValueError
            For another number of timesteps.
        """
        check_spikes(spikes, self.num_steps)
        number = spikes.float().sum(0)
        return ((number + 0.5) * self.threshold).clamp_max(1).where(number > 0, 0)
