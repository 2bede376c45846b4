"""Count the operations of a spiking network as NeuroBench does, and estimate their energy.

For engineers who count operations, and for whoever asks why a network does not learn. Needs: the
core. Needed by: cli.

Import its names from here; its modules are internal.

`measure_energy` runs a network over labelled data once, counts from its Records and compares the
network with an ANN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist.energy.costs import MEMORIES as MEMORIES
    from spikemnist.energy.costs import TECHNOLOGIES as TECHNOLOGIES
    from spikemnist.energy.costs import Technology as Technology
    from spikemnist.energy.measuring import measure_energy as measure_energy
    from spikemnist.energy.results import EarlyExit as EarlyExit
    from spikemnist.energy.results import Energy as Energy
    from spikemnist.energy.results import Estimate as Estimate
    from spikemnist.energy.summarising import Summary as Summary
    from spikemnist.energy.summarising import summary as summary
else:
    _MODULES = {
        ".costs": "MEMORIES TECHNOLOGIES Technology",
        ".measuring": "measure_energy",
        ".results": "EarlyExit Energy Estimate",
        ".summarising": "Summary summary",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)
