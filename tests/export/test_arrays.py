"""Networks as plain arrays."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

from spikemnist import Classifier, LeakyConvNet, LeakyMLP, accelerate
from spikemnist.export import to_c, to_html, to_nir, to_onnx
from spikemnist.export.arrays import build_model, read_model
from spikemnist.models import SpikingNetwork
from tests.export.replay import draw_network, normalised
from tests.pairs import Case, named, pairs

CONVOLUTIONS = ("4C5-P2-6C3-AP2-10", "3C3s2p1-8-10", "4C4-10", "2C5p2-AP3-5C3-12-10")


@pytest.mark.parametrize(
    "case",
    pairs(
        layers=[*CONVOLUTIONS, "7 6"],
        batch_norm=[False, True],
        reset_mechanism=["subtract", "zero", "none"],
        readout=["mean_membrane", "first_spike"],
        population=[1, 2],
    ),
    ids=named,
)
def test_network_of_its_arrays(case: Case) -> None:
    model = normalised(draw_network(**case, seed=0, beta=0.8, threshold=0.3))
    again = build_model(read_model(model)[0])
    spikes = (torch.rand(5, 3, 1, 28, 28) < 0.3).float()
    with torch.no_grad():
        # In double precision no membrane comes within rounding of its threshold.
        ours, theirs = (network.double()(spikes, record="all") for network in (model, again))
    if not case["batch_norm"]:
        assert ours.scores.equal(theirs.scores)
    for one, other in zip(ours.layers, theirs.layers, strict=True):
        near = (one.membrane - one.threshold).abs().min() < 1e-5
        if near:  # folded weights are rounded to single precision
            break
        assert one.spikes.equal(other.spikes)
        torch.testing.assert_close(one.membrane, other.membrane, rtol=1e-4, atol=1e-5)
    assert again.config["readout"] == case["readout"]
    assert again.config["population"] == case["population"]


def test_beta_and_threshold_of_neurons_and_channels() -> None:
    model = LeakyConvNet(
        "3C5-4-2", beta=[[0.1, 0.2, 0.3], 0.5, 0.6], threshold=[1, [1, 2, 3, 4], 2]
    )
    first, second, last = read_model(model)[0].layers
    assert first.beta.tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert second.threshold.tolist() == [1, 2, 3, 4]
    assert last.beta.tolist() == pytest.approx([0.6, 0.6])
    assert build_model(read_model(model)[0]).config["beta"] == model.config["beta"]


def test_memory_of_arrays() -> None:
    model = LeakyMLP((3,), in_features=4, out_features=2)
    arrays = read_model(model)[0]
    before = arrays.layers[0].weight.copy()
    model.layers[0].linear.weight.data.zero_()
    assert (arrays.layers[0].weight == before).all()


def test_network_of_snntorch() -> None:
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 6, bias=False),
        snntorch.Leaky(beta=1.5, init_hidden=True),
        nn.Linear(6, 10),
        snntorch.Leaky(beta=0.9, init_hidden=True, output=True),
    )
    first, _ = read_model(accelerate(network))[0].layers
    assert first.bias.tolist() == [0] * 6
    assert first.beta.tolist() == [1] * 6  # snnTorch clamps it


def test_own_readout() -> None:
    model = LeakyMLP(
        (3,), in_features=4, out_features=2, readout=lambda spikes, membrane: membrane[-1]
    )
    with pytest.raises(ValueError, match=r"readouts mean_membrane, .*, and not <lambda>: train"):
        read_model(model)


LEAKY = {"beta": 0.9, "init_hidden": True}


def of_pictures(network: nn.Sequential) -> SpikingNetwork:
    """Return a network that knows the shape of its samples."""
    return accelerate(network, in_shape=(1, 28, 28))


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        ([nn.MaxPool2d(2), nn.Conv2d(1, 2, 3)], "begins with MaxPool2d"),
        ([nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.AvgPool2d(2)], "is a AvgPool2d"),
        ([nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2)], "pool squares side by side"),
        ([nn.Conv2d(1, 2, (3, 5))], "must be the same along height and width"),
        ([nn.Conv2d(1, 2, 3, dilation=2)], "groups, dilation or padding_mode"),
        ([nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)], "running statistics"),
    ],
)
def test_unsupported_layers(modules: list[nn.Module], complaint: str) -> None:
    output = [nn.Flatten(), nn.LazyLinear(10), snntorch.Leaky(**LEAKY, output=True)]
    network = nn.Sequential(*modules, snntorch.Leaky(**LEAKY), *output)
    network[:-4](torch.zeros(1, 1, 28, 28))
    network[-2] = nn.Linear(4, 10)
    with pytest.raises(ValueError, match=complaint):
        read_model(of_pictures(network))


def test_convolution_without_the_shape_of_a_sample() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 28), snntorch.Leaky(**LEAKY), nn.Flatten(), nn.Linear(2, 2)
    )
    network.append(snntorch.Leaky(**LEAKY, output=True))
    with pytest.raises(ValueError, match="needs the shape of a sample"):
        read_model(accelerate(network))
    assert read_model(of_pictures(network))[0].in_shape == (1, 28, 28)


def test_beta_within_a_channel() -> None:
    model = LeakyConvNet("2C5-10")
    model.network[0].leaky.beta = torch.rand(2, 24, 24)
    with pytest.raises(ValueError, match=r"beta of .* differs within a channel"):
        read_model(model)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize(
    "tensor", ["0.conv.weight", "0.norm.running_var", "0.leaky.beta", "1.leaky.threshold"]
)
def test_numbers_beyond_single_precision(tensor: str, bad: float, tmp_path: Path) -> None:
    model = LeakyConvNet("2C5-AP2-10", batch_norm=True, beta=[[0.9, 0.8], 0.9]).double()
    model.state_dict()[f"network.{tensor}"].view(-1)[0] = bad
    classifier = Classifier(model, "latency")
    for export in (to_c, partial(to_c, weights="int8"), to_onnx, to_nir, to_html):
        with pytest.raises(ValueError, match=f"{tensor} holds NaN or infinity"):
            export(classifier, tmp_path / "out")
    assert not list(tmp_path.iterdir())
