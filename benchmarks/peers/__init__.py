"""The other libraries, each in a file of its own that is loaded when it is installed.

They are measured against, and by nothing else of this project imported.
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
    "Spyx": "spyx.Spyx",
}


@functools.cache
def installed() -> dict[str, Any]:
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
