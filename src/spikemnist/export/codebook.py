"""The output of an encoder for each grey value, as a table in place of its code.

If an encoder treats each pixel alone and draws no random numbers, its output for all 256 grey
values describes it in full. Whether it does is tried on pictures.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikemnist.encoding import Encoder


def codebook(encoder: Encoder) -> NDArray[np.float32]:
    """Return the input of the network at each timestep, for each grey value.

    Parameters
    ----------
    encoder : Encoder
        Any encoder that treats each pixel alone and draws no random numbers, such as ``"latency"``,
        ``"direct"``, ``"delta"``, ``"phase"``, ``"burst"``, or ``"rate"`` with
        ``deterministic=True``.

    Returns
    -------
    numpy.ndarray
        Spikes, or currents of a direct code, float32 ``[T, 256]``.

    Raises
    ------
    ValueError
        For another encoder: its output for pictures is not that of their grey values.

    Examples
    --------
    >>> from spikemnist.encoding import LatencyEncoder
    >>> table = codebook(LatencyEncoder(num_steps=4))
    >>> table.shape, table[:, 255].tolist(), table[:, 0].tolist()
    ((4, 256), [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    """
    generator = torch.Generator().manual_seed(0)
    greys = torch.arange(256, dtype=torch.uint8).view(256, 1, 1)  # each is an image of its own
    noise = torch.randint(256, (2, 28, 28), dtype=torch.uint8, generator=generator)

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        return encoder(images, generator=generator).flatten(1).float()

    try:
        table = encode(greys)
        if len(table) != encoder.num_steps:
            raise ValueError(f"it returns {len(table)} timesteps, expected {encoder.num_steps}")
        for picture in (noise, noise // 8):  # the dark one has another maximum
            actual, expected = encode(picture), table[:, picture.flatten().long()]
            # A power or logarithm may round in another way at the end of a tensor.
            if actual.shape != expected.shape or not torch.allclose(actual, expected, rtol=1e-5):
                raise ValueError("it draws random numbers, or does not treat each pixel alone")
    except Exception as error:  # an encoder may refuse the pictures in any way
        raise ValueError(
            f"{type(encoder).__name__} has no table of grey values: {error}. Use a code such as "
            "latency, direct, delta, phase, burst, or rate with deterministic=True, or export "
            "classifier.network and pass spikes to it"
        ) from error
    return np.array(table.numpy())
