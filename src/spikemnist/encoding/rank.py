"""Rank order code: who is brighter fires earlier, whatever the light.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from spikemnist.encoding.pixels import Coded, by_sample
from spikemnist.encoding.protocol import check_dtype, check_num_steps, intensities
from spikemnist.encoding.registry import register_encoder
from spikemnist.encoding.spikes import once

if TYPE_CHECKING:
    from torch import Tensor


@register_encoder("rank_order")
@dataclass(frozen=True, kw_only=True)
class RankOrderEncoder:
    r"""One spike for each lit pixel, in the order of their brightness.

    .. math:: t(x) = \left\lfloor T \, \frac{|\{y \text{ lit} : y > x\}|}{|\{y \text{ lit}\}|}
              \right\rfloor

    where y are the pixels of the same image, and those above the threshold are lit. The order is
    all that the code carries: an image keeps its spikes when its contrast or its gamma changes.
    Pixels that are equally bright fire together.

    Parameters
    ----------
    num_steps
        Number of timesteps, ``T``.
    threshold
        In [0, 1): a pixel that is not brighter stays silent.
    dtype
        Of the spikes; ``torch.uint8`` or ``torch.bool`` where they should be compact.

    Raises
    ------
    ValueError
        For a parameter out of its range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Thorpe, Gautrais, *Rank order coding*, in *Computational Neuroscience: Trends in Research*,
    1998.

    Examples
    --------
    >>> import torch
    >>> encoder = RankOrderEncoder(num_steps=4)
    >>> encoder(torch.tensor([[0.0, 0.9, 0.2, 0.1, 0.2]]))[:, 0]
    tensor([[0., 1., 0., 0., 0.],
            [0., 0., 1., 0., 1.],
            [0., 0., 0., 0., 0.],
            [0., 0., 0., 1., 0.]])
    """

    binary: ClassVar[bool] = True

    num_steps: int
    threshold: float = 0.0
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        check_num_steps(self.num_steps)
        check_dtype(self.dtype)
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold must lie in [0, 1); got {self.threshold}")

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
        x = by_sample(intensities(images).detach().float())
        lit = x > self.threshold
        # Sorted from the darkest, a pixel's place from behind is how many are brighter.
        brighter = x.shape[1] - torch.searchsorted(x.sort(dim=1).values, x, right=True)
        number = lit.sum(1, keepdim=True).clamp_min(1)
        times = torch.where(lit, brighter * self.num_steps // number, -1).float()
        spikes = once(Coded(times), num_steps=self.num_steps, dtype=self.dtype)
        return spikes.view(self.num_steps, *images.shape)
