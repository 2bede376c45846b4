"""The program that is read whole: its code, spikes and gradients against the library's."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikemnist import LatencyEncoder, LeakyMLP, load_digits

FILE = Path(__file__).resolve().parent.parent / "examples" / "microspike.py"
MICRO: dict[str, Any] = runpy.run_path(str(FILE))
TRAIN, TEST = load_digits()


def parameters(network: LeakyMLP) -> list[np.ndarray[Any, Any]]:
    layers = [layer.linear for layer in network.layers]
    pairs = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]
    return [array.copy() for pair in pairs for array in pair]


def test_it_is_short() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 150


def test_spikes_of_all_grey_values() -> None:
    greys = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for timesteps in (1, 2, 3, 8, 25):
        expected = LatencyEncoder(num_steps=timesteps)(torch.from_numpy(greys)).flatten(2)
        assert np.array_equal(MICRO["encode"](greys, timesteps), expected.numpy())


def test_ten_steps_of_training() -> None:
    """In double precision only the order of the sums differs."""
    torch.manual_seed(0)
    network = LeakyMLP(hidden=30, threshold=MICRO["THRESHOLD"], backend="reference").double()
    for layer in network.layers:  # snnTorch keeps 0.95 in single precision
        layer.leaky.beta = torch.tensor(MICRO["BETA"], dtype=torch.float64)
    optimizer = torch.optim.Adam(network.parameters(), lr=MICRO["LEARNING_RATE"])
    ours = parameters(network)
    state = [(np.zeros_like(values), np.zeros_like(values)) for values in ours]
    for step in range(10):
        images, labels = (part[20 * step : 20 * step + 20] for part in (TRAIN.images, TRAIN.labels))
        spikes = MICRO["encode"](images.numpy())
        record = network(torch.from_numpy(spikes), record="all")
        loss = torch.nn.functional.cross_entropy(record.scores, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        expected = [
            gradient.numpy()
            for layer in network.layers
            for gradient in (layer.linear.weight.grad.T, layer.linear.bias.grad)  # type: ignore[union-attr]
        ]
        layers, _ = MICRO["run"](ours, spikes)
        for (_, fired, membranes), layer in zip(layers, record.layers, strict=True):
            assert np.array_equal(fired, layer.spikes.detach().numpy())
            assert np.allclose(membranes, layer.membrane.detach().numpy(), rtol=0, atol=1e-12)
        our_loss, gradients = MICRO["loss_and_gradients"](ours, spikes, labels.numpy())
        assert our_loss == pytest.approx(loss.item(), rel=1e-12)
        for gradient, theirs in zip(gradients, expected, strict=True):
            assert np.allclose(gradient, theirs, rtol=1e-9, atol=1e-13)
        optimizer.step()
        MICRO["adam"](ours, gradients, state, step + 1, MICRO["LEARNING_RATE"])
        assert all(map(np.allclose, ours, parameters(network)))


@pytest.mark.slow
def test_it_learns(capsys: pytest.CaptureFixture[str]) -> None:
    network = MICRO["train"](TRAIN.images[:500].numpy(), TRAIN.labels[:500].numpy(), epochs=2)
    assert MICRO["accuracy"](network, TEST.images.numpy(), TEST.labels.numpy()) > 0.6
    assert capsys.readouterr().out.startswith("epoch 1  loss of the last batch ")
