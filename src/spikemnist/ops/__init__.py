r"""The dynamics of leaky neurons over T timesteps, and their gradients.

Import its names from here; its modules are internal.

Pure functions over tensors: they keep no state and change nothing that the caller can see.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from spikemnist._names import Backend, ResetMechanism, SurrogateName
from spikemnist.ops import surrogate
from spikemnist.ops.backends import BACKENDS, select_backend
from spikemnist.ops.dynamics import RESET_MECHANISMS, leaky, linear
from spikemnist.ops.surrogate import *  # noqa: F403 - it lists its surrogates alone

__all__ = [
    "BACKENDS",
    "RESET_MECHANISMS",
    "Backend",
    "ResetMechanism",
    "SurrogateName",
    "leaky",
    "linear",
    "select_backend",
]
__all__ += surrogate.__all__
