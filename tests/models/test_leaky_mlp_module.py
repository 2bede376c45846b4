"""`LeakyMLP` as a module: copied, moved, trained and let go.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from tests.models.stepped_network import BACKENDS, perceptron, spikes


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
