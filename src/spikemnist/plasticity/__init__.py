"""Local learning: spike-timing-dependent plasticity (STDP) and classifiers that learn by it.

For neuroscientists, and for learning without labels. Needs: kernels. Needed by: no other room.

Import its names from here; its modules are internal.
"""

from spikemnist.plasticity.assignment import assign_classes, class_scores
from spikemnist.plasticity.competitive_classifier import STDPClassifier
from spikemnist.plasticity.conv_classifier import ConvSTDPClassifier
from spikemnist.plasticity.rules import pair_stdp, stdp_window

__all__ = [
    "ConvSTDPClassifier",
    "STDPClassifier",
    "assign_classes",
    "class_scores",
    "pair_stdp",
    "stdp_window",
]
