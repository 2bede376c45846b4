"""Modules with hooks run on a backend that calls them.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

from spikemnist.models import LeakyMLP, accelerate
from tests.models.stepped_network import BACKENDS, ENGINE, images, mlp, stepped

CHANGES: dict[str, Callable[[nn.Module], object]] = {
    "prune": lambda linear: prune.l1_unstructured(linear, "weight", amount=0.5),
    "spectral norm": spectral_norm,
    "own forward": lambda linear: setattr(linear, "forward", linear.forward),
}


@pytest.mark.parametrize("change", CHANGES)
def test_weights_that_a_hook_computes(change: str) -> None:
    network = mlp(196, 9, 4).eval()
    CHANGES[change](network[3])
    expected = stepped(network, images(), torch.float32)[-1][1]
    model = accelerate(network).eval()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        records = [model(images()) for _ in range(2)]
    texts = [str(warning.message) for warning in warned]
    assert len(texts) == len(ENGINE)  # once
    assert all(warning.filename == __file__ for warning in warned)
    assert all("cannot: network[3] (Linear) has hooks" in text for text in texts)
    for backend in ("reference", "snntorch"):
        records.append(accelerate(network, backend=backend).eval()(images()))
    for record in records:
        torch.testing.assert_close(record.membrane, expected)
    assert [record.backend for record in records] == [*["reference"] * 3, "snntorch"]
    for backend in ENGINE:
        with pytest.raises(ValueError, match=r"network\[3\] \(Linear\) has hooks .* Use backend="):
            accelerate(network, backend=backend)(images())


@pytest.mark.parametrize("backend", BACKENDS)
def test_parametrised_weight(backend: Any) -> None:
    network = mlp(196, 9, 4).eval()
    parametrizations.spectral_norm(network[1])
    expected = stepped(network, images(), torch.float32)[-1][1]
    torch.testing.assert_close(
        accelerate(network, backend=backend).eval()(images()).membrane, expected
    )


@pytest.mark.parametrize(("place", "backend"), [("linear", "reference"), ("leaky", "snntorch")])
def test_forward_hooks(place: str, backend: str) -> None:
    """Once for all timesteps on a linear map, at each timestep on neurons."""
    model, seen = LeakyMLP((9,), in_features=196, out_features=4), []
    expected = model(images())
    hook = lambda *arguments: seen.append(arguments[-1])  # noqa: E731
    getattr(model.network[1], place).register_forward_hook(hook)
    if place == "linear":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the slower reference runs this network")
            record = model(images())
        assert [tuple(output.shape) for output in seen] == [(21, 4)]
    else:
        with pytest.warns(UserWarning, match=r"snnTorch steps .* network\[1\].leaky \(Leaky\) has"):
            record = model(images())
        assert torch.equal(torch.stack([membrane for _, membrane in seen]), record.membrane)
    assert record.backend == backend
    torch.testing.assert_close(record.membrane, expected.membrane)


@pytest.mark.parametrize("place", ["", "0", "1", "2", "2.2"])
def test_hooks_that_only_snntorch_calls(place: str) -> None:
    model, seen = accelerate(nn.Sequential(nn.Flatten(), nn.Dropout(), mlp(196, 4))).eval(), []
    expected = model(images())
    network: Any = model.network
    network.get_submodule(place).register_forward_hook(lambda *_: seen.append(0))
    with pytest.warns(UserWarning, match=r"snnTorch steps") as warned:
        record, again = model(images()), model(images())
    assert [warning.filename for warning in warned] == [__file__]
    assert record.backend == again.backend == "snntorch"
    assert len(seen) == 2 * len(images())
    torch.testing.assert_close(record.membrane, expected.membrane)
    model.backend = "reference"
    with pytest.raises(ValueError, match=r"'reference' cannot run this: network.* has hooks"):
        model(images())


def test_hooks_on_neurons_with_batch_normalisation() -> None:
    """Stepped, they would learn from each timestep by itself."""
    model = LeakyMLP(9, in_features=196, out_features=4, batch_norm=True)
    leaky: Any = model.layers[0].leaky
    hook = leaky.register_forward_hook(lambda *_: None)
    with (
        pytest.warns(UserWarning, match="snnTorch steps"),
        pytest.raises(ValueError, match="without hooks on its neurons"),
    ):
        model(images())
    hook.remove()
    assert model(images()).backend != "snntorch"
