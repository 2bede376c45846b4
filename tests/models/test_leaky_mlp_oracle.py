"""`LeakyMLP` against snnTorch, gradients of every parameter included.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from snntorch import surrogate
from torch.nn import functional

from spikemnist import ops
from spikemnist.models import READOUTS, LeakyMLP
from spikemnist.models.readout import scores
from tests.models.plain_snntorch import PlainNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist.models import Record

T, B = 11, 5


def make(seed: int = 0, dtype: torch.dtype = torch.float64, **options: Any) -> LeakyMLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LeakyMLP(12, (9, 7), 4, **options).to(dtype)
        # Weights strong enough that neurons of all layers fire.
        for layer in model.layers:
            layer.linear.weight.data.mul_(4)
            layer.linear.bias.data.abs_()
    return model


def spikes(seed: int = 1) -> Tensor:
    return torch.rand(T, B, 12, generator=torch.Generator().manual_seed(seed)) < 0.4


LABELS = torch.tensor([0, 1, 2, 3, 1])


def loss(record: Record) -> Tensor:
    """Use the scores, and every output on the way to them."""
    error = functional.cross_entropy(record.scores, LABELS)
    return error + (record.spikes * 0.3).mean() + record.membrane.square().mean()


def gradients(model: LeakyMLP) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_gradients_agree(
    found: dict[str, Tensor | None], expected: dict[str, Tensor | None], tolerance: float
) -> None:
    for name, gradient in found.items():
        wanted = expected[name]
        assert wanted is not None, name
        assert gradient is not None, name
        scale = max(float(wanted.abs().max()), 1e-3)
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=tolerance * scale)


LEARN = {"learn_beta": True, "learn_threshold": True}
PER_NEURON = {
    "beta": [[0.1 * i for i in range(9)], 0.8, [0.9, 0.99, 0.5, 0.0]],
    "threshold": [1.0, [0.5 + 0.1 * i for i in range(7)], torch.full((4,), 0.7)],
}


@pytest.mark.parametrize("options", [LEARN, {**LEARN, **PER_NEURON}], ids=["scalar", "neuron"])
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("readout", READOUTS)
def test_both_backends_equal_a_plain_loop(
    options: dict[str, Any], reset_mechanism: str, readout: str
) -> None:
    model = make(reset_mechanism=reset_mechanism, readout=readout, **options)
    plain = PlainNetwork(model)
    layers = plain(spikes())
    fired, membrane = layers[-1]
    runs = {}
    for backend in ("reference", "snntorch"):
        model.backend = backend
        model.zero_grad()
        record = model(spikes(), record="all")
        assert record.backend == backend
        for layer, (layer_spikes, layer_membrane) in zip(record.layers, layers, strict=True):
            assert 0 < layer_spikes.mean() < 1
            assert torch.equal(layer.spikes, layer_spikes)
            torch.testing.assert_close(layer.membrane, layer_membrane, rtol=1e-12, atol=1e-12)
        loss(record).backward()
        runs[backend] = gradients(model)
    loss(_as_record(model, fired, membrane)).backward()
    for found in runs.values():
        assert_gradients_agree(found, plain.gradients(), 1e-11)


def _as_record(model: LeakyMLP, fired: Tensor, membrane: Tensor) -> Record:
    """Let the plain network's output pass through the same readout."""
    return replace(
        model(spikes()),
        spikes=fired,
        membrane=membrane,
        scores=scores(model.readout, fired, membrane),
    )


@pytest.mark.parametrize("spike_grad", sorted(ops.SURROGATES))
def test_every_surrogate_through_three_layers(spike_grad: str) -> None:
    model = make(spike_grad=spike_grad, **LEARN)
    plain = PlainNetwork(model)
    loss(model(spikes())).backward()
    loss(_as_record(model, *plain(spikes())[-1])).backward()
    assert_gradients_agree(gradients(model), plain.gradients(), 1e-11)


@pytest.mark.parametrize("backend", ["reference", "snntorch"])
@pytest.mark.parametrize(
    "spike_grad", [surrogate.atan(), surrogate.sigmoid(1), surrogate.SFS(10, -0.5)]
)
def test_snntorchs_own_surrogates_in_single_precision(backend: str, spike_grad: Any) -> None:
    """Nothing of ours in the plain network. Sums of a hundred terms round, in another order."""
    model = make(dtype=torch.float32, backend=backend, spike_grad=spike_grad, **LEARN)
    plain = PlainNetwork(model, spike_grad)
    record = model(spikes())
    fired, membrane = plain(spikes())[-1]
    assert torch.equal(record.spikes, fired)
    loss(record).backward()
    loss(_as_record(model, fired, membrane)).backward()
    assert_gradients_agree(gradients(model), plain.gradients(), 1e-4)


def test_a_function_of_ones_own_as_the_surrogate() -> None:
    own = surrogate.custom_surrogate(lambda x, grad, spikes: grad / (1 + x.abs()))
    model = make(dtype=torch.float32, spike_grad=own, **LEARN)
    assert model.layers[0].leaky.spike_grad is own
    plain = PlainNetwork(model, own)
    loss(model(spikes())).backward()
    loss(_as_record(model, *plain(spikes())[-1])).backward()
    assert_gradients_agree(gradients(model), plain.gradients(), 1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_spikes_of_any_surrogate_have_the_dtype_of_the_weights(dtype: torch.dtype) -> None:
    """snnTorch's own come back in single precision."""
    own = surrogate.custom_surrogate(lambda x, grad, spikes: grad / (1 + x.abs()))
    for backend in ("reference", "snntorch"):
        record = make(dtype=dtype, backend=backend, spike_grad=own)(spikes(), record="all")
        assert {layer.spikes.dtype for layer in record.layers} == {dtype}


@pytest.mark.parametrize("backend", ["reference", "snntorch"])
def test_a_state_takes_part_in_the_gradient(backend: str) -> None:
    """Two halves with the state between them are one run, forward and backward."""
    model = make(backend=backend, **LEARN)
    whole = model(spikes(), state=model.initial_state(B))
    loss(whole).backward()
    expected = gradients(model)
    model.zero_grad()
    first = model(spikes()[:4], state=model.initial_state(B))
    second = model(spikes()[4:], state=first.state)
    fired = torch.cat([first.spikes, second.spikes])
    membrane = torch.cat([first.membrane, second.membrane])
    assert torch.equal(fired, whole.spikes)
    assert torch.equal(membrane, whole.membrane)
    for one, other in zip(second.state, whole.state, strict=True):
        assert torch.equal(one, other)
    loss(_as_record(model, fired, membrane)).backward()
    assert_gradients_agree(gradients(model), expected, 1e-11)


def test_the_direct_code_is_the_same_as_a_repeated_image() -> None:
    model = make(**LEARN)
    image = torch.rand(B, 12, generator=torch.Generator().manual_seed(0))
    loss(model(image.expand(T, B, 12))).backward()
    constant = gradients(model)
    model.zero_grad()
    loss(model(image.repeat(T, 1, 1))).backward()
    assert_gradients_agree(constant, gradients(model), 1e-11)
