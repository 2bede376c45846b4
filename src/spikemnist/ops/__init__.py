r"""The dynamics of leaky neurons over T timesteps, and their gradients.

The room stands on no other; `models` stands on it.
Import its names from here; its modules are internal.

Pure functions over tensors: they keep no state and change nothing that the caller can see.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``F`` input features.
"""

from typing import TYPE_CHECKING, get_args

from spikemnist._lazy import lazy
from spikemnist._names import Backend, ResetMechanism, SurrogateName
from spikemnist.ops import surrogate
from spikemnist.ops.dynamics import RESET_MECHANISMS, leaky, linear
from spikemnist.ops.surrogate import *  # noqa: F403 - it lists its surrogates alone

BACKENDS: tuple[str, ...] = get_args(Backend)
"""Names of the backends."""

if TYPE_CHECKING:
    from spikemnist.models.runners import select_backend as select_backend
else:
    _MODULES = {"spikemnist.models.runners": "select_backend"}
    __getattr__, __dir__, _ = lazy(__name__, _MODULES)

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
