"""The pictures of STDP, for the laws of all pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from spikemnist import viz
from spikemnist.plasticity import stdp_window

CLASSIFIER = SimpleNamespace(
    assignments_=np.array([0, 1, 1, -1, 2, 1]),
    classes_=np.array(["a", "b", "c"]),
    theta_=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    weights_=np.random.default_rng(0).random((6, 12)).astype(np.float32),
    accuracy_history_=np.array([[4000.0, 0.5], [6000.0, 0.75]]),
)
LAGS = torch.arange(-60.0, 61.0)

OF_DATA = [("stdp", CLASSIFIER), ("animate_receptive_fields", [torch.rand(9, 784)] * 2)]
OF_AXES = [("stdp_window", lambda ax: viz.stdp_window(LAGS, stdp_window(LAGS), ax=ax))]
OF_OWN_SIZE = [("stdp", lambda: viz.stdp(CLASSIFIER))]
PICTURES = [("stdp_window", lambda: viz.stdp_window(LAGS, stdp_window(LAGS)))]
