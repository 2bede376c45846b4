"""NIR: to it, from it, and what others make of it."""

from __future__ import annotations

import itertools
import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch.import_nir import import_from_nir

from spikemnist import Classifier, LeakyConvNet, LeakyMLP, load
from spikemnist._tensors import not_finite
from spikemnist.export import from_nir, to_nir
from tests.export.nir_equations import equations
from tests.export.replay import draw_network, normalised, samples_that_differ, watch
from tests.pairs import Case, named, pairs


def trained_with_zero_reset() -> Classifier:
    """Return a trained network in which a spike sets its membrane to zero."""
    model = load("mnist-mlp").network
    again = type(model)(**{**model.config, "reset_mechanism": "zero"})
    state = {k: v for k, v in model.state_dict().items() if "reset" not in k}
    again.load_state_dict(state, strict=False)
    return Classifier(again, "latency")


@pytest.mark.parametrize("dt", [1e-4, 1e-3])
def test_equations_of_nir(dt: float) -> None:
    model = draw_network("6C5-AP2-8C3s2p1-10", 0, batch_norm=True, reset_mechanism="zero")
    for classifier in (trained_with_zero_reset(), Classifier(normalised(model), "latency")):
        record = watch(classifier)
        signal = record.input.reshape(*record.input.shape[:2], *classifier.network.in_shape)
        trains = equations(to_nir(classifier, dt=dt), signal, dt)
        assert samples_that_differ(record, [train.numpy() for train in trains]) <= 1


def test_import_by_snntorch() -> None:
    classifier = trained_with_zero_reset()
    record = watch(classifier)
    network = import_from_nir(to_nir(classifier))
    steps, state = [], None
    with torch.no_grad():
        for step in record.input.flatten(2):
            out, state = network(step, state) if state is not None else network(step)
            steps.append(out)
    theirs = torch.stack(steps).numpy()
    ours = record.layers[-1].spikes.numpy()
    assert (theirs != ours).any((0, 2)).sum() <= 1


