"""Figures of a measurement, and energies computed from them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import snntorch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from spikemnist.data import ImageDataset
from spikemnist.encoding import DirectEncoder, LatencyEncoder
from spikemnist.energy import MEMORIES, TECHNOLOGIES, Energy, Technology, measure_energy
from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP, accelerate
from spikemnist.training import evaluate
from tests.energy.networks import IMAGE, networks

STEPS = 5
ENCODER = LatencyEncoder(num_steps=STEPS)
LABELS = torch.arange(40) % 4
IMAGES = torch.randint(
    256, (40, 1, *IMAGE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)
IMAGES[IMAGES < 128] = 0
MODEL = networks()["mlp"]


def measured(model: nn.Module = MODEL, encoder: Any = ENCODER, **options: Any) -> Energy:
    return measure_energy(Classifier(model, encoder), (IMAGES, LABELS), device="cpu", **options)


ENERGY = measured()


@pytest.mark.parametrize("name", ["mlp", "conv", "accelerated"])
def test_accuracy_and_spikes_of_evaluate(name: str) -> None:
    model = networks()[name]
    energy = measured(model)
    evaluation = evaluate(Classifier(model, ENCODER), (IMAGES, LABELS), device="cpu")
    assert energy.accuracy == pytest.approx(evaluation.accuracy)
    assert torch.allclose(energy.accuracy_per_step, evaluation.accuracy_per_step.double())
    data = ImageDataset(IMAGES, 3 - LABELS, tuple("dcba"))
    named = measure_energy(Classifier(networks()[name], ENCODER, tuple("abcd")), data, device="cpu")
    assert torch.equal(named.correct, energy.correct)
    for layer in energy.layers:
        assert layer.spikes == pytest.approx(evaluation.spikes_per_sample[layer.name])
    assert (energy.samples, energy.num_steps) == (40, STEPS)


@pytest.mark.parametrize("name", ["mlp", "conv", "accelerated"])
def test_batch_size(name: str) -> None:
    model = networks()[name]
    one, seven, forty = (measured(model, batch_size=batch_size) for batch_size in (1, 7, 40))
    for other in (one, seven):
        assert other.layers == forty.layers
        for field in ("macs", "acs", "spikes", "correct"):
            assert torch.equal(getattr(other, field), getattr(forty, field))


def test_no_decay_at_a_beta_of_one() -> None:
    leaky, never = (measured(LeakyMLP((6,), in_features=36, beta=beta)) for beta in (0.9, 1.0))
    assert leaky.snn.neurons == pytest.approx(4.6 * 16 * STEPS)
    assert (leaky.total.decays, never.total.decays, never.snn.neurons) == (16 * STEPS, 0, 0)
    assert sum(layer.energy for layer in never.layers) == pytest.approx(never.snn.total / 1000)
    assert float(never.energy_per_step[-1]) == pytest.approx(never.snn.total)
    words = never.total.acs + 2 * 16 * STEPS  # membranes are still read and written
    assert replace(never, memory="8KB").snn.memory == pytest.approx(MEMORIES["8KB"] * 4 * words)


def test_binary_samples() -> None:
    """A black and white image costs additions, whatever the images beside it."""
    images = torch.zeros(2, *IMAGE, dtype=torch.uint8)
    images[0, :3], images[1] = 255, 128
    classifier = Classifier(
        LeakyMLP((), in_features=36, out_features=4), DirectEncoder(num_steps=STEPS)
    )
    for batch_size in (1, 2):
        energy = measure_energy(classifier, (images, LABELS[:2]), batch_size=batch_size)
        assert energy.macs.sum(0).tolist() == [0, STEPS * 36 * 4]
        assert energy.acs.sum(0).tolist() == [STEPS * 18 * 4, 0]


def test_synapses_of_a_layer_in_two_places() -> None:
    shared = nn.Linear(36, 36)
    modules = shared, snntorch.Leaky(beta=0.9), shared, snntorch.Leaky(beta=0.9), nn.Linear(36, 4)
    model = accelerate(nn.Sequential(nn.Flatten(), *modules, snntorch.Leaky(beta=0.9)))
    assert measured(model).synapses == 2 * 36 * 36 + 36 * 4


def test_one_layer_by_hand() -> None:
    energy = measured(LeakyMLP((), in_features=36, out_features=4))
    lit = (IMAGES > 0).sum().item() / 40
    (layer,) = energy.layers
    assert layer.macs == 0
    assert layer.acs == layer.ann_macs == pytest.approx(4 * lit)  # each lit pixel fires once
    assert layer.dense == STEPS * 36 * 4
    assert (layer.weights, layer.zero_weights, layer.neurons) == (144, 0, 4)
    assert energy.snn.synapses == pytest.approx(0.9 * 4 * lit)
    assert energy.snn.neurons == pytest.approx(4.6 * 4 * STEPS)
    assert energy.ann_dense.total == pytest.approx(4.6 * 144)
    assert energy.ann_skipping.total == pytest.approx(4.6 * 4 * lit)


def test_operations_of_a_constant_current() -> None:
    first, *others = measured(encoder=DirectEncoder(num_steps=STEPS)).layers
    assert first.acs == 0
    assert first.macs == pytest.approx(STEPS * first.ann_macs)
    assert all(layer.macs == 0 for layer in others)


def test_total_of_the_layers() -> None:
    total = ENERGY.total
    assert total.acs == pytest.approx(sum(layer.acs for layer in ENERGY.layers))
    assert total.neurons == 12 + 7 + 4
    zeros = sum(int((layer.linear.weight == 0).sum()) for layer in MODEL.layers)
    assert total.connection_sparsity == zeros / total.weights
    assert total.opportunities == 23 * STEPS
    assert total.activation_sparsity == pytest.approx(1 - total.spikes / (23 * STEPS))
    assert float(ENERGY.spikes_per_step[-1]) == pytest.approx(total.spikes)
    assert float(ENERGY.operations_per_step[-1]) == pytest.approx(total.acs + total.macs)
    assert (ENERGY.spikes_per_step.diff() >= 0).all()
    assert ENERGY.parameters == sum(p.numel() for p in MODEL.parameters())
    assert float(ENERGY.acs.sum(0).mean()) == pytest.approx(total.acs)


@given(st.sampled_from([None, *MEMORIES]), st.sampled_from(list(TECHNOLOGIES)))
def test_energy_per_timestep(memory: str | None, technology: str) -> None:
    energy = replace(ENERGY, memory=memory, technology=TECHNOLOGIES[technology])
    per_step = energy.energy_per_step
    assert (per_step.diff() > 0).all()
    assert float(per_step[-1]) == pytest.approx(energy.snn.total)
    assert (energy.snn.memory == 0) == (memory is None)
    if memory is not None:
        words = energy.total.acs + energy.total.macs + 2 * 23 * STEPS
        expected = MEMORIES[memory] * TECHNOLOGIES[technology].word * words
        assert energy.snn.memory == pytest.approx(expected)


@given(st.floats(-1, 2), st.floats(-1, 2))
def test_margins_of_early_exits(one: float, other: float) -> None:
    low, high = (ENERGY.early_exit(margin) for margin in sorted((one, other)))
    assert 1 <= low.steps <= high.steps <= STEPS
    assert low.energy <= high.energy
    assert low.operations <= high.operations


def test_margins_of_a_measurement() -> None:
    """After the last timestep, they are those of the record."""
    with torch.no_grad():
        record = Classifier(MODEL, ENCODER).eval()(IMAGES)
    torch.testing.assert_close(ENERGY.margins[-1], record.margin, check_dtype=False)


def test_early_exit_at_first_and_last_timestep() -> None:
    first, last = ENERGY.early_exit(0), ENERGY.early_exit(1)
    assert (first.steps, last.steps) == (1, STEPS)
    assert first.accuracy == float(ENERGY.accuracy_per_step[0])
    assert last.accuracy == ENERGY.accuracy
    assert first.energy == pytest.approx(float(ENERGY.energy_per_step[0]))
    assert last.energy == pytest.approx(ENERGY.snn.total)


def test_early_exit_of_each_sample() -> None:
    margins = torch.tensor([[0.1, 0.6, 0.2], [0.7, 0.1, 0.3], [0.0, 0.0, 0.1]])
    correct = torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 1]]).bool()
    spent = torch.ones(3, 3, dtype=torch.float64)
    energy = replace(
        ENERGY, num_steps=3, margins=margins, correct=correct, macs=0 * spent, acs=spent
    )
    stopped = energy.early_exit(0.5)
    assert stopped.accuracy == 1  # after 2, 1 and 3 timesteps
    assert stopped.steps == pytest.approx(2)
    assert stopped.operations == pytest.approx(2)
    assert margins[2].tolist() == pytest.approx([0, 0, 0.1])  # unchanged


@given(st.floats(0.001, 1.5), st.floats(0, 1))
def test_largest_margin_within_a_budget(share: float, margin: float) -> None:
    least, most, other = (ENERGY.early_exit(m) for m in (0, 1, margin))
    budget = (least.energy + share * (most.energy - least.energy)) / 1000
    chosen = ENERGY.at_budget(budget)
    assert chosen == ENERGY.early_exit(chosen.margin)
    assert chosen.energy <= 1000 * budget
    assert other.energy <= chosen.energy or other.energy > 1000 * budget


def test_budget_of_a_single_timestep() -> None:
    energy = measured(encoder=LatencyEncoder(num_steps=1))
    assert energy.at_budget(1e3).accuracy == energy.accuracy


@pytest.mark.parametrize("budget", [1e-3, -1, float("nan")])
def test_budget_below_the_first_timestep(budget: float) -> None:
    least = math.ceil(ENERGY.early_exit(0).energy) / 1000
    words = f"{budget:g} nJ is less than the first timestep costs, {least:,.3f} nJ: give more, or"
    with pytest.raises(ValueError, match=words):
        ENERGY.at_budget(budget)


def test_own_technology() -> None:
    energy = measured(technology=Technology("mine", mac=2, ac=1, word=4, source="measured"))
    assert energy.snn.synapses == pytest.approx(energy.total.acs)
    assert energy.ann_dense.synapses == pytest.approx(2 * energy.total.dense / STEPS)


@pytest.mark.parametrize("technology", TECHNOLOGIES.values(), ids=lambda one: one.name)
def test_network_as_large_as_the_memory(technology: Technology) -> None:
    room = (8 << 10) // technology.word - ENERGY.total.neurons
    full = replace(ENERGY, memory="8KB", technology=technology, parameters=room)
    assert "do not fit" not in full.assumptions
    size = f"{8192 + technology.word:,} bytes of the parameters and membranes"
    assert f"; the {size} of this network do not" in replace(full, parameters=room + 1).assumptions


def test_synapses_are_weights_that_are_not_zero() -> None:
    weights = [p for p in MODEL.parameters() if p.dim() == 2]
    assert ENERGY.synapses == sum(int((weight != 0).sum()) for weight in weights)
    torch.manual_seed(0)
    model = LeakyConvNet("2C3-4", (1, *IMAGE))
    assert measured(model).synapses == 2 * 4 * 4 * 9 + 2 * 4 * 4 * 4


def test_network_and_random_state() -> None:
    model = networks()["conv"].train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    measured(model)
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])


def test_early_exit_of_a_single_class() -> None:
    energy = measure_energy(
        Classifier(LeakyMLP((), in_features=36, out_features=1), ENCODER), (IMAGES, 0 * LABELS)
    )
    assert energy.early_exit(1).steps == 1


def test_repr() -> None:
    title, _, *rows, energies = repr(ENERGY).splitlines()
    assert title.startswith(f"Energy of {ENERGY.samples} samples and ")
    assert title.endswith(f"accuracy {ENERGY.accuracy:.2%}")
    assert [row.split("  ")[1] for row in rows] == [*(x.name for x in ENERGY.layers), "total"]
    assert energies.startswith(f"  {ENERGY.snn.total / 1000:,.1f} nJ per sample")
    assert f"of these layers: {ENERGY.ann_dense.total / 1000:,.1f} nJ" in energies
    table = ENERGY._repr_html_()
    assert title in table
    assert table.count("<tr>") == 1 + len(ENERGY.layers) + 1
    assert f"<td>{ENERGY.total.spikes:,.1f}</td>" in table


def test_tables_of_the_parts() -> None:
    energies, steps, exits = (
        ENERGY.table(part)  # type: ignore[arg-type]
        for part in ("energies", "timesteps", "exits")
    )
    assert str(energies) == energies.text()
    assert energies.rows[0][4] == f"{ENERGY.snn.total / 1000:,.1f}"
    assert [row[0] for row in steps.rows] == [f"{n} of {STEPS}" for n in range(1, STEPS + 1)]
    assert steps.rows[-1][1] == f"{ENERGY.accuracy:.2%}"
    assert [row[1] for row in exits.rows][-1] == f"{ENERGY.early_exit(0.99).accuracy:.2%}"


def test_report_and_json() -> None:
    report, values = ENERGY.report(), ENERGY.to_json()
    for part in ("energies", "timesteps", "exits"):
        assert ENERGY.table(part).text(bare=True) in report  # type: ignore[arg-type]
    assert ENERGY.assumptions in " ".join(report.split())
    assert f"{ENERGY.parameters:,} parameters; {ENERGY.footprint:,} bytes" in report
    assert values["picojoules"]["snn"] == {**vars(ENERGY.snn), "total": ENERGY.snn.total}
    assert (values["total"], values["technology"]) == (ENERGY.total, ENERGY.technology.name)
