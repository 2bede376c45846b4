"""The same seed gives the same bits, and the caller's random numbers stay."""

from __future__ import annotations

import random
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikemnist._seeds import seeded
from spikemnist.models import Classifier, LeakyMLP
from spikemnist.training import TrainConfig, evaluate, fit
from tests.rooms import of_rooms
from tests.training.small_runs import DIRECT, RANDOM, Watched, digits, new_classifier, same, weights


def loader():
    data = digits(60)
    return DataLoader(TensorDataset(data.images, data.labels), batch_size=20, shuffle=True)


def batches():
    return list(digits(60).batches(20))


# Each draws its random numbers in one place: the encoder, the order, a DataLoader, dropout.
SOURCES = {
    "encoder": (batches, {"encoder": RANDOM}),
    "order": (lambda: digits(60), {"encoder": DIRECT}),
    "loader": (loader, {"encoder": DIRECT}),
    "dropout": (batches, {"encoder": DIRECT, "dropout": 0.5}),
}


def trained(source, seed, epochs=2):
    data, options = SOURCES[source]
    classifier = new_classifier(**options)
    history = fit(classifier, data(), TrainConfig(seed=seed, epochs=epochs, batch_size=20))
    return weights(classifier), history.to_csv()


@pytest.mark.parametrize("source", SOURCES)
def test_the_seed_decides(source):
    torch.manual_seed(1)
    first = trained(source, seed=3)
    torch.manual_seed(2)
    random.seed(2)
    np.random.seed(2)  # noqa: NPY002 - it is the global state that must not matter
    assert same(first, trained(source, seed=3))
    assert not same(first, trained(source, seed=4))


@pytest.mark.filterwarnings("ignore:training has moved the weights by")
@pytest.mark.parametrize("source", ["encoder", "dropout"])
def test_every_epoch_draws_anew(source):
    """With a learning rate that changes nothing, equal draws would give equal rows."""
    data, options = SOURCES[source]
    history = fit(new_classifier(**options), data(), TrainConfig(epochs=3, lr=1e-30))
    assert len(set(history.column("loss"))) == 3


@pytest.mark.parametrize("source", ["order", "loader"])
def test_every_epoch_has_an_order_of_its_own(source):
    seen, (data, _) = [], SOURCES[source]
    encoder = Watched(lambda images: seen.append(tuple(images.flatten(1).sum(1).tolist())))
    fit(new_classifier(encoder), data(), TrainConfig(epochs=3, batch_size=20))
    epochs = [sum(seen[start : start + 3], ()) for start in (0, 3, 6)]
    assert len(set(epochs)) == 3
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 1


def test_seeds_share_no_random_numbers():
    """Neither the first epoch's encoder nor its order repeats for the next seed's."""
    drawn = []

    class Recording:
        num_steps = 3

        def __call__(self, images, *, generator=None):
            drawn.append(torch.rand(3, generator=generator).tolist())
            return DIRECT(images)

    for seed in (0, 1):
        config = TrainConfig(epochs=2, batch_size=20, seed=seed)
        fit(new_classifier(Recording()), digits(40), config)
    assert len({tuple(numbers) for numbers in drawn}) == len(drawn) == 8


def global_state():
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        random.getstate(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
    )


@pytest.mark.parametrize("source", SOURCES)
def test_the_callers_random_numbers_are_left_alone(source):
    data, options = SOURCES[source]
    classifier, data = new_classifier(**options), data()
    before = global_state()
    fit(classifier, data, TrainConfig(epochs=2, batch_size=20))
    assert global_state() == before
    evaluate(classifier, data)
    assert global_state() == before


def test_random_state_after_an_error():
    def fail(_):
        torch.rand(5)
        raise ConnectionError

    before = global_state()
    for work in (fit, evaluate):
        with pytest.raises(ConnectionError):
            work(new_classifier(Watched(fail)), digits(20))
        assert global_state() == before


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_the_device_in_use_is_seeded_and_put_back(monkeypatch, device):
    """With the calls of a device that need not be there."""
    calls = []

    def note(name, result=None):
        return lambda *arguments: (calls.append((name, *map(str, arguments))), result)[1]

    for name in ("get_rng_state", "set_rng_state", "manual_seed"):
        for module in (torch.cuda, torch.mps):
            monkeypatch.setattr(module, name, note(f"{module.__name__}.{name}", "state"))
    monkeypatch.setattr(torch.cuda, "device", lambda d: nullcontext(calls.append(("use", str(d)))))
    before, cudnn = torch.get_rng_state(), torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", True)
    with seeded(3, torch.device(device)) as generator:
        drawn = torch.rand(4)
        assert generator.device.type == "cpu"
        same = device != "mps"
        assert (cudnn.deterministic, cudnn.benchmark) == (same, not same)
    assert (cudnn.deterministic, cudnn.benchmark) == (False, True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    if device == "mps":
        expected = [("get_rng_state",), ("manual_seed", "3"), ("set_rng_state", "state")]
        assert calls == [(f"torch.mps.{name}", *rest) for name, *rest in expected]
    else:
        assert calls == [
            ("torch.cuda.get_rng_state", device),
            ("use", device),
            ("torch.cuda.manual_seed", "3"),
            ("torch.cuda.set_rng_state", "state", device),
        ]


def test_evaluation_depends_on_its_seed_alone():
    classifier = new_classifier()
    evaluations = [evaluate(classifier, digits(100), seed=seed) for seed in (0, 0, 1)]
    spikes = [evaluation.spikes_per_sample["input"] for evaluation in evaluations]
    assert spikes[0] == spikes[1] != spikes[2]
    assert evaluations[0].loss == evaluations[1].loss != evaluations[2].loss


REFERENCE = partial(LeakyMLP, hidden=(200,), threshold=0.2, backend="reference")
THREADS = {"reference": (REFERENCE, DIRECT, (3, 3)), **dict(of_rooms("THREADS"))}
"""Networks, encoders, and two numbers of threads, equal for torch, with the same bits."""


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", THREADS)
def test_number_of_threads(name):
    make, encoder, numbers = THREADS[name]
    states = []
    for number in numbers:
        torch.set_num_threads(number)
        torch.manual_seed(0)
        classifier = Classifier(make(), encoder)
        fit(classifier, digits(64), TrainConfig(epochs=1, batch_size=32), progress=False)
        states.append(weights(classifier))
    assert same(*states)