@pytest.mark.parametrize(
    "case",
    pairs(
        layers=["20", "6C5-AP2-8C3s2p1-12-10", "3C3-AP3-10"],
        reset_mechanism=["subtract", "zero", "none"],
        beta=[0.0, 0.5, 0.999, 1.0],
        readout=["mean_membrane", "spike_count"],
        population=[1, 3],
    ),
    ids=named,
)
def test_round_trip(case: Case) -> None:
    first = draw_network(**case, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reset
        again = from_nir(to_nir(first))
    spikes = (torch.rand(6, 2, 1, 28, 28) < 0.2).float()
    one, other = (network.eval()(spikes, record="all") for network in (first, again))
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        assert ours.spikes.equal(theirs.spikes)
        assert ours.membrane.equal(theirs.membrane)
    assert one.scores.equal(other.scores)
    for name in ("reset_mechanism", "readout", "population"):
        assert again.config[name] == case[name]


LEAKS = st.floats(2**-26, 1 - 2**-24, width=32) | st.just(0.0)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.filterwarnings("ignore:a layer has several betas")
@given(
    betas=st.lists(LEAKS, min_size=3, max_size=3) | st.just([1.0] * 3),
    weights=st.lists(NUMBERS, min_size=12, max_size=12),
    dt=st.floats(1e-6, 1.0),
)
def test_bits_of_the_round_trip(betas: list[float], weights: list[float], dt: float) -> None:
    model = LeakyMLP((), in_features=3, out_features=3, beta=[betas], reset_mechanism="zero")
    linear = model.layers[0].linear
    linear.weight.data = torch.tensor(weights[:9]).view(3, 3)
    linear.bias.data = torch.tensor(weights[9:])
    expected, actual = model.state_dict(), from_nir(to_nir(model, dt=dt)).state_dict()
    for name, value in expected.items():
        assert actual[name].expand_as(value).equal(value), name


def test_file_and_graph(tmp_path: Path) -> None:
    model = normalised(LeakyConvNet("4C5-AP2-10", batch_norm=True, reset_mechanism="zero"))
    spikes = (torch.rand(6, 20, 1, 28, 28) < 0.2).float()
    file = tmp_path / "model.nir"
    assert to_nir(model, str(file)) == file
    record = model(spikes, record="all")
    for source in (to_nir(model), to_nir(model, dt=np.float32(1e-4)), file, str(file)):
        again = from_nir(source)(spikes, record="all")
        theirs = [layer.spikes.detach().numpy() for layer in again.layers]
        assert samples_that_differ(record, theirs) <= 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.nir"]


def test_networks_beyond_nir() -> None:
    with pytest.warns(UserWarning, match="NIR cannot describe reset_mechanism='subtract'"):
        to_nir(LeakyMLP((3,), in_features=4, out_features=2))
    with pytest.warns(UserWarning, match="a layer has several betas: snnTorch takes one scale"):
        to_nir(LeakyMLP((2,), in_features=4, beta=[[0.9, 0.5], 0.9], reset_mechanism="zero"))
    with pytest.raises(ValueError, match=r"layer 1 has maximum pooling.*AP2 in place of P2"):
        to_nir(LeakyConvNet("4C5-P2-10", reset_mechanism="zero"))
    mixed = LeakyMLP(
        (2,), in_features=4, out_features=2, beta=[[1.0, 0.5], 0.9], reset_mechanism="zero"
    )
    with pytest.raises(ValueError, match="beta is 1 for some neurons of layer 1"):
        to_nir(mixed)
    with pytest.raises(ValueError, match="dt must be a number, above 0"):
        to_nir(mixed, dt=0)


def graph_of(*nodes: nir.NIRNode, features: int = 3) -> nir.NIRGraph:
    """Return a chain of nodes that may not fit, which nir checks only while it builds a graph."""
    first, last = {"input": np.array([features])}, {"output": np.array([2])}
    chain = nir.Input(first), *nodes, nir.Output(last)
    names = [f"{type(node).__name__.lower()}{place}" for place, node in enumerate(chain)]
    graph = nir.NIRGraph.from_list(nir.Input({"input": np.array([3])}), AFFINE, nir.Output(last))
    graph.nodes = dict(zip(names, chain, strict=True))
    graph.edges = list(itertools.pairwise(names))
    return graph


def lif(**changes: float) -> nir.LIF:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}
    return nir.LIF(**{k: np.full(2, v) for k, v in {**values, **changes}.items()})


AFFINE = nir.Affine(np.ones((2, 3)), np.zeros(2))


def test_graph_of_others() -> None:
    """A resistance becomes part of the weights; the timestep is the one that snnTorch assumes."""
    model = from_nir(graph_of(nir.Linear(np.ones((2, 3))), lif(r=20.0)))
    assert model.config["beta"] == pytest.approx(0.9)
    assert model.config["reset_mechanism"] == "zero"
    assert model.config["readout"] == "spike_count"
    assert model.layers[0].linear.weight.tolist() == [[2, 2, 2]] * 2
    whole = nir.IF(r=np.ones(2), v_threshold=np.ones(2))  # of Norse and Sinabs
    assert from_nir(graph_of(AFFINE, whole)).layers[0].linear.weight.tolist() == [[1, 1, 1]] * 2
    assert from_nir(graph_of(AFFINE, lif()), dt=5e-4).config["beta"] == pytest.approx(0.5)


def test_sum_pooling() -> None:
    torch.manual_seed(0)
    average = LeakyConvNet("3C5-AP2-10", reset_mechanism="zero", beta=0.8)
    graph = to_nir(average)
    pool = graph.nodes["pool_1"]
    summed = nir.SumPool2d(pool.kernel_size, pool.stride, pool.padding)
    graph.nodes["pool_1"] = summed
    graph.nodes["conv_1"].weight = graph.nodes["conv_1"].weight / 4
    graph.nodes["conv_1"].bias = graph.nodes["conv_1"].bias / 4
    spikes = (torch.rand(4, 3, 1, 28, 28) < 0.2).float()
    assert from_nir(graph)(spikes).membrane.equal(average.eval()(spikes).membrane)


Pool = tuple[type[nir.NIRNode], int]
AVERAGE, SUM, THIRD = (nir.AvgPool2d, 2), (nir.SumPool2d, 2), (nir.AvgPool2d, 3)


