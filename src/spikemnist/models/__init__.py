"""Networks of `snntorch.Leaky` neurons, their records and their files.

The room stands on `data`, `encoding` and `ops`; `training` and `viz` stand on it.
Import its names from here; its modules are internal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist._names import ReadoutName as ReadoutName
    from spikemnist.conversion import Conversion as Conversion
    from spikemnist.conversion import convert as convert
    from spikemnist.models.builders import LeakyConvNet as LeakyConvNet
    from spikemnist.models.builders import LeakyMLP as LeakyMLP
    from spikemnist.models.builders import accelerate as accelerate
    from spikemnist.models.classifier import Classifier as Classifier
    from spikemnist.models.layer_table import LayerSummary as LayerSummary
    from spikemnist.models.limits import Limits as Limits
    from spikemnist.models.network import SpikingNetwork as SpikingNetwork
    from spikemnist.models.network_options import NetworkOptions as NetworkOptions
    from spikemnist.models.pretrained import available_pretrained as available_pretrained
    from spikemnist.models.readout import READOUTS as READOUTS
    from spikemnist.models.readout import best_class as best_class
    from spikemnist.models.readout import first_spike_times as first_spike_times
    from spikemnist.models.readout import get_readout as get_readout
    from spikemnist.models.readout import running_scores as running_scores
    from spikemnist.models.record import LayerRecord as LayerRecord
    from spikemnist.models.record import Record as Record
else:
    _MODULES = {
        "spikemnist._names": "ReadoutName",
        ".builders": "LeakyConvNet LeakyMLP accelerate",
        ".classifier": "Classifier",
        "spikemnist.conversion": "Conversion convert",
        ".layer_table": "LayerSummary",
        ".limits": "Limits",
        ".network": "SpikingNetwork",
        ".network_options": "NetworkOptions",
        ".pretrained": "available_pretrained",
        ".readout": "READOUTS best_class first_spike_times get_readout running_scores",
        ".record": "LayerRecord Record",
    }
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)
