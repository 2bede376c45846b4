"""`LeakyMLP` as a module: copied, moved, trained and let go.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import snntorch
import torch
from torch import nn
from torch.nn import functional

from spikemnist import accelerate
from tests.models.stepped_network import BACKENDS, perceptron, same, spikes


def test_autocast_to_half_precision() -> None:
    model = perceptron(learn_beta=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        record = model(spikes(), record="all")
        loss = functional.cross_entropy(record.scores.float(), torch.tensor([0, 1, 2]))
    assert record.membrane.dtype == torch.bfloat16
    loss.backward()
    assert all(p.grad.dtype == torch.float32 for p in model.parameters())
    # The weights are rounded to 8 bits, then their sum is: each by at most 2**-9 of its size.
    exact, linear = model(spikes(), record="all"), model.layers[0].linear
    bound = 2**-8 * (linear.weight.abs().sum(1) + linear.bias.abs())
    error = record.layers[0].membrane[0].float() - exact.layers[0].membrane[0]
    assert bool((error.abs() <= bound).all())
    assert bool((error != 0).any())


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_of_every_parameter(backend: str) -> None:
    """Layers share no parameter, and a beta is no view of the tensor that was given."""
    given = torch.tensor(0.9)
    model = perceptron(beta=given, learn_beta=True, learn_threshold=True, backend=backend)
    before = copy.deepcopy(model.state_dict())
    assert len({tensor.data_ptr() for tensor in (*model.parameters(), given)}) == 13
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(spikes()).scores, torch.tensor([0, 1, 2]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert not any(
        torch.equal(parameter, before[name]) for name, parameter in model.named_parameters()
    )


@pytest.mark.parametrize("backend", ["reference", "event_driven"])
def test_batch_normalisation_of_the_same_modules(backend: str) -> None:
    options: dict[str, Any] = {"backend": backend, "dropout": 0.25, "input_dropout": 0.4}
    model = perceptron(batch_norm=True, **options).double()
    twin = copy.deepcopy(model)
    modules = [module for layer in twin.network for module in layer]
    row = accelerate(nn.Sequential(*modules), backend=backend)
    images, labels = spikes().double(), torch.tensor([0, 1, 2])
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.5) for network in (model, row)]
    for _ in range(3):
        records = []
        for network, optimizer in zip((model, row), optimizers, strict=True):
            torch.manual_seed(3)
            optimizer.zero_grad()
            records.append(network(images))
            functional.cross_entropy(records[-1].scores, labels).backward()
            optimizer.step()
        torch.testing.assert_close(*(record.scores for record in records))
    assert records[0].sizes == records[1].sizes == row.sizes == model.sizes
    torch.testing.assert_close(model.network[0].norm.running_var, twin.network[0].norm.running_var)
    assert same(model.eval()(images), row.eval()(images))
    kinds = [type(module) for module in modules]
    hidden = [nn.Linear, nn.BatchNorm1d, snntorch.Leaky]
    expected = [nn.Dropout, nn.Flatten, *hidden, nn.Dropout, *hidden]
    assert kinds == [*expected, nn.Dropout, nn.Linear, snntorch.Leaky]
    dropouts = [module.p for module in modules if isinstance(module, nn.Dropout)]
    assert dropouts == [0.4, 0.25, 0.25]
