"""`LeakyMLP` as a module: copied, moved, trained and let go.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import snntorch
import torch
from snntorch import surrogate
from torch import nn
from torch.nn import functional

from spikemnist import accelerate, ops
from spikemnist.models import LeakyMLP
from tests.models.small_network import BACKENDS, make, same, spikes


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("options", [{}, {"learn_beta": True, "learn_threshold": True}])
def test_copies_are_equal_and_independent(
    backend: str, called: bool, options: dict[str, Any]
) -> None:
    model = make(backend=backend, spike_grad="fast_sigmoid", readout="spike_count", **options)
    if called:
        model(spikes()).scores.sum().backward()
    expected = model(spikes())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(twin(spikes()), expected)
        assert twin.config == model.config
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.fill_(0.5)
        assert same(model(spikes()), expected)


def test_a_state_dict_moves_everything_that_was_learned() -> None:
    model = make(learn_beta=True, beta=[0.3, 0.4, [0.5] * 4])
    other = make(seed=7, learn_beta=True, beta=[0.9, 0.9, [0.9] * 4])
    assert not torch.equal(model(spikes()).scores, other(spikes()).scores)
    keys = other.load_state_dict(model.state_dict())
    assert not keys.missing_keys
    assert not keys.unexpected_keys
    assert same(model(spikes()), other(spikes()))


def test_the_configuration_builds_a_model_like_this_one() -> None:
    model = make(
        beta=[0.3, 0.4, [0.5] * 4],
        threshold=0.25,
        reset_mechanism="zero",
        spike_grad=surrogate.fast_sigmoid(slope=7),
        learn_threshold=True,
        batch_norm=True,
        dropout=0.125,
        readout="first_spike",
        backend="snntorch",
    )
    config = model.config
    assert config["spike_grad"] == ops.FastSigmoid(7.0)
    twin = LeakyMLP(**config)
    assert twin.config == config
    assert twin.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        *((backend, torch.float64) for backend in BACKENDS),
        *((backend, torch.bfloat16) for backend in BACKENDS if backend != "event_driven"),
    ],
)
def test_other_precisions_run_and_train(backend: str, dtype: torch.dtype) -> None:
    model = make(backend=backend, learn_beta=True, readout="first_spike").to(dtype)
    record = model(spikes())
    assert {record.spikes.dtype, record.membrane.dtype, record.scores.dtype} == {dtype}
    record.scores.sum().backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())


def test_double_and_back_is_the_identity() -> None:
    model = make()
    expected = model(spikes())
    assert same(model.double().float().to("cpu")(spikes()), expected)


def test_on_the_meta_device_shapes_are_known() -> None:
    model = make().to("meta")
    record = model(torch.zeros(6, 3, 12, device="meta"), record="all")
    assert record.scores.shape == (3, 4)
    assert record.scores.device.type == "meta"


def test_autocast_runs_the_products_in_half_precision() -> None:
    model = make(learn_beta=True)
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
def test_a_step_of_training_lowers_the_loss(backend: str) -> None:
    model = make(backend=backend)
    labels = torch.tensor([0, 1, 2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(spikes()).scores, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_nothing_but_its_owner_keeps_a_model_alive(neurons: list[object]) -> None:
    other = snntorch.Leaky(beta=0.9)
    listed = list(neurons)
    alive: weakref.WeakSet[nn.Module] = weakref.WeakSet()
    for index in range(100):
        model = LeakyMLP(2, (2,), 2, backend=BACKENDS[index % 2])
        alive.update([model, *(layer.leaky for layer in model.layers)])
        if index % 10 < 2:
            model(torch.ones(2, 1, 2)).scores.sum().backward()
            alive.add(copy.deepcopy(model))
    assert len(neurons) == len(listed)
    assert all(found is kept for found, kept in zip(neurons, listed, strict=True))
    assert neurons[-1] is other
    del model
    gc.collect()
    assert len(alive) == 0


def test_modules_stay_within_reach() -> None:
    """Each layer is a linear map and a real `snntorch.Leaky`, which tools look for."""
    model = make()
    kinds = [type(module) for module in model.modules()]
    assert kinds.count(snntorch.Leaky) == kinds.count(nn.Linear) == 3


@pytest.mark.parametrize("backend", ["reference", "event_driven"])
def test_batch_normalisation_is_that_of_the_same_modules_in_a_row(backend: str) -> None:
    options: dict[str, Any] = {"backend": backend, "dropout": 0.25, "input_dropout": 0.25}
    model = make(batch_norm=True, **options).double()
    twin = copy.deepcopy(model)
    first, second, last = twin.layers
    row = accelerate(
        nn.Sequential(
            *(twin.input_dropout, nn.Flatten(), first.linear, first.norm, first.leaky),
            *(twin.dropout, second.linear, second.norm, second.leaky),
            *(twin.dropout, last.linear, last.leaky),
        ),
        backend=backend,
    )
    images, labels = spikes().double(), torch.tensor([0, 1, 2])
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.5) for each in (model, row)]
    for _ in range(3):
        scores = []
        for each, optimizer in zip((model, row), optimizers, strict=True):
            torch.manual_seed(3)
            optimizer.zero_grad()
            scores.append(each(images).scores)
            functional.cross_entropy(scores[-1], labels).backward()
            optimizer.step()
        torch.testing.assert_close(*scores)
    assert first.norm is not None
    assert model.layers[0].norm is not None
    torch.testing.assert_close(model.layers[0].norm.running_var, first.norm.running_var)
    assert same(model.eval()(images), row.eval()(images))
    assert last.norm is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_in_inference_mode_leaves_no_inference_tensor_behind(backend: str) -> None:
    model = make(backend=backend)
    with torch.inference_mode():
        model(spikes())
    assert not any(buffer.is_inference() for buffer in model.buffers())
