"""Laws of every network: perceptron, convolutions, and a network of snnTorch's user.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import dataclasses
import gc
import inspect
import pickle
import re
import weakref
from typing import Any

import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from spikemnist.models import READOUTS, LeakyConvNet, LeakyMLP, NetworkOptions, Record, accelerate
from tests.models.stepped_network import (
    BACKENDS,
    assert_close,
    conv,
    gradients,
    images,
    lively,
    same,
)
from tests.strategies import SEEDS

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "perceptron": [(9,), (7,), (4,)],
    "convolutions": [(3, 6, 6), (5, 2, 2), (4,)],
    "accelerate": [(3, 6, 6), (5, 2, 2), (4,)],
}
"""Kinds of networks, and the neurons of their layers for images of 14 x 14."""


def build(kind: str, backend: Any = "auto", **options: Any) -> Any:
    if kind == "perceptron":
        return lively(LeakyMLP((9, 7), in_features=196, out_features=4, backend=backend, **options))
    if kind == "convolutions":
        return lively(LeakyConvNet("3C3-P2-5C3-P2-4", (1, 14, 14), backend=backend, **options))
    return accelerate(conv(**options), backend=backend)


KINDS = pytest.mark.parametrize("kind", SHAPES)
BUILT = pytest.mark.parametrize("kind", [LeakyMLP, LeakyConvNet])
ALL_BACKENDS = pytest.mark.parametrize("backend", BACKENDS)


@BUILT
def test_a_seed_covers_the_initial_weights(kind: Any) -> None:
    """They are those after `torch.manual_seed`, and the global generator stays as it was."""
    torch.manual_seed(3)
    expected = parameters_to_vector(kind().parameters())
    state = torch.get_rng_state()
    actual, other = (parameters_to_vector(kind(seed=seed).parameters()) for seed in (3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(actual, expected)
    assert not torch.equal(other, expected)


@BUILT
def test_options_in_help_and_errors(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    for field in dataclasses.fields(NetworkOptions):
        assert parameters[field.name].default == field.default
        assert re.search(rf"^{field.name}\b|, {field.name} :", inspect.getdoc(kind), re.MULTILINE)
    message = rf"{kind.__name__} has no option 'treshold'; did you mean threshold\?"
    with pytest.raises(TypeError, match=message):
        kind(treshold=1.0)


@KINDS
@ALL_BACKENDS
def test_a_record(kind: str, backend: str) -> None:
    model, spikes = build(kind, backend, threshold=0.7), images()
    for readout in READOUTS:
        model.readout = readout
        record = model(spikes, record="all")
        assert torch.equal(record.scores, READOUTS[readout](record.spikes, record.membrane))
        assert (record.readout, record.backend) == (READOUTS[readout], backend)
    names = ["hidden 1", "hidden 2", "output"]
    assert [layer.name for layer in record.layers] == list(record.sizes) == names
    assert [tuple(layer.spikes.shape[2:]) for layer in record.layers] == SHAPES[kind]
    assert list(record.sizes.values()) == [layer.spikes[0, 0].numel() for layer in record.layers]
    for layer, counts in zip(record.layers, record.spike_counts, strict=True):
        assert torch.equal(layer.spikes, (layer.membrane > layer.threshold).float())
        assert float(layer.threshold) == pytest.approx(0.7)
        assert not layer.threshold.requires_grad
        assert torch.equal(counts, layer.spikes.flatten(2).sum((0, 2)).long())
    assert record.spikes is record.layers[-1].spikes
    assert record.membrane is record.layers[-1].membrane
    assert torch.equal(record.input, spikes)
    with pytest.raises(AttributeError, match=r"call network\(spikes, state=None\)"):
        record.state  # noqa: B018
    alone = model(spikes)
    assert same(alone, record)
    assert (alone.layers, alone.input) == ((), None)


def loss(record: Record) -> Tensor:
    return record.scores.square().sum() + record.spikes.sum()


@KINDS
@ALL_BACKENDS
def test_two_halves_with_the_state_between_them_are_one_run(kind: str, backend: str) -> None:
    model = build(kind, backend, learn_beta=True).double()
    rest = [torch.zeros(3, *shape, dtype=torch.float64) for shape in SHAPES[kind]]
    together, unset = model(images(), state=rest), model(images(), state=None)
    assert all(map(torch.equal, unset.state, together.state))
    assert same(together, model(images()))
    assert not any(membrane.any() for membrane in rest)

    def in_halves() -> Tensor:
        first = model(images()[:2], state=rest)
        copies = [membrane.clone() for membrane in first.state]
        second = model(images()[2:], state=list(first.state))
        assert all(map(torch.equal, first.state, copies))
        assert all(map(torch.equal, second.state, together.state))
        membrane = torch.cat([first.membrane, second.membrane])
        assert torch.equal(membrane, together.membrane)
        return membrane.square().sum()

    expected = gradients(model, lambda: model(images()).membrane.square().sum())
    assert_close(gradients(model, in_halves), expected)


@pytest.mark.parametrize("kind", ["convolutions", "accelerate"])
@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "snntorch"])
@settings(max_examples=15)  # it runs whole networks, three times each
@given(SEEDS, st.integers(0, 4), st.permutations(range(4)))
def test_samples_are_independent(
    kind: str, backend: str, seed: int, batch: int, order: list[int]
) -> None:
    model, spikes = build(kind, backend).double(), images(3, 4, seed=seed)
    together = model(spikes)
    torch.testing.assert_close(model(spikes[:, order]).scores, together.scores[order])
    part = model(spikes[:, :batch])
    assert torch.equal(part.spikes, together.spikes[:, :batch])
    torch.testing.assert_close(part.scores, together.scores[:batch])


@KINDS
@ALL_BACKENDS
def test_copies_are_equal_and_independent(kind: str, backend: str) -> None:
    model = build(kind, backend, learn_beta=True)
    loss(model(images())).backward()
    expected = model(images())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(twin) is type(model)
        assert same(twin(images()), expected)
        with torch.no_grad():
            for parameter in twin.parameters():
                parameter.fill_(0.5)
        assert same(model(images()), expected)


@KINDS
def test_only_its_owner_keeps_a_model_alive(kind: str, neurons: list[object]) -> None:
    other = snntorch.Leaky(beta=0.9)
    listed = list(neurons)
    alive: weakref.WeakSet[nn.Module | Tensor] = weakref.WeakSet()
    for backend in BACKENDS * 2:
        model = build(kind, backend)
        alive.update(model.modules())
        record = model(images())
        loss(record).backward()
        alive.update([record.membrane, *copy.deepcopy(model).modules()])
    assert len(neurons) == len(listed)
    assert all(one is other for one, other in zip(neurons, listed, strict=True))
    assert neurons[-1] is other
    del model, record
    gc.collect()
    assert len(alive) == 0


@KINDS
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [
        *((backend, torch.float64) for backend in BACKENDS),
        *((backend, torch.bfloat16) for backend in BACKENDS if backend != "event_driven"),
    ],
)
def test_other_precisions(kind: str, backend: str, dtype: torch.dtype) -> None:
    model = build(kind, backend, learn_beta=True).to(dtype)
    record = model(images(40), record="all")
    assert {record.spikes.dtype, record.membrane.dtype, record.scores.dtype} == {dtype}
    counted = [layer.spikes.flatten(2).count_nonzero((0, 2)) for layer in record.layers]
    assert torch.equal(record.spike_counts, torch.stack(counted))
    if kind != "perceptron":
        assert int(record.spike_counts.max()) > 256  # more than bfloat16 can count
    loss(record).backward()
    assert all(p.grad.dtype == dtype and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("backend", [backend for backend in BACKENDS if backend != "snntorch"])
def test_a_second_derivative_is_refused(backend: str) -> None:
    """Of every parameter and of the input; the first one alone is right."""
    model = build("convolutions", backend, learn_beta=True).double()
    spikes = images().double().requires_grad_()
    inputs = [spikes, *model.parameters()]
    first = torch.autograd.grad(loss(model(spikes)), inputs)
    again = torch.autograd.grad(loss(model(spikes)), inputs, create_graph=True)
    torch.testing.assert_close(again, first)
    penalty = sum(gradient.square().sum() for gradient in again)
    for tensor in inputs:
        with pytest.raises(RuntimeError, match=r"second derivatives .* backend='snntorch'"):
            torch.autograd.grad(penalty, tensor, retain_graph=True)
