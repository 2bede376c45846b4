"""What was written comes back: one round trip for each kind of file and description.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import snntorch
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from snntorch import surrogate
from torch import Tensor, nn
from torch.nn.utils import prune

import spikemnist
from spikemnist import Classifier, LeakyConvNet, LeakyMLP, TrainConfig, accelerate, load, ops
from spikemnist.encoding import ENCODERS, LatencyEncoder, get_encoder
from spikemnist.models import READOUTS, Limits, files
from spikemnist.training import Recipe, recipes
from tests.encoding.encoder_cases import latency_encoders, rate_encoders
from tests.models.stepped_network import STEPPED
from tests.models.stepped_network import same as same_record
from tests.training.small_runs import Wrapped, new_network, run, same, weights
from tests.training.test_recipes import THERE

SPIKES = (torch.rand(6, 3, 1, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.4).float()
"""Spikes ``[T, B, 1, 6, 6]``."""

SHAPES: list[tuple[type[LeakyMLP] | type[LeakyConvNet], dict[str, Any], tuple[int, ...]]] = [
    (LeakyMLP, {"in_features": 36, "hidden": (), "out_features": 4}, (4,)),
    (LeakyMLP, {"in_features": 36, "hidden": (9, 7), "out_features": 4}, (9, 7, 4)),
    (LeakyConvNet, {"layers": "3C3-P2-7-4", "in_shape": (1, 6, 6)}, (3, 7, 4)),
    (LeakyConvNet, {"layers": "3C3s2p1-AP2-4", "in_shape": (1, 6, 6)}, (3, 4)),
]
"""Kinds of networks, their own options, and neurons or channels of each layer."""

SURROGATES = [*sorted(ops.SURROGATES), ops.SparseFastSigmoid(5.0, -0.5), surrogate.sigmoid(slope=7)]
SHARES = st.sampled_from([0.0, 0.25])
RANGES = st.tuples(st.floats(0, 9), st.floats(9, 99))


def per_layer(values: st.SearchStrategy[float], widths: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Draw one number, or for each layer one number or one of each neuron."""
    lists = [values | st.lists(values, min_size=width, max_size=width) for width in widths]
    return values | st.tuples(*lists).map(list)


@st.composite
def networks(draw: st.DrawFn) -> LeakyMLP | LeakyConvNet:
    """Draw a network with any options, and neurons as training may leave them."""
    kind, own, widths = draw(st.sampled_from(SHAPES))
    population = draw(st.sampled_from([1, 3]))
    widths = (*widths[:-1], population * widths[-1])
    options = {
        "beta": per_layer(st.floats(0, 1), widths),
        "threshold": per_layer(st.floats(0.125, 9), widths),
        "spike_grad": st.sampled_from(SURROGATES),
        "reset_mechanism": st.sampled_from(["subtract", "zero", "none"]),
        "readout": st.sampled_from([*READOUTS]),
        "backend": st.sampled_from(["auto", "reference", *STEPPED]),
        "batch_norm": st.booleans(),
        "learn_beta": st.booleans(),
        "learn_threshold": st.booleans(),
        "dropout": SHARES,
        "input_dropout": SHARES,
    }
    chosen = draw(st.fixed_dictionaries({}, optional=options))
    network = kind(**own, **chosen, population=population, seed=0)
    # A start value lies in a range; the optimiser knows of none.
    for layer in network.layers:
        for name, values in layer.leaky.named_parameters():
            values.data.fill_(draw(st.sampled_from([1.25, -0.125, 0.5]), name))
    for name, statistics in network.named_buffers():
        if "running" in name:
            statistics.fill_(0.25)
    network.to(draw(st.sampled_from([torch.float32, torch.float64, torch.bfloat16])))
    if draw(st.booleans(), "mixed dtypes"):
        network.layers[-1].leaky.double()
    return network


EQUAL = {"beta": [[0.5] * 9, 0.5, [0.5]], "threshold": [1.0, [2.0], [2.0]]}
"""Equal numbers for each neuron, and layers of one neuron."""


