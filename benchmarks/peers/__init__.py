"""The other libraries, each in its own module, which is imported if the library is installed.

They serve only as a comparison; nothing else in this project imports them.
"""

from __future__ import annotations

import functools
import importlib
import warnings
from typing import Any

PEERS = {
    "snnTorch, hoisted": "snntorch_hoisted.SnnTorchHoisted",
    "SpikingJelly": "spikingjelly.SpikingJelly",
    "Norse": "norse.Norse",
    "Sinabs": "sinabs.Sinabs",
}


@functools.cache
def installed() -> dict[str, Any]:
    """Return the classes of the peers that are installed, by name."""
    found = {}
    for name, path in PEERS.items():
        module, _, kind = path.partition(".")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings of other libraries cannot be fixed here
                found[name] = getattr(importlib.import_module(f"benchmarks.peers.{module}"), kind)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("benchmarks"):
                raise
    return found
