"""`select_device("fastest")`: timed once on each device, and remembered."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from spikemnist import LatencyEncoder, LeakyMLP, fit
from spikemnist.training import devices, evaluate, fastest, select_device
from tests.training.small_runs import digits

if TYPE_CHECKING:
    from pathlib import Path

ENCODER = LatencyEncoder(num_steps=4)
SECONDS = {"cuda:0": 0.003, "mps": 0.002, "cpu": 0.001}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the devices that were timed, of three that stand in for real ones."""
    asked: list[str] = []

    def seconds(model: object, encoder: object, device: str) -> float:
        asked.append(device)
        return SECONDS[device]

    monkeypatch.setattr(fastest, "seconds_of_step", seconds)
    monkeypatch.setattr(fastest, "user_cache_path", lambda *_, **__: tmp_path)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda name: "a GPU")
    monkeypatch.setattr(devices, "available_devices", lambda: tuple(SECONDS))
    return asked


def fastest_of(model: torch.nn.Module, **options: object) -> torch.device:
    return select_device("fastest", model=model, encoder=ENCODER, **options)


def test_the_fastest_is_taken_and_told(
    timed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert fastest_of(LeakyMLP(hidden=(8,))) == torch.device("cpu")
    assert timed == list(SECONDS)
    expected = "a training step takes cuda:0 3.0 ms, mps 2.0 ms, cpu 1.0 ms: device cpu\n"
    assert capsys.readouterr().err == f"spikemnist: {expected}"


def test_the_answer_is_remembered_for_a_network(
    timed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        fastest_of(LeakyMLP(hidden=(8,)))
        assert "cpu 1.0 ms" in capsys.readouterr().err
    assert len(timed) == 3
    fastest_of(LeakyMLP(hidden=(9,)))
    assert len(timed) == 6


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"cpu": 1.0}', '{"cpu": "fast"}'])
def test_a_damaged_answer_is_measured_again(damage: str, timed: list[str], tmp_path: Path) -> None:
    fastest_of(LeakyMLP(hidden=(8,)))
    (file,) = (tmp_path / "devices").iterdir()
    file.write_text(damage)
    assert fastest_of(LeakyMLP(hidden=(8,))) == torch.device("cpu")
    assert len(timed) == 6


def test_a_cache_that_cannot_be_written_is_done_without(timed: list[str], tmp_path: Path) -> None:
    (tmp_path / "devices").write_text("a file in the way")
    assert fastest_of(LeakyMLP(hidden=(8,))) == torch.device("cpu")


def test_mps_is_passed_over_in_double_precision(timed: list[str]) -> None:
    fastest_of(LeakyMLP(hidden=(8,)).double(), dtype=torch.float64)
    assert timed == ["cuda:0", "cpu"]


def test_one_device_needs_no_timing(timed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
    assert fastest_of(LeakyMLP(hidden=(8,))) == torch.device("cpu")
    assert not timed


def test_it_takes_images_alone() -> None:
    with pytest.raises(ValueError, match=r"on images of 28 x 28 pixels \(.*\): name a device"):
        fastest.seconds_of_step(LeakyMLP(20, (8,)), ENCODER, "cpu")


def test_it_times_one_process(timed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"use 'auto' under torchrun"):
        fastest_of(LeakyMLP(hidden=(8,)))
    assert not timed


def test_it_needs_something_to_time() -> None:
    with pytest.raises(ValueError, match=r"device='fastest' needs model= and encoder="):
        select_device("fastest")


def test_a_step_is_timed_and_changes_nothing() -> None:
    model = LeakyMLP(hidden=(8,))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    assert 0 < fastest.seconds_of_step(model, ENCODER, "cpu") < 60
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_device_on_which_it_fails_is_the_slowest() -> None:
    assert fastest.seconds_of_step(LeakyMLP(hidden=(8,)), ENCODER, "meta") == math.inf


def test_fit_and_evaluate_take_it() -> None:
    model = LeakyMLP(hidden=(8,), threshold=0.1)
    fit(model, digits(64), encoder=ENCODER, epochs=1, device="fastest", progress=False)
    evaluate(model, digits(64), encoder=ENCODER, device="fastest", progress=False)
