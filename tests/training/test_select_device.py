"""The choice of a device, on machines that are made up."""

from __future__ import annotations

import pytest
import torch

from spikemnist.training import TrainConfig, available_devices, evaluate, fit, select_device
from tests.training.small_runs import DIRECT, digits, new_classifier


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
    if "cuda:0" in names:
        assert select_device("cuda") == torch.device("cuda")


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
        ({}, "cpu:7", "cpu and auto"),
    ],
)
def test_an_absent_device(machine, parts, device, present):
    machine(**parts)
    message = f"device '{device}' is not available; choose from {present}$"
    with pytest.raises(ValueError, match=message):
        select_device(device)
