r"""The dynamics: what a layer of leaky neurons does over T steps, and its gradient.

Pure functions over tensors: no state, nothing changed that the caller can see.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from spikemnist.ops.backends import BACKENDS, Backend, select_backend
from spikemnist.ops.dynamics import RESET_MECHANISMS, ResetMechanism, leaky, linear
from spikemnist.ops.layers import (
    Activity,
    Layer,
    convolve_events,
    run_layers,
    run_pooled,
    weigh_events,
)
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
    "Activity",
    "Backend",
    "FastSigmoid",
    "Heaviside",
    "Layer",
    "ResetMechanism",
    "Sigmoid",
    "SparseFastSigmoid",
    "SpikeRateEscape",
    "StraightThrough",
    "Surrogate",
    "Triangular",
    "convolve_events",
    "get_surrogate",
    "is_named",
    "leaky",
    "linear",
    "run_layers",
    "run_pooled",
    "select_backend",
    "weigh_events",
]
