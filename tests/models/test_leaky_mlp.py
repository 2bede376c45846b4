"""`LeakyMLP` as a function: what it takes and returns.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from spikemnist.models import LeakyMLP
from tests.models.stepped_network import BACKENDS, perceptron, same, spikes


def test_hidden_layers() -> None:
    assert LeakyMLP((), in_features=5, out_features=3).sizes == {"output": 3}
    model = LeakyMLP(hidden=100)
    assert model.sizes == {"hidden 1": 100, "output": 10}
    assert model.config["hidden"] == LeakyMLP(hidden=(100,)).config["hidden"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_shape_of_spikes(backend: str) -> None:
    model = perceptron(backend=backend)
    expected = model(spikes())
    assert same(model(spikes().flatten(2)), expected)
    assert same(model(spikes().unsqueeze(2)), expected)


def test_betas_and_thresholds_of_layers_and_neurons() -> None:
    given = torch.tensor([0.1, 0.2, 0.3, 0.4])
    model = perceptron(beta=[0.5, [0.1 * i for i in range(7)], given], threshold=np.float32(0.5))
    betas = [layer.leaky.beta for layer in model.layers]
    assert [tuple(beta.shape) for beta in betas] == [(), (7,), (4,)]
    assert torch.equal(betas[2], given)
    given.fill_(0.9)
    assert betas[2][0] == pytest.approx(0.1)
    assert [float(layer.leaky.threshold) for layer in model.layers] == [0.5] * 3
    assert "network.0.leaky.beta" in dict(model.named_buffers())


def test_repr_of_model_and_record() -> None:
    model = LeakyMLP(
        (5,),
        in_features=20,
        out_features=3,
        beta=0.9,
        learn_threshold=True,
        spike_grad="triangular",
    )
    for layer in model.layers:
        torch.nn.init.zeros_(layer.linear.bias)
    assert repr(model).splitlines() == [
        "LeakyMLP of 125 parameters, readout='mean_membrane', backend='auto'",
        "  layer     modules         neurons  parameters  beta    threshold  reset     surrogate",
        "  hidden 1  Flatten Linear        5         106   0.9  1 (learned)  subtract  "
        "Triangular(threshold=1.0)",
        "  output    Linear                3          19   0.9  1 (learned)  subtract  "
        "Triangular(threshold=1.0)",
    ]
    assert "19  ?     ?  " in repr(copy.deepcopy(model).to("meta"))
    record = model(torch.zeros(4, 2, 20))
    assert "<tr><td>hidden 1</td><td>5</td><td>0.0</td></tr>" in record._repr_html_()
    assert repr(record).splitlines() == [
        f"Record of 2 samples and 4 timesteps, by the backend {record.backend}",
        "  layer     neurons  spikes per sample",
        "  hidden 1        5                0.0",
        "  output          3                0.0",
        "  scores by the readout mean_membrane",
    ]
