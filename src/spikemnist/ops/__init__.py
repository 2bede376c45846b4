r"""The dynamics of leaky neurons over T timesteps, and their gradients.

Pure functions over tensors: they keep no state and change nothing that the caller can see.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from spikemnist.ops.backends import BACKENDS, Backend, select_backend
from spikemnist.ops.dynamics import RESET_MECHANISMS, ResetMechanism, leaky, linear
from spikemnist.ops.surrogate import (
    SURROGATES,
    ATan,
    FastSigmoid,
    Heaviside,
    Sigmoid,
    SparseFastSigmoid,
    SpikeRateEscape,
    StraightThrough,
    Surrogate,
    Triangular,
    get_surrogate,
    is_named,
)

__all__ = [
    "BACKENDS",
    "RESET_MECHANISMS",
    "SURROGATES",
    "ATan",
    "Backend",
    "FastSigmoid",
    "Heaviside",
    "ResetMechanism",
    "Sigmoid",
    "SparseFastSigmoid",
    "SpikeRateEscape",
    "StraightThrough",
    "Surrogate",
    "Triangular",
    "get_surrogate",
    "is_named",
    "leaky",
    "linear",
    "select_backend",
]
