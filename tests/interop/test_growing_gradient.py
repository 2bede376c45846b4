"""Training of a network that snnTorch steps, whose gradient grows until it is no number."""

from __future__ import annotations

import pytest
import snntorch
import torch
from snntorch.surrogate import straight_through_estimator
from torch import nn

from spikemnist.encoding import DirectEncoder
from spikemnist.models import Classifier, accelerate
from spikemnist.training import TrainConfig, fit
from tests.training.small_runs import digits


@pytest.mark.filterwarnings("ignore:snnTorch steps this network")
def test_a_gradient_that_grows_from_timestep_to_timestep() -> None:
    options = {"init_hidden": True, "spike_grad": straight_through_estimator()}
    recurrent = snntorch.RLeaky(beta=0.9, linear_features=20, **options)
    with torch.no_grad():
        recurrent.recurrent.weight.fill_(30.0)
    layers = nn.Flatten(), nn.Linear(784, 20), recurrent, nn.Linear(20, 10)
    network = accelerate(nn.Sequential(*layers, snntorch.Leaky(beta=0.9, init_hidden=True)))
    message = r"gradient became (inf|nan) .* from timestep to timestep, .*: pass truncate="
    with pytest.raises(FloatingPointError, match=message):
        fit(Classifier(network, DirectEncoder(60)), digits(20), TrainConfig(epochs=1))
