"""The choice of a device, on machines that are made up."""

from __future__ import annotations

import pytest
import torch

from spikemnist.encoding import DirectEncoder
from spikemnist.models import Classifier
from spikemnist.training import (
    TrainConfig,
    available_devices,
    cross_entropy,
    devices,
    evaluate,
    fit,
    select_device,
)
from spikemnist.training.devices import faster_on_a_mac
from tests.training.small_runs import digits, fit_with, new_classifier, same, weights

DIRECT = DirectEncoder(num_steps=2)


@pytest.fixture
def only_the_cpu():
    """Replace the fixture that hides all other devices."""


@pytest.fixture
def machine(monkeypatch):
    """A function that makes up a machine."""

    def pretend(*, cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({}, ("cpu",)),
        ({"mps": True}, ("mps", "cpu")),
        ({"cuda": 1}, ("cuda:0", "cpu")),
        ({"cuda": 2, "mps": True}, ("cuda:0", "cuda:1", "mps", "cpu")),
    ],
)
def test_auto_takes_cuda_then_mps_then_the_cpu(machine, parts, names):
    machine(**parts)
    assert available_devices() == names
    assert select_device() == select_device("auto") == torch.device(names[0])
    for device in names:
        assert select_device(device) == torch.device(device)
        assert select_device(torch.device(device)) == torch.device(device)


def test_float64_never_goes_to_mps(machine):
    machine(mps=True)
    assert select_device(dtype=torch.float64) == torch.device("cpu")
    assert select_device("cpu", dtype=torch.float64) == torch.device("cpu")
    for device in ("mps", "mps:0", torch.device("mps")):
        with pytest.raises(ValueError, match=r"mps has no float64: .*\.float\(\), or use 'cpu'"):
            select_device(device, dtype=torch.float64)
    assert select_device(dtype=torch.bfloat16) == torch.device("mps")
    machine(cuda=1, mps=True)
    assert select_device(dtype=torch.float64) == torch.device("cuda:0")


def test_the_precision_of_the_network_decides(machine):
    """A network in float64 is trained and judged on the CPU of a machine with MPS."""
    machine(mps=True)
    classifier = new_classifier(DIRECT).double()
    fit(classifier, digits(20), TrainConfig(epochs=1))
    evaluate(classifier, digits(20))
    assert next(classifier.parameters()).device.type == "cpu"
    with pytest.raises(ValueError, match="mps has no float64"):
        fit(classifier, digits(20), device="mps")


def test_cuda_without_a_number_is_the_first(machine):
    machine(cuda=2)
    assert select_device("cuda").type == "cuda"
    assert select_device("cuda").index in (None, 0)
    assert select_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("parts", "device", "present"),
    [
        ({}, "cuda", "cpu and auto"),
        ({}, "mps", "cpu and auto"),
        ({"mps": True}, "cuda", "mps, cpu and auto"),
        ({"cuda": 1}, "cuda:1", "cuda:0, cpu and auto"),
        ({"cuda": 2}, "mps", "cuda:0, cuda:1, cpu and auto"),
        ({}, "gpu", "cpu and auto"),
        ({}, "", "cpu and auto"),
        ({}, None, "cpu and auto"),
    ],
)
def test_an_absent_device(machine, parts, device, present):
    machine(**parts)
    message = f"device '{device}' is not available; choose from {present}$"
    with pytest.raises(ValueError, match=message):
        select_device(device)


@pytest.fixture
def mac(machine, monkeypatch):
    """Pretend that a step takes so many seconds on MPS and on the CPU."""

    def pretend(on_mps, on_cpu):
        machine(mps=True)
        times = {"mps": on_mps, "cpu": on_cpu}
        monkeypatch.setattr(devices, "step_time", lambda *arguments: times[arguments[-1].type])

    return pretend


@pytest.mark.parametrize(
    ("on_cpu", "chosen"), [(0.05, "cpu"), (0.083, "cpu"), (0.084, "mps"), (1, "mps")]
)
def test_auto_takes_the_faster_device_of_a_mac(mac, capsys, on_cpu, chosen):
    """MPS, unless the CPU is a fifth faster."""
    mac(0.1, on_cpu)
    batch = next(digits(20).batches(20))
    device = faster_on_a_mac(new_classifier(DIRECT), batch, cross_entropy, progress=True)
    assert device == torch.device(chosen)
    line = f"spikemnist: a training step takes 100.0 ms on mps, {1e3 * on_cpu:.1f} ms on cpu: "
    assert capsys.readouterr().err == f"{line}device {chosen}\n"


def test_a_fit_on_a_mac_that_prefers_the_cpu(mac, capsys, tmp_path):
    mac(0.1, 0.01)
    run = {"epochs": 1, "run": tmp_path}
    assert fit_with(new_classifier(DIRECT), digits(20), progress=False, **run).device == "cpu"
    assert capsys.readouterr().err == ""
    mac(0.01, 0.1)  # a resumed run stays where it was
    assert fit_with(new_classifier(DIRECT), digits(20), resume=True, **run).device == "cpu"


def test_what_is_not_timed_on_a_mac(mac):
    """Another module, and a device with a name."""
    mac(0.1, 0.01)
    batch = next(digits(20).batches(20))
    other = Classifier(torch.nn.Linear(2, 2), DIRECT)
    assert faster_on_a_mac(other, batch, cross_entropy, progress=False).type == "mps"
    assert select_device("mps").type == "mps"


def test_timing_changes_nothing():
    classifier = new_classifier(DIRECT, dropout=0.5)
    before, random = weights(classifier), torch.get_rng_state()
    batch = next(digits(20).batches(20))
    assert devices.step_time(classifier, batch, cross_entropy, torch.device("cpu")) > 0
    assert same(weights(classifier), before)
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(torch.get_rng_state(), random)
