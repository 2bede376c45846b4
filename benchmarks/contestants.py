"""Who takes part: this package on each of its backends, snnTorch, and every peer installed."""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import TYPE_CHECKING, Any

from benchmarks.peers.dynamics import Dynamics, ExplicitLoop
from spikemnist.benchmark import Ours, SnnTorchLoop, our_backends
from spikemnist.benchmark.oracle import Oracle, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from spikemnist.benchmark import Contestant, Workload

PEERS = {
    "snnTorch, hoisted": "snntorch_hoisted.SnnTorchHoisted",
    "SpikingJelly": "spikingjelly.SpikingJelly",
    "Norse": "norse.Norse",
    "Sinabs": "sinabs.Sinabs",
    "Spyx": "spyx.Spyx",
}
PACKAGES = ("spikingjelly", "norse", "sinabs", "spyx", "jax", "bindsnet")
OURS = "spikemnist "
"""How the names of this package's own contestants begin."""


@functools.cache
def peers() -> dict[str, Any]:
    """Return the classes of the peers that are installed, by name."""
    found = {}
    for name, path in PEERS.items():
        module, _, kind = path.partition(".")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what others warn of is not ours to mend
                found[name] = getattr(importlib.import_module(f"benchmarks.peers.{module}"), kind)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("benchmarks"):
                raise
    return found


def names() -> list[str]:
    """Return everyone's name, ours first, then snnTorch, then its peers."""
    return [*(OURS + backend for backend in our_backends()), SnnTorchLoop.name, *peers()]


def build(name: str, layers: Sequence[nn.Linear], workload: Workload | None = None) -> Contestant:
    """Return a contestant with copies of the layers' weights.

    Parameters
    ----------
    name
        One of `names`.
    layers
        First weights.
    workload
        Says how pixels are encoded; none for a layer that is given its input.
    """
    if name.startswith(OURS):
        return Ours(layers, name.removeprefix(OURS), workload)
    if name == SnnTorchLoop.name:
        return SnnTorchLoop(layers, workload)
    contestant: Contestant = peers()[name](layers, workload)
    return contestant


def check_all(
    contestants: Sequence[Contestant],
    layers: Sequence[nn.Linear],
    spikes: Tensor,
    labels: Tensor | None,
) -> dict[str, Verdict]:
    """Compare each with the oracle of its dynamics: snnTorch's loop, or the explicit one.

    Parameters
    ----------
    contestants
        Built on ``layers``.
    layers
        First weights.
    spikes
        ``[T, B, F]``.
    labels
        ``[B]``, or none: see `spikemnist.benchmark.Contestant.gradients`.
    """
    snntorch = Oracle(SnnTorchLoop(layers), spikes, labels)
    verdicts = {}
    for contestant in contestants:
        dynamics = getattr(contestant, "dynamics", Dynamics())
        oracle = (
            Oracle(ExplicitLoop(layers, dynamics), spikes, labels) if dynamics.differs else snntorch
        )
        verdicts[contestant.name] = oracle.check(contestant)
    return verdicts