def nodes_of(*pools: Pool) -> list[nir.NIRNode]:
    sides = [np.array([side, side]) for _, side in pools]
    return [kind(side, side, 0 * side) for (kind, _), side in zip(pools, sides, strict=True)]


def convolutions(before: Sequence[Pool], behind: Sequence[Pool], padding: int = 0) -> nir.NIRGraph:
    """Return a chain with pools before the neurons of its first layer, and behind the first two."""
    draw = np.random.default_rng(0).normal

    def pooled(shape: tuple[int, ...], pools: Sequence[Pool]) -> tuple[int, ...]:
        for _, side in pools:
            shape = (shape[0], *(size // side for size in shape[1:]))
        return shape

    def neurons(shape: tuple[int, ...]) -> nir.LIF:
        full = {name: np.full(shape, value) for name, value in (("tau", 4e-4), ("r", 3.0))}
        return nir.LIF(**full, v_leak=np.zeros(shape), v_threshold=np.ones(shape))

    first = pooled((3, 36, 38), before)
    second = (4, *(size + 2 * padding - 2 for size in pooled(first, behind)[1:]))
    last = pooled(second, behind)
    chain = [
        nir.Input({"input": np.array([2, 38, 40])}),
        nir.Conv2d((38, 40), draw(0, 1, (3, 2, 3, 3)), 1, 0, 1, 1, draw(0, 1, 3)),
        *nodes_of(*before),
        neurons(first),
        *nodes_of(*behind),
        nir.Conv2d(None, draw(0, 1, (4, 3, 3, 3)), 1, padding, 1, 1, draw(0, 1, 4)),
        neurons(second),
        *nodes_of(*behind),
        nir.Flatten({"input": np.array(last)}, 0, -1),
        nir.Affine(draw(0, 1, (5, math.prod(last))), draw(0, 1, 5)),
        neurons((5,)),
        nir.Output({"output": np.array([5])}),
    ]
    names = [f"node{place}" for place in range(len(chain))]
    return nir.NIRGraph(dict(zip(names, chain, strict=True)), list(itertools.pairwise(names)))


@pytest.mark.parametrize(
    ("before", "behind", "padding", "layers"),
    [
        ([], [AVERAGE], 0, "3C3-4C6s2-5"),
        ([], [SUM], 1, "3C3-4C6s2p2-5"),
        ([], [THIRD], 0, "3C3-4C9s3-5"),
        ([SUM], [AVERAGE], 0, "3C3-AP2-4C6s2-5"),
        ([AVERAGE, SUM], [SUM], 0, "3C3-AP4-4C6s2-5"),
        ([], [AVERAGE, SUM], 0, "3C3-4C12s4-5"),
    ],
)
def test_pooling_before_and_behind_neurons(
    before: list[Pool], behind: list[Pool], padding: int, layers: str
) -> None:
    graph = convolutions(before, behind, padding)
    torch.manual_seed(0)
    spikes = (torch.rand(6, 5, 2, 38, 40) < 0.3).float()
    model = from_nir(graph)
    assert model.config["layers"] == layers
    with torch.no_grad():
        record = model(spikes, record="all")
    assert min(layer.spikes.sum() for layer in record.layers) > 10
    assert samples_that_differ(record, [x.numpy() for x in equations(graph, spikes)]) <= 1


def test_padding_of_what_a_pool_crops() -> None:
    with pytest.raises(ValueError, match="node4 pads what the pooling before it has cropped"):
        from_nir(convolutions([], [THIRD], 1))


def test_pooling_at_the_end() -> None:
    graph = convolutions([], [SUM])
    graph.edges = [*graph.edges[:6], ("node6", "node10")]
    graph.nodes = {name: graph.nodes[name] for name in (*dict(graph.edges), "node10")}
    with pytest.raises(ValueError, match="the graph does not end in neurons"):
        from_nir(graph)


def test_branches() -> None:
    graph = graph_of(AFFINE, lif())
    graph.edges.append(("lif2", "affine1"))
    with pytest.raises(ValueError, match="branches"):
        from_nir(graph)
    loop = graph_of(AFFINE, lif())
    loop.edges[-1] = ("lif2", "affine1")
    with pytest.raises(ValueError, match="outside the chain"):
        from_nir(loop)


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ((AFFINE, lif(), lif()), "lif3 is a LIF node where none is expected"),
        ((AFFINE, AFFINE, lif()), "affine2 is a Affine node where none is expected"),
        ((AFFINE,), "does not end in neurons"),
        ((AFFINE, lif(v_leak=0.5)), "a resting or reset voltage other than 0"),
        ((AFFINE, lif(tau=1e-5)), "time constant below the timestep of 0.0001 s"),
        ((AFFINE, nir.Delay(np.ones(2)), lif()), "delay2 is a Delay node"),
        ((nir.Affine(np.ones((2, 1)), np.zeros(2)), lif()), r"must be of shape \(2, 3\)"),
        ((nir.Affine(np.ones((2, 3)), np.zeros(1)), lif()), r"bias of affine1 .* \(2,\); got"),
        ((nir.Linear(np.ones((1, 3))), lif()), r"v_threshold of lif2 must be of shape \(1,\)"),
        (
            (AFFINE, *nodes_of(AVERAGE), lif()),
            "avgpool2d2 must follow a convolution or its neurons",
        ),
        (
            (AFFINE, lif(), *nodes_of(SUM), AFFINE, lif()),
            "sumpool2d3 must follow a convolution or its neu",
        ),
        ((nir.Conv2d(None, np.ones((2, 1, 3, 3)), 1, 0, 1, 1, np.zeros(2)), lif()), "convolve"),
        ((nir.Linear(np.full((2, 3), 1j)), lif()), "weight of linear1 must be finite real"),
        ((nir.Linear(np.full((2, 3), 1e300)), lif()), "exceeds the range of single precision"),
        ((nir.Linear(np.full((2, 3), 1e30)), lif(r=1e30)), "exceeds the range of single"),
        ((AFFINE, lif(r=np.inf)), "r of lif2 must be finite"),
        ((AFFINE, lif(tau=np.nan)), "tau of lif2 must be finite"),
    ],
)
def test_chains_that_do_not_fit(nodes: tuple[nir.NIRNode, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_nir(graph_of(*nodes))


def test_inputs_that_do_not_fit() -> None:
    for features in (10**15, -3):
        shape = rf"weight of affine1 must be of shape \(2, {features}\); got float64"
        with pytest.raises(ValueError, match=shape):
            from_nir(graph_of(AFFINE, lif(), features=features))


@pytest.mark.parametrize(
    ("node", "part", "value", "complaint"),
    [
        (
            "conv_1",
            "weight",
            np.ones((4, 2, 5, 5)),
            r"\(4, 1, 5, 5\); got float64 of shape \(4, 2, 5, 5\)",
        ),
        ("conv_1", "stride", 0, "stride of conv_1 must be .* an integer >= 1; got 0"),
        ("conv_1", "padding", -1, "padding of conv_1 must be .* an integer >= 0; got -1"),
        ("conv_1", "padding", 10**6, r"must be of shape \(4, 1000012, 1000012\)"),
        ("pool_1", "kernel_size", 0, "kernel_size of pool_1 must be .* an integer >= 1; got 0"),
    ],
)
def test_convolutions_that_do_not_fit(node: str, part: str, value: Any, complaint: str) -> None:
    graph = to_nir(LeakyConvNet("4C5-AP2-10", reset_mechanism="zero"))
    setattr(graph.nodes[node], part, value)
    with pytest.raises(ValueError, match=complaint):
        from_nir(graph)


@pytest.mark.parametrize("dt", [0, -1e-4, float("nan"), float("inf"), "1"])
def test_wrong_timesteps(dt: Any) -> None:
    graph = graph_of(AFFINE, lif())
    with pytest.raises(ValueError, match="dt must be a number, above 0 and finite; got"):
        from_nir(graph, dt=dt)
    graph.metadata = {"spikemnist": json.dumps({"dt": dt})}
    with pytest.raises(ValueError, match="dt must be a number, above 0 and finite; got"):
        from_nir(graph)


LINEAR = "node/nodes/linear_1"


def replaced(path: str, **options: Any) -> Callable[[h5py.File], None]:
    """Return a change of a file: another data set at a path."""

    def change(file: h5py.File) -> None:
        file.pop(path, None)
        file.create_dataset(path, **options)

    return change


def linked(target: Any) -> Callable[[h5py.File], None]:
    """Return a change of a file: a link in place of the weights."""

    def change(file: h5py.File) -> None:
        del file[f"{LINEAR}/weight"]
        file[f"{LINEAR}/weight"] = target

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 7), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "weight", (5, 7))
    del file[f"{LINEAR}/weight"]
    file.create_virtual_dataset(f"{LINEAR}/weight", layout)


