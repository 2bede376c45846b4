"""NIR: to it, from it, and what others make of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import nir
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch.import_nir import import_from_nir

from spikemnist import Classifier, LeakyConvNet, LeakyMLP, load
from spikemnist.export import from_nir, to_nir
from tests.export.nir_equations import equations
from tests.export.replay import draw_network, samples_that_differ, watch
from tests.export.test_arrays import normalised

if TYPE_CHECKING:
    from pathlib import Path


def trained_with_zero_reset() -> Classifier:
    """Return a trained network in which a spike sets its membrane to zero."""
    model = load("mnist-mlp").network
    again = type(model)(**{**model.config, "reset_mechanism": "zero"})
    state = {k: v for k, v in model.state_dict().items() if "reset" not in k}
    again.load_state_dict(state, strict=False)
    return Classifier(again, "latency")


def test_the_equations_of_nir_fire_the_same_spikes() -> None:
    classifier = trained_with_zero_reset()
    record = watch(classifier)
    spikes = record.input.flatten(2)
    for dt in (1e-4, 1e-3):
        trains = equations(to_nir(classifier, dt=dt), spikes, dt)
        assert samples_that_differ(record, [train.numpy() for train in trains]) <= 1


def test_the_equations_of_a_convolution_fire_the_same_spikes() -> None:
    model = draw_network("6C5-AP2-8C3s2p1-10", 0, batch_norm=True, reset_mechanism="zero")
    record = watch(Classifier(normalised(model), "latency"))
    trains = equations(to_nir(model), record.input)
    assert samples_that_differ(record, [train.numpy() for train in trains]) <= 1


def test_snntorch_reads_it_and_fires_the_same_spikes() -> None:
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


@given(
    model=st.sampled_from(["20", "6C5-AP2-8C3s2p1-12-10", "3C3-AP3-10"]),
    reset=st.sampled_from(["subtract", "zero", "none"]),
    beta=st.sampled_from([0.0, 0.5, 0.999, 1.0]),
    readout=st.sampled_from(["mean_membrane", "spike_count"]),
    seed=st.integers(0, 99),
)
def test_round_trip(model: str, reset: str, beta: float, readout: str, seed: int) -> None:
    first = draw_network(model, seed, reset_mechanism=reset, beta=beta, readout=readout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the reset
        again = from_nir(to_nir(first))
    spikes = (torch.rand(6, 2, 1, 28, 28) < 0.2).float()
    one, other = (network.eval()(spikes, record="all") for network in (first, again))
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        assert ours.spikes.equal(theirs.spikes)
        assert ours.membrane.equal(theirs.membrane)
    assert again.config["reset_mechanism"] == reset
    assert again.config["readout"] == readout


def test_a_file_is_what_the_graph_is(tmp_path: Path) -> None:
    model = normalised(LeakyConvNet("4C5-AP2-10", batch_norm=True, reset_mechanism="zero"))
    spikes = (torch.rand(6, 20, 1, 28, 28) < 0.2).float()
    file = tmp_path / "model.nir"
    graph = to_nir(model, file)
    record = model(spikes, record="all")
    for source in (graph, file, str(file)):
        again = from_nir(source)(spikes, record="all")
        theirs = [layer.spikes.detach().numpy() for layer in again.layers]
        assert samples_that_differ(record, theirs) <= 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.nir"]


def test_networks_that_nir_cannot_describe() -> None:
    with pytest.warns(UserWarning, match="NIR cannot describe reset_mechanism='subtract'"):
        to_nir(LeakyMLP(4, (3,), 2))
    with pytest.raises(ValueError, match=r"layer 1 has maximum pooling.*AP2 in place of P2"):
        to_nir(LeakyConvNet("4C5-P2-10", reset_mechanism="zero"))
    mixed = LeakyMLP(4, (2,), 2, beta=[[1.0, 0.5], 0.9], reset_mechanism="zero")
    with pytest.raises(ValueError, match="beta is 1 for some neurons of layer 1"):
        to_nir(mixed)
    with pytest.raises(ValueError, match="dt must be a positive number"):
        to_nir(mixed, dt=0)


def graph_of(*nodes: nir.NIRNode, features: int = 3) -> nir.NIRGraph:
    shape = {"input": np.array([features])}
    last = {"output": np.array([2])}
    return nir.NIRGraph.from_list(nir.Input(shape), *nodes, nir.Output(last))


def lif(**changes: float) -> nir.LIF:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0}
    return nir.LIF(**{k: np.full(2, v) for k, v in {**values, **changes}.items()})


AFFINE = nir.Affine(np.ones((2, 3)), np.zeros(2))


def test_a_graph_of_others_is_read() -> None:
    """A resistance becomes part of the weights; the timestep is the one that snnTorch assumes."""
    model = from_nir(graph_of(nir.Linear(np.ones((2, 3))), lif(r=20.0)))
    assert model.config["beta"] == pytest.approx([0.9])
    assert model.config["reset_mechanism"] == "zero"
    assert model.config["readout"] == "spike_count"
    assert model.layers[0].linear.weight.tolist() == [[2, 2, 2]] * 2
    assert from_nir(graph_of(AFFINE, lif()), dt=5e-4).config["beta"] == pytest.approx([0.5])


def test_sum_pooling_is_average_pooling_of_larger_weights() -> None:
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


@pytest.mark.parametrize(
    ("nodes", "complaint"),
    [
        ((AFFINE, lif(), lif()), "lif_1 is a LIF node where none is expected"),
        (
            (AFFINE, nir.Affine(np.ones((2, 2)), np.zeros(2)), lif()),
            "affine_1 is a Affine node where none is expected",
        ),
        ((AFFINE,), "does not end in neurons"),
        ((AFFINE, lif(v_leak=0.5)), "a resting or reset voltage other than 0"),
        ((AFFINE, lif(tau=1e-5)), "time constant below the timestep of 0.0001 s"),
        ((AFFINE, nir.Delay(np.ones(2)), lif()), "delay is a Delay node"),
    ],
)
def test_other_graphs_are_refused(nodes: tuple[nir.NIRNode, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_nir(graph_of(*nodes))


def test_a_graph_that_branches_is_refused() -> None:
    graph = graph_of(AFFINE, lif())
    graph.edges.append(("lif", "affine"))
    with pytest.raises(ValueError, match="branches"):
        from_nir(graph)
    loop = graph_of(AFFINE, lif())
    loop.edges[-1] = ("lif", "affine")
    with pytest.raises(ValueError, match="outside the chain"):
        from_nir(loop)


def test_no_file_and_no_graph(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file at"):
        from_nir(tmp_path / "elsewhere.nir")
    (tmp_path / "text.nir").write_text("no graph", encoding="utf-8")
    with pytest.raises(ValueError, match="is not a NIR graph"):
        from_nir(tmp_path / "text.nir")
