"""The output of an encoder for each grey value, as a table in place of its code.

If an encoder treats each pixel alone and draws no random numbers, the spikes of all 256 grey values
describe it in full.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from spikemnist.encoding import (
    BurstEncoder,
    DirectEncoder,
    Encoder,
    LatencyEncoder,
    PhaseEncoder,
    RateEncoder,
)

BY_PIXEL = (BurstEncoder, DirectEncoder, LatencyEncoder, PhaseEncoder)
"""Encoders that treat each pixel alone, without random numbers."""


def codebook(encoder: Encoder) -> NDArray[np.float32]:
    """Return the input of the network at each timestep, for each grey value.

    Parameters
    ----------
    encoder : Encoder
        Encoder ``"latency"``, ``"direct"``, ``"phase"``, ``"burst"``, or ``"rate"`` with
        ``deterministic=True``.

    Returns
    -------
    numpy.ndarray
        Spikes, or currents of a direct code, float32 ``[T, 256]``.

    Raises
    ------
    ValueError
        For another encoder.

    Examples
    --------
    >>> table = codebook(LatencyEncoder(num_steps=4))
    >>> table.shape, table[:, 255].tolist(), table[:, 0].tolist()
    ((4, 256), [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    """
    if isinstance(encoder, RateEncoder) and not encoder.deterministic:
        raise ValueError(
            "RateEncoder draws random numbers, so it has no table of grey values; use "
            "deterministic=True, which spaces the spikes evenly, or export classifier.network and "
            "pass spikes to it"
        )
    if not isinstance(encoder, (*BY_PIXEL, RateEncoder)):
        raise ValueError(
            f"{type(encoder).__name__} has no table of grey values; latency, direct, phase and "
            "burst codes have one. Export classifier.network, and pass spikes to it"
        )
    greys = torch.arange(256, dtype=torch.uint8).view(256, 1)  # each is an image of its own
    return np.array(encoder(greys)[:, :, 0].float().numpy())