METADATA = "node/metadata/spikemnist"
ELSEWHERE = "weight in .*/linear_1 has its data in another file"
SECRET = {"shape": (5, 7), "dtype": "f4", "external": [("secret.txt", 0, 140)]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (replaced(f"{LINEAR}/weight", **SECRET), ELSEWHERE),
        (virtual, ELSEWHERE),
        (linked(h5py.ExternalLink("o.h5", "/w")), ELSEWHERE),
        (linked(h5py.SoftLink("/node")), "RecursionError"),
        (replaced(f"{LINEAR}/type", data="Magic"), "linear_1 is of .* unknown to nir: Magic"),
        (replaced(f"{LINEAR}/extra", data=1), "unexpected keyword argument 'extra'"),
        (
            replaced(f"{LINEAR}/weight", data=np.full((5, 7), np.nan)),
            "weight of linear_1 must be fin",
        ),
        (replaced(METADATA, data="{"), "Expecting property name"),
        (replaced(METADATA, data="[]"), "'list' object has no attribute"),
        (replaced(METADATA, data='{"reset": ["zero"]}'), "1 resets for 2 layers"),
        (replaced(METADATA, data='{"readout": "x"}'), "readout"),
        (replaced("node", data=1), "AttributeError"),
    ],
)
def test_files_that_reach_elsewhere_or_make_no_sense(
    change: Callable[[h5py.File], None], complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.nir"
    to_nir(LeakyMLP((5,), in_features=7, out_features=3, reset_mechanism="zero"), path)
    (tmp_path / "secret.txt").write_bytes(bytes(140))
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=rf"model.nir is not a NIR graph.*{complaint}"):
        from_nir(path)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a sound file."""
    path = tmp_path_factory.mktemp("nir") / "model.nir"
    to_nir(LeakyConvNet("3C5-AP2-4-3", (1, 12, 12), reset_mechanism="zero"), path)
    return path.read_bytes()


STRANGE = [None, 0, -1, 2.5, 1e300, np.nan, 1j, 10**12, "IF", "{}", b"\xff", [], [[1, 2], [3, 4]]]


@given(number=st.integers(0), value=st.sampled_from(STRANGE))
def test_files_with_a_part_replaced(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, number: int, value: Any
) -> None:
    path = tmp_path_factory.mktemp("nir") / "model.nir"
    path.write_bytes(content)
    parts: list[str] = []
    with h5py.File(path, "r+") as file:
        file.visit(parts.append)
        part = parts[number % len(parts)]
        del file[part]
        if value is not None:
            file[part] = value
    refusal = ""
    try:
        assert not not_finite(from_nir(path).state_dict())
    except ValueError as error:
        refusal = str(error)
    assert not refusal or refusal.startswith(f"{path} is not a NIR graph that from_nir reads: ")


@pytest.mark.parametrize(
    ("part", "value"), [("edges", [("input", "nowhere")]), ("edges", None), ("metadata", None)]
)
def test_graphs_that_make_no_sense(part: str, value: Any) -> None:
    graph = to_nir(LeakyMLP((5,), in_features=7, out_features=3, reset_mechanism="zero"))
    setattr(graph, part, value)
    with pytest.raises(ValueError, match="this is not a NIR graph that from_nir reads"):
        from_nir(graph)


def test_no_file_and_no_graph(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.nir"
    with pytest.raises(FileNotFoundError, match="no file at"):
        from_nir(path)
    for other in (b"", b"no graph", content[:100], content[: len(content) // 2], content[:-1]):
        path.write_bytes(other)
        with pytest.raises(ValueError, match="is not a NIR graph"):
            from_nir(path)
