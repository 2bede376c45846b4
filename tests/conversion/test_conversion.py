"""A trained ANN as a spiking network: rates, weights, refusals, results.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from spikemnist import Classifier, DirectEncoder, load, load_digits
from spikemnist.data import ImageDataset
from spikemnist.models import accelerate, convert
from tests.models.stepped_network import BACKENDS
from tests.strategies import SEEDS


def pictures(number: int = 20, side: int = 8, seed: int = 0) -> Tensor:
    return torch.rand(number, 1, side, side, generator=torch.Generator().manual_seed(seed))


def mlp(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 30), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(30, 5)
    ).to(dtype)


def conv(pooling: type[nn.Module] = nn.AvgPool2d) -> nn.Sequential:
    """Return a network with normalisation in front, nested, and with pooling before a ReLU."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), pooling(2), nn.ReLU())
    last = nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.BatchNorm1d(8), nn.ReLU())
    ann = nn.Sequential(
        nn.BatchNorm2d(1), first, pooling(2), nn.Dropout2d(), second, last, nn.Linear(8, 5)
    )
    for seed in range(10):  # so that running statistics and weights are no defaults
        ann(pictures(seed=seed))
    for norm in (module for module in ann.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return ann


def logits(ann: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(ann).eval()(images)  # type: ignore[no-any-return]


@given(SEEDS, st.integers(1, 40), st.sampled_from([80.0, 99.9, 100.0]))
def test_rates_are_clipped_activations(seed: int, steps: int, percentile: float) -> None:
    ann, images = mlp(seed, torch.float64), pictures(seed=seed)
    conversion = convert(ann, images, num_steps=steps, percentile=percentile)
    record = conversion.classifier(images, record="all")
    activations = ann[1](images.double().flatten(1)) / conversion.scales["hidden 1"]
    actual = record.layers[0].spikes.double().mean(0)
    difference = (actual - activations.clamp(0, 1)).abs()
    assert difference.max() <= 0.5 / steps + 1e-5


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_mean_membranes_are_logits(steps: int) -> None:
    """Half a spike is the largest error of a rate, and each weight passes it on."""
    ann, images = mlp(), pictures()
    conversion = convert(ann, images, num_steps=steps, percentile=100)
    difference = conversion.classifier(images).scores - logits(ann, images)
    share = conversion.scales["hidden 1"] * 0.5 / steps
    assert (difference.abs() <= share * ann[4].weight.abs().sum(1) + 1e-5).all()


@pytest.mark.parametrize("pooling", [nn.AvgPool2d, nn.MaxPool2d])
def test_error_of_a_deep_network_falls(pooling: type[nn.Module]) -> None:
    ann, images = conv(pooling), pictures(40)
    errors = [convert(ann, images, num_steps=steps, percentile=100).errors for steps in (16, 1024)]
    assert errors[0].keys() == errors[1].keys()
    assert max(errors[1].values()) < 0.1
    assert errors[1]["output"] < errors[0]["output"] / 4


@pytest.mark.parametrize("pooling", [nn.AvgPool2d, nn.MaxPool2d])
def test_the_copy_is_the_ann_in_evaluation_mode(pooling: type[nn.Module]) -> None:
    ann, signal = conv(pooling), pictures()
    for layer in convert(ann, signal).ann:
        signal = layer(signal)
    torch.testing.assert_close(signal, logits(ann, pictures()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pooling", [nn.MaxPool2d(3, 1), nn.AdaptiveMaxPool2d(4)])
def test_maximum_in_front_of_the_first_neurons(pooling: nn.Module) -> None:
    """The maximum of currents that do not change needs no neurons of its own."""
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), pooling, nn.Flatten(), nn.Linear(64, 5))
    conversion = convert(ann, pictures(), num_steps=500, percentile=100)
    assert conversion.classifier.network.sizes == {"hidden 1": 64, "output": 5}
    assert conversion.errors["output"] < 0.01


def test_the_ann_stays_as_it_is() -> None:
    ann = conv(nn.MaxPool2d)
    before = copy.deepcopy(ann.state_dict())
    conversion = convert(ann, pictures())
    assert all(torch.equal(before[name], value) for name, value in ann.state_dict().items())
    assert all(module.training and not module._forward_hooks for module in ann.modules())
    own = {id(parameter) for parameter in conversion.classifier.parameters()}
    assert not own & {id(parameter) for parameter in ann.parameters()}


def test_nothing_is_random() -> None:
    ann, before = conv(nn.MaxPool2d), torch.get_rng_state()
    first, second = (convert(ann, pictures()).classifier.state_dict() for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pooling", [nn.AvgPool2d, nn.MaxPool2d])
def test_every_backend(backend: Any, pooling: type[nn.Module]) -> None:
    conversion = convert(conv(pooling), pictures(), num_steps=20)
    network = conversion.classifier.network
    assert network.stepping_reason is None
    expected = conversion.classifier(pictures())
    network = accelerate(network.network, in_shape=(1, 8, 8), backend=backend)
    actual = Classifier(network, DirectEncoder(20))(pictures())
    assert actual.backend == backend
    torch.testing.assert_close(actual.scores, expected.scores, rtol=1e-3, atol=0.05)


def head(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), *modules, nn.Linear(9, 5))


class Own(nn.Sequential):
    """A network whose forward calls functions."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.relu(super().forward(images))


def hooked(ann: nn.Module) -> nn.Module:
    ann.register_forward_pre_hook(lambda _, inputs: (inputs[0] / 2,))
    return ann


def with_forward(ann: nn.Module) -> nn.Module:
    ann.forward = lambda images: nn.Sequential.forward(ann, images / 2)  # type: ignore[arg-type]
    return ann


def filled(ann: nn.Sequential, value: float) -> nn.Module:
    ann[1].weight.data[0, 0] = value  # type: ignore[union-attr, index]
    return ann


CONVOLUTION = (nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(3, 3, 2), nn.ReLU())
PRUNED = prune.l1_unstructured(nn.Linear(9, 9), "weight", 0.5)
NORMED = parametrizations.weight_norm(nn.Linear(9, 9))
WRONG: dict[str, tuple[nn.Module, str]] = {
    "sigmoid": (head(nn.Sigmoid()), r"ann\[2\] is Sigmoid, and convert takes ReLU, Flatten"),
    "leaky": (head(nn.LeakyReLU()), r"ann\[2\] is LeakyReLU, .* train the ANN with these"),
    "nested": (nn.Sequential(head(nn.Tanh())), r"ann\[0\]\[2\] is Tanh"),
    "softmax inside": (head(nn.Softmax(1)), r"ann\[2\] is Softmax"),
    "softmax over the batch": (head().append(nn.Softmax(0)), r"ann\[3\] is Softmax"),
    "hook of the whole": (hooked(head()), "ann is Sequential, .* without hooks or"),
    "hook of a part": (nn.Sequential(hooked(head())), r"ann\[0\] is Sequential, .* without hooks"),
    "forward of the instance": (with_forward(head()), "ann is Sequential, .* without hooks or"),
    "NaN": (filled(head(), math.nan), r"the ANN has NaN or infinity in 1.weight: train it again"),
    "infinity": (filled(head(), math.inf), r"the ANN has NaN or infinity in 1.weight"),
    "own forward": (Own(nn.Linear(64, 5)), "Own has a forward of its own: put its modules"),
    "activations": (head()[:2].append(nn.ReLU()), "must end in logits"),
    "normalised spikes": (head(nn.ReLU(), nn.BatchNorm1d(9)), r"ann\[3\] is BatchNorm1d, whose"),
    "no statistics": (head(nn.BatchNorm1d(9, track_running_stats=False)), r"ann\[2\] is BatchN"),
    "window": (nn.Sequential(*CONVOLUTION, nn.MaxPool2d(3)), r"ann\[5\] is MaxPool2d, and the max"),
    "pool of a pool": (
        nn.Sequential(*CONVOLUTION, nn.AvgPool2d(2), nn.MaxPool2d(2)),
        r"ann\[6\] is MaxPool2d.*, or nn.AvgPool2d",
    ),
    "pruned": (head(PRUNED), r"ann\[2\] is Linear, .* without hooks.*prune.remove"),
    "parametrized": (head(NORMED), r"ann\[2\] is ParametrizedLinear, .* parametr"),
    "lazy": (
        nn.Sequential(nn.Flatten(), nn.LazyLinear(5)),
        r"ann\[1\] is LazyLinear, and convert takes",
    ),
    "silent": (head(nn.ReLU())[:2].append(nn.ReLU()).append(nn.Linear(9, 5)), "of hidden 1 are 0"),
}
nn.init.constant_(WRONG["silent"][0][1].bias, -100.0)  # type: ignore[index]


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_converted(case: str) -> None:
    ann, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        convert(ann, pictures())


def test_wrong_arguments() -> None:
    with pytest.raises(
        ValueError, match=r"percentile must be a number, above 0 and at most 100; got 0"
    ):
        convert(mlp(), pictures(), percentile=0)
    with pytest.raises(ValueError, match="num_steps must be"):
        convert(mlp(), pictures(), num_steps=0)
    with pytest.raises(TypeError, match=r"images must be a torch.Tensor"):
        convert(mlp(), pictures().numpy())
    with pytest.raises(ValueError, match="images are empty"):
        convert(mlp(), pictures(0))
    with pytest.raises(ValueError, match="Undo the normalisation"):
        convert(mlp(), pictures() - 0.5)


def test_what_changes_nothing_is_left_out() -> None:
    ann = nn.Sequential(
        nn.ReLU(), nn.Identity(), *head(nn.ReLU(), nn.Identity(), nn.ReLU()), nn.LogSoftmax(1)
    )
    conversion = convert(ann, pictures(), num_steps=500, percentile=100)
    assert conversion.classifier.network.sizes == {"hidden 1": 9, "output": 5}
    torch.testing.assert_close(
        conversion.classifier(pictures()).scores, logits(ann[:-1], pictures()), rtol=0, atol=0.02
    )


def test_labels_or_agreement() -> None:
    ann, images = mlp(), pictures()
    classes = logits(ann, images).argmax(1)
    agreement = convert(ann, images)
    labelled = agreement.compare(ImageDataset(images, (classes + 1) % 5))
    assert agreement.ann_accuracy == 1.0
    assert agreement.accuracy_per_step[-1] > 0.9
    assert labelled.ann_accuracy == 0.0
    assert labelled.classifier is agreement.classifier
    assert "agreement on 20 images" in repr(agreement)
    assert "accuracy on 20 images" in repr(labelled)
    assert "<td>T = 32</td>" in labelled._repr_html_()


@pytest.mark.parametrize("layer", [1, 4])
def test_error_of_large_weights(layer: int) -> None:
    ann = mlp()
    before = convert(ann, pictures(), num_steps=16).errors
    for parameter in ann[layer].parameters():
        parameter.data *= 1e30
    assert convert(ann, pictures(), num_steps=16).errors == pytest.approx(before, rel=0.1)


def test_trained_digits(tmp_path: Path) -> None:
    train, test = load_digits()
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.Adam(ann.parameters(), lr=3e-3)
    for seed in range(2):
        for images, labels in train.batches(100, seed=seed):
            optimizer.zero_grad()
            nn.functional.cross_entropy(ann(images / 255), labels).backward()
            optimizer.step()
    conversion = convert(ann, train[:500], num_steps=64).compare(test)
    assert conversion.ann_accuracy > 0.85
    assert abs(conversion.accuracy_per_step[-1] - conversion.ann_accuracy) < 0.005
    file = conversion.classifier.save(tmp_path / "converted.safetensors")
    with pytest.raises(ValueError, match="build the classifier, and call its load_weights"):
        load(file)
    other = convert(copy.deepcopy(ann), test[:20], num_steps=64).classifier.load_weights(file)
    assert torch.equal(other.predict(test), conversion.classifier.predict(test))
