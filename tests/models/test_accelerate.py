"""What `accelerate` returns, as a module: parameters, state, records, training, own modules.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from snntorch import surrogate
from torch import nn
from torch.nn import functional

from spikemnist import Classifier, TrainConfig, accelerate, fit, ops
from tests.models.stepped_network import (
    BACKENDS,
    assert_close,
    conv,
    gradients,
    images,
    mlp,
    neuron,
    neurons_of,
    same,
    stepped,
)
from tests.pairs import Case, named, pairs


def test_shared_parameters() -> None:
    network = mlp(196, 9, 4, learn_beta=True, learn_threshold=True)
    keys = list(network.state_dict())
    model = accelerate(network)
    assert list(model.children()) == [network]
    assert list(network.state_dict()) == keys
    assert list(model.state_dict()) == [f"network.{key}" for key in keys]
    assert {id(p) for p in model.parameters()} == {id(p) for p in network.parameters()}
    before = model(images())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    functional.cross_entropy(before.scores, torch.tensor([0, 1, 2])).backward()
    assert all(p.grad is not None for p in network.parameters())
    optimizer.step()
    assert not torch.equal(model(images()).scores, before.scores)
    assert same(model(images()), accelerate(network)(images()))


@pytest.mark.parametrize("factory", [surrogate.atan, surrogate.fast_sigmoid, surrogate.sigmoid])
def test_gradients_of_the_users_own_loop(factory: Any) -> None:
    """Pickling gives the neurons our surrogate, which is snnTorch's within rounding."""
    network = conv(spike_grad=factory()).double()
    twin = copy.deepcopy(network)
    pickle.dumps(accelerate(network))
    results = [
        gradients(one, lambda one=one: sum(m.square().sum() for _, m in stepped(one, images())))
        for one in (network, twin)
    ]
    assert_close(*results, 1e-6)  # snnTorch's have the dtype float32
    assert {leaky.spike_grad for leaky in neurons_of(network)} == {ops.get_surrogate(factory())}


def contents(network: nn.Module) -> dict[str, Any]:
    """Return everything that the modules hold, the values of the tensors included."""
    result: dict[str, Any] = {}
    for name, module in network.named_modules():
        for key, value in {**vars(module), **module._buffers, **module._parameters}.items():
            result[f"{name} {key}"] = value.clone() if isinstance(value, torch.Tensor) else value
    return result


@pytest.mark.parametrize(
    "case",
    pairs(backend=BACKENDS, init_hidden=[False, True], mode=["enable_grad", "inference_mode"]),
    ids=named,
)
def test_calls_leave_the_network_unchanged(case: Case) -> None:
    backend, init_hidden, mode = case.values()
    network = conv(init_hidden=init_hidden)
    expected = stepped(network, images(), torch.float32)
    held = [(leaky.mem, leaky.reset) for leaky in neurons_of(network)]
    before = contents(network)
    model = accelerate(network, backend=backend)
    with getattr(torch, mode)():
        first = model(images())
        model(images(9, 5), state=None)
        with pytest.raises(ValueError, match="takes 20 features"):
            model(images(9, 5, side=11))
        assert same(model(images()), first)
    after = contents(network)
    assert after.keys() == before.keys()
    for name, value in before.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(after[name], value), name
        else:
            assert after[name] == value, name
    for leaky, (membrane, reset) in zip(neurons_of(network), held, strict=True):
        assert leaky.mem is membrane
        assert leaky.reset is reset
    assert not any(buffer.is_inference() for buffer in network.buffers())
    again = stepped(network, images(), torch.float32)
    for one, other in zip(again, expected, strict=True):
        assert all(map(torch.equal, one, other))


def test_changes_of_the_network_between_calls() -> None:
    network = mlp(196, 9, 4)
    model = accelerate(network)
    assert model.sizes == {"hidden 1": 9, "output": 4}
    network.append(nn.Linear(4, 2))
    network.append(neuron(beta=0.5))
    assert model.sizes == {"hidden 1": 9, "hidden 2": 4, "output": 2}
    assert same(model(images()), accelerate(network)(images()))


def test_sizes_without_a_random_draw() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 2, 3), neuron(), nn.Flatten())
    network.extend([nn.Dropout(0.5), nn.Linear(32, 4), neuron()])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    sizes = accelerate(network.double(), in_shape=(1, 6, 6)).sizes
    assert torch.equal(torch.get_rng_state(), before)
    assert sizes == {"hidden 1": 32, "output": 4}
    assert accelerate(mlp(196, 9, 4)).sizes == {"hidden 1": 9, "output": 4}


@pytest.mark.filterwarnings("ignore:.* of the neurons of .* fire")
def test_truncation_with_sizes_by_input() -> None:
    data = torch.rand(4, 1, 14, 14), torch.tensor([0, 1, 2, 3])
    classifier = Classifier(accelerate(conv()), "latency")
    history = fit(classifier, data, TrainConfig(epochs=1, truncate=4), progress=False)
    assert len(history.epochs) == 1
