"""What every candidate is given, and how much work it is."""

from __future__ import annotations

import pytest
import torch

from benchmarks import workload
from benchmarks.candidates import Ours, SnnTorchLoop, our_backends
from benchmarks.workload import (
    CODES,
    Work,
    Workload,
    first_weights,
    snntorch_spikes,
    trained_weights,
)
from spikemnist.ops import BACKENDS

SMALL = Workload(hidden=30, num_steps=6, batch=8)


@pytest.mark.parametrize("code", CODES)
def test_a_batch_is_pixels_labels_and_their_spikes(code: str) -> None:
    given = Workload(code=code, num_steps=6, batch=8)
    batch = given.load()
    assert batch.pixels.shape == (8, 784)
    assert batch.pixels.dtype == torch.float32
    assert (float(batch.pixels.min()), float(batch.pixels.max())) == (0, 1)
    assert batch.labels.shape == (8,)
    assert batch.spikes.shape == (6, 8, 784)
    if code == "direct":
        assert batch.spikes.stride(0) == 0
        assert torch.equal(batch.spikes[0], batch.pixels)
    else:
        assert batch.spikes.dtype == torch.uint8
        assert torch.equal(batch.spikes, given.load().spikes)


@pytest.mark.parametrize("code", ["latency", "direct"])
def test_snntorch_makes_the_same_spikes_where_no_chance_is_in_them(code: str) -> None:
    given = Workload(code=code, num_steps=6, batch=8)
    batch = given.load()
    assert torch.equal(
        snntorch_spikes(batch.pixels, given.code, given.num_steps), batch.spikes.float()
    )


def test_weights_are_the_same_each_time_and_for_every_batch_size() -> None:
    state = torch.get_rng_state()
    one = trained_weights(SMALL)
    workload._trained.cache_clear()
    other = trained_weights(Workload(hidden=30, num_steps=6, batch=2))
    assert torch.equal(torch.get_rng_state(), state)
    for first, second, untrained in zip(one, other, first_weights(SMALL.sizes), strict=True):
        assert torch.equal(first.weight, second.weight)
        assert not torch.equal(first.weight, untrained.weight)


def test_trained_weights_fire_where_fresh_ones_hardly_do() -> None:
    given = Workload(code="latency", hidden=100, batch=16)
    spikes = given.load().spikes
    shares = []
    for layers in (first_weights(given.sizes), trained_weights(given)):
        (hidden, _), _ = SnnTorchLoop(layers).trace(spikes.float())
        shares.append(float(hidden.mean()))
    fresh, trained = shares
    assert trained > 0.01 > fresh


def test_candidates_do_not_share_weights() -> None:
    layers, batch = first_weights(SMALL.sizes), SMALL.load()
    before = [layer.weight.detach().clone() for layer in layers]
    for candidate in (Ours(layers, "reference", SMALL), SnnTorchLoop(layers, SMALL)):
        candidate.step(batch.pixels, batch.labels)
        changed = candidate.layers[0].weight.detach()
        # Adam has done its work, yet the spikes stay what was checked.
        assert 0 < float((changed - before[0]).abs().max()) < 1e-4
    assert all(torch.equal(layer.weight, old) for layer, old in zip(layers, before, strict=True))


def test_every_backend_that_computes_is_measured() -> None:
    assert our_backends()[0] == "auto"
    assert sorted(our_backends()) == sorted(set(BACKENDS) - {"snntorch", "triton", "metal"})


def test_the_backend_that_ran_is_known() -> None:
    layers, batch = first_weights(SMALL.sizes), SMALL.load()
    ours = Ours(layers, "reference", SMALL)
    ours.trace(ours.prepare_input(batch.spikes))
    assert (ours.name, ours.backend) == ("spikemnist reference", "reference")


def test_work_counts_what_is_not_zero() -> None:
    inputs, hidden = torch.zeros(2, 3, 5), torch.zeros(2, 3, 4)
    inputs[0, 0, :3] = 0.5
    hidden[1, 2, 1] = 1
    work = Work.count((5, 4, 2), [inputs, hidden])
    assert work.timesteps == 2 * 3
    assert work.neuron_updates == 2 * 3 * (4 + 2)
    assert work.synaptic_events == 3 * 4 + 1 * 2
    assert work.input_density == pytest.approx(3 / 30)
    assert work.hidden_density == pytest.approx(1 / 24)
