"""What the doctor and the initial rates say of a network that snnTorch steps."""

from __future__ import annotations

import pytest
import snntorch
from torch import nn

from spikemnist import Classifier, accelerate, diagnose
from spikemnist.models import SpikingNetwork
from spikemnist.training import initialize
from tests.training.small_runs import digits

pytestmark = pytest.mark.filterwarnings("ignore:.*snnTorch steps")


def synaptic() -> SpikingNetwork:
    """Return a network of neurons that the kernels do not have."""
    layers: list[nn.Module] = [nn.Flatten()]
    for sizes, last in (((784, 20), False), ((20, 10), True)):
        neurons = snntorch.Synaptic(beta=0.9, alpha=0.8, init_hidden=True, output=last)
        layers += nn.Linear(*sizes), neurons
    return accelerate(nn.Sequential(*layers))


def test_doctor_tells_what_its_record_has() -> None:
    diagnosis = diagnose(Classifier(synaptic(), "rate"), digits(64))
    hidden, _ = diagnosis.layers
    assert hidden.spikes > 0
    assert hidden.parameters is hidden.acs is hidden.gradient_norm is None
    assert "parameters  " not in repr(diagnosis)
    assert diagnosis.learned is not None
    assert diagnosis.learned > 0.5


def test_initial_rates_need_layers() -> None:
    with pytest.raises(TypeError, match=r"the layers cannot be read: .*Synaptic"):
        initialize(Classifier(synaptic(), "latency"), digits(20).images)