@example(LeakyMLP((9, 1), in_features=36, out_features=1, **EQUAL), LatencyEncoder(6), (), Limits())
@given(
    networks(),
    rate_encoders() | latency_encoders() | st.sampled_from([*ENCODERS]).map(get_encoder),
    st.sampled_from([(), ("a", "b", "größer als", "Ω")]),
    st.builds(Limits, margin=st.floats(0, 1), hidden_spikes=st.lists(RANGES).map(tuple)),
)
def test_networks(
    tmp_path_factory: pytest.TempPathFactory,
    network: Any,
    encoder: Any,
    classes: tuple[str, ...],
    limits: Limits,
) -> None:
    path = tmp_path_factory.getbasetemp() / "new" / "folder" / "größe 1.safetensors"
    classifier = Classifier(network, encoder, classes)
    classifier.limits = limits
    assert classifier.save(path) == path
    assert safetensors.torch.load_file(path).keys() == network.state_dict().keys()
    neurons = len(snntorch.SpikingNeuron.instances)
    loaded = load(path)
    assert len(snntorch.SpikingNeuron.instances) == neurons
    assert type(loaded.network) is type(network)
    assert loaded.network.config == network.config
    assert (loaded.encoder, loaded.classes, loaded.limits) == (encoder, classes, limits)
    assert same(weights(loaded), weights(classifier))
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.training
    assert loaded.save(path.with_name("again")).read_bytes() == path.read_bytes()
    expected, record = network.eval()(SPIKES), loaded.network(SPIKES)
    assert same_record(record, expected)
    assert record.backend == expected.backend


def test_description_of_a_network(tmp_path: Path) -> None:
    network = LeakyMLP(
        (9,), in_features=12, out_features=2, beta=0.9, dropout=0.25, spike_grad="sigmoid"
    )
    path = Classifier(network, LatencyEncoder(num_steps=6), tuple("ab")).save(tmp_path / "file")
    with safetensors.safe_open(path, "pt") as file:
        description = json.loads(file.metadata()["spikemnist"])
    names = ["sha256", "format", "version", "network", "encoder", "classes", "limits"]
    assert list(description) == names
    assert description["version"] == spikemnist.__version__
    assert description["classes"] == ["a", "b"]
    assert get_encoder(**description["encoder"]) == LatencyEncoder(num_steps=6)
    spike_grad = {"name": "sigmoid", "slope": 25.0}
    assert description["network"].pop("spike_grad") == spike_grad
    options = {"name": "mlp", "in_features": 12, "hidden": [9], "beta": 0.9, "dropout": 0.25}
    assert description["network"].items() > options.items()


@dataclass(frozen=True)
class Code:
    """An encoder of a user's own, which is not registered."""

    num_steps: int = 4

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        return images.gt(100).float().expand(self.num_steps, *images.shape)


def last_membrane(spikes: Tensor, membrane: Tensor) -> Tensor:
    return membrane[-1]


