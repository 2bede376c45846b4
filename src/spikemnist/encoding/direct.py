"""Direct code: the image itself, as a constant current.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemnist._arguments import named
from spikemnist.encoding.protocol import Timesteps, check_steps, intensities


@named()
@dataclass(frozen=True, kw_only=True)
class DirectEncoder(Timesteps):
    r"""Encode a pixel as a constant current, :math:`I_t = x`.

    The first layer of neurons then makes the spikes. The result is a view with stride 0 along
    time: it takes no more memory than the images, and `spikemnist.ops.linear` multiplies it with
    the weights only once.

    Parameters
    ----------
    num_steps : int, default 8
        Number of timesteps, ``T``.

    Raises
    ------
    ValueError
        For a parameter out of range; when called, for images that are not uint8 or floating
        in [0, 1].

    Notes
    -----
    Rathi, Roy, *DIET-SNN: direct input encoding with leakage and threshold optimization in
    deep spiking neural networks*, IEEE Transactions on Neural Networks and Learning Systems, 2021.

    Examples
    --------
    >>> import torch
    >>> current = DirectEncoder(num_steps=25)(torch.rand(2, 28, 28))
    >>> current.shape, current.stride(0)
    (torch.Size([25, 2, 28, 28]), 0)
    """

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Encode images ``[B, ...]`` as a current ``[T, B, ...]``."""
        return intensities(images).float().expand(self.num_steps, *images.shape)

    def decode(self, spikes: Tensor) -> Tensor:
        """Decode images: the mean current."""
        check_steps(spikes, self.num_steps)
        return spikes.float().mean(0)
