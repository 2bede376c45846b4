"""Rank order code: brighter pixels fire earlier, in any light.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named, set_numbers
from spikemnist.encoding.pixels import CodedPixels, by_sample
from spikemnist.encoding.protocol import PixelEncoder
from spikemnist.encoding.spikes import one_spike


@named()
@dataclass(frozen=True, kw_only=True)
class RankOrderEncoder(PixelEncoder):
    r"""Encode each lit pixel as one spike, in order of brightness.

    .. math:: t(x) = \left\lfloor T \, \frac{|\{y \text{ lit} : y > x\}|}{|\{y \text{ lit}\}|}
              \right\rfloor

    where y are the pixels of the same image; pixels above the threshold are lit. The code carries
    only the order: an image keeps its spikes when its contrast or its gamma changes. Equally
    bright pixels fire together.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.
    threshold : float, default 0.0
        Brightness in [0, 1) up to which a pixel stays silent.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
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

    threshold: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_numbers(self, threshold="[0, 1)")

    def _encode(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        flat = by_sample(x)
        lit = flat > self.threshold
        # In ascending order, the pixels after the last equal one are the brighter ones.
        brighter = flat.shape[1] - torch.searchsorted(flat.sort(dim=1).values, flat, right=True)
        number = lit.sum(1, keepdim=True).clamp_min(1)
        times = torch.where(lit, brighter * self.num_steps // number, -1).float()
        spikes = one_spike(CodedPixels(times), num_steps=self.num_steps, dtype=dtype)
        return spikes.view(self.num_steps, *x.shape)