def of_snntorch(seed: int) -> nn.Module:
    """Two of its layers share their weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shared = nn.Linear(10, 10)
        layers = [nn.Flatten(), nn.Linear(784, 10), shared, shared]
    neurons = [snntorch.Leaky(beta=0.9, threshold=0.3) for _ in layers[1:]]
    stages = [module for pair in zip(layers[1:], neurons, strict=True) for module in pair]
    return accelerate(nn.Sequential(layers[0], *stages))


OWN: dict[str, Callable[[int], Classifier]] = {
    f"{Wrapped.__module__}.Wrapped": lambda seed: Classifier(Wrapped(new_network(seed)), "latency"),
    f"{__name__}.Code": lambda seed: Classifier(new_network(seed), Code()),
    f"{__name__}.last_membrane": lambda seed: Classifier(
        new_network(seed, readout=last_membrane), "latency"
    ),
    "torch.nn.modules.container.Sequential": lambda seed: Classifier(of_snntorch(seed), "latency"),
}


@pytest.mark.usefixtures("neurons")
@pytest.mark.parametrize("name", OWN)
def test_weights_of_a_users_own_parts(name: str, tmp_path: Path) -> None:
    """The file names what it holds no code of, and how its weights come back."""
    classifier, images = OWN[name](0), torch.arange(784 * 3).view(3, 28, 28) % 251 / 255
    classifier.limits = Limits(margin=0.25, hidden_spikes=((1.0, 2.0),))
    path = classifier.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"{name}, but no code: .* call its load_weights\("):
        load(path)
    for source in (path, str(tmp_path)):
        other = OWN[name](1)
        assert other.load_weights(source) is other
        assert other.limits == classifier.limits
        assert same_record(other(images), classifier(images))


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = Classifier(new_network(), "latency").save(tmp_path / "model.safetensors")
    classifiers = [
        Classifier(new_network(1, hidden=(16, 16)), "latency"),
        Classifier(new_network(1, hidden=17), "latency"),
        Classifier(new_network(1).double(), "latency"),
        Classifier(Wrapped(new_network(1)), "latency"),
    ]
    for classifier in classifiers:
        before = weights(classifier)
        with pytest.raises(ValueError, match=rf"{path.name} does not fit the network: .*network\."):
            classifier.load_weights(path)
        with pytest.raises(FileNotFoundError, match="nowhere"):
            classifier.load_weights(tmp_path / "nowhere")
        assert same(weights(classifier), before)


def convolution(
    seed: int = 0, *, stride: int = 1, dropout: float = 0.5, beta: float = 0.9, **options: Any
) -> nn.Module:
    """Return an accelerated network whose weights fit any geometry."""
    first, last = (snntorch.Leaky(beta=beta, threshold=0.3) for _ in range(2))
    layers = nn.Conv2d(1, 2, 5, stride), first, nn.Dropout(dropout), nn.AdaptiveAvgPool2d(2)
    return accelerate(nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 10), last), **options)


def conv(seed: int = 0, layers: str = "2C3-P2-10", **options: Any) -> LeakyConvNet:
    return LeakyConvNet(layers, seed=seed, **options)


@pytest.mark.usefixtures("neurons")
@pytest.mark.parametrize(
    ("make", "changes", "encoder", "message"),
    [
        (new_network, {"reset_mechanism": "zero"}, "latency", "network.reset_mechanism was 'subtr"),
        (new_network, {"readout": "spike_count"}, "latency", "network.readout was 'mean_membr"),
        (new_network, {}, "rate", "encoder.name was 'latency', is 'rate'"),
        (convolution, {"readout": "spike_count"}, "latency", "network.readout was 'mean_membrane'"),
        (convolution, {"population": 2}, "latency", "network.population was 1, is 2"),
        (convolution, {"stride": 2}, "latency", r"network.0.options was .* stride=\(1, 1\)'"),
        (conv, {"layers": "2C3-AP2-10"}, "latency", "network.layers was '2C3-P2-10', is '2C3-AP"),
    ],
)
def test_weights_that_mean_something_else(
    make: Any, changes: Any, encoder: Any, message: str, tmp_path: Path
) -> None:
    path = Classifier(make(), "latency").save(tmp_path / "model.safetensors")
    with pytest.warns(UserWarning, match=f"learned with other settings: {message}"):
        Classifier(make(1, **changes), encoder).load_weights(path)
    free = make(1, dropout=0.1, beta=0.5, backend="reference")
    Classifier(free, "latency").load_weights(path)


@pytest.mark.parametrize(
    ("saved", "own", "expected"),
    [("abc", "", "abc"), ("abc", "abc", "abc"), ("", "abc", "abc"), ("abc", "cab", None)],
)
def test_classes_of_weights(saved: str, own: str, expected: str | None, tmp_path: Path) -> None:
    one, other = (
        Classifier(new_network(out_features=3), "latency", tuple(c)) for c in (saved, own)
    )
    path = one.save(tmp_path / "model.safetensors")
    if expected is None:
        message = "has the classes a, b, c, and the classifier c, a, b: build it with those of"
        with pytest.raises(ValueError, match=message):
            other.load_weights(path)
    else:
        assert other.load_weights(path).classes == tuple(expected)


def test_a_pruned_network_is_saved_as_it_predicts(tmp_path: Path) -> None:
    classifier = Classifier(new_network(), "latency").eval()
    linear = classifier.network.layers[0].linear
    prune.random_unstructured(linear, "weight", 0.5)
    with torch.no_grad():
        linear.weight_orig.mul_(1.5)  # as an optimiser's step, after the last call
    images = torch.rand(3, 784)
    loaded = load(classifier.save(tmp_path / "model.safetensors"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the slower reference runs this network")
        expected = classifier(images)
    torch.testing.assert_close(loaded(images).membrane, expected.membrane)
    assert loaded.network.layers[0].linear.weight.eq(0).float().mean() == 0.5


def test_weights_of_a_file_without_limits(tmp_path: Path) -> None:
    one, other = Classifier(new_network(), "latency"), Classifier(new_network(1), "latency")
    description = files.describe_classifier(one.network, one.encoder, ())
    path, before = (
        files.write_classifier(tmp_path / "a.safetensors", one.network, description),
        weights(other),
    )
    with pytest.raises(ValueError, match=r"a.safetensors .*'limits' is missing"):
        other.load_weights(path)
    assert same(weights(other), before)


@dataclass(frozen=True)
class Cosine(ops.Surrogate):
    scale: float = 1.0

    def derivative_(self, x: Tensor) -> Tensor:
        return x.mul_(self.scale).cos_()


def tangent(x: Tensor) -> Tensor:
    return Cosine()(x)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize("backend", ["auto", *STEPPED])
@pytest.mark.parametrize(
    ("own", "printed"), [(Cosine(2.0), r"Cosine\(scale=2.0\)"), (tangent, "tangent")]
)
def test_a_surrogate_of_a_users_own(tmp_path: Path, own: Any, printed: str, backend: Any) -> None:
    """The network predicts the same, and learns again with the surrogate that its error names."""
    network = LeakyMLP(
        (9, 7), in_features=36, out_features=4, spike_grad=own, backend=backend, seed=0
    )
    expected = network.eval()(SPIKES)
    loaded = load(Classifier(network, "latency").save(tmp_path / "file"))
    for again in (loaded, load(loaded.save(tmp_path / "again"))):
        record = again.network(SPIKES)
        assert same_record(record, expected)
        assert record.backend == expected.backend
        with pytest.raises(RuntimeError, match=f"test_round_trips.{printed}.*To train it again"):
            record.scores.sum().backward()
    for layer in loaded.network.layers:
        layer.leaky.spike_grad = own
    loaded.zero_grad()
    loaded.network(SPIKES).scores.sum().backward()
    expected.scores.sum().backward()
    for ours, theirs in zip(loaded.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert loaded.network.config == network.config


EVERYTHING = Recipe(
    network={"name": "conv", "layers": "2C3-3", "beta": (0.9, 0.8), "dropout": 0.25},
    encoder={"name": "latency", "num_steps": 4, "tau": 2.0},
    sample=(1, 8, 8),
    classes=("a", "größer als", "Ω"),
    config=TrainConfig(
        epochs=3,
        lr=1e-9,
        schedule="constant",
        clip_norm=None,
        truncate=2,
        patience=1,
        augment=("affine", "erase"),
        initial_rate=0.1,
        seed=2**63 - 1,
    ),
)


@pytest.mark.parametrize("recipe", [*recipes.values(), EVERYTHING])
def test_recipes(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("name", THERE)
def test_recipe_of_its_classifier(name: tuple[str, str]) -> None:
    """It has all options of the network, and builds the same one."""
    recipe = recipes[name]
    whole = Recipe.of(recipe.classifier(), recipe.config, recipe.sample)
    assert replace(whole, network=recipe.network, encoder=recipe.encoder) == recipe
    classifier = whole.classifier(seed=3)
    assert Recipe.of(classifier, recipe.config, recipe.sample) == whole
    assert same(weights(classifier), weights(recipe.classifier(seed=3)))


def test_history_of_a_run(tmp_path: Path) -> None:
    """Read from its checkpoint, with the times and the device."""
    settings = {"epochs": 3, "patience": 1, "lr": 1e-12}
    history = run(tmp_path, Classifier(new_network(), "latency"), **settings)
    assert history.stopped_early
    resumed = run(tmp_path, Classifier(new_network(1), "latency"), resume=True, **settings)
    assert resumed == history
