from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist.encoding import LatencyEncoder
from spikemnist.energy import measure_energy
from spikemnist.models import LeakyMLP

IMAGES = torch.randint(256, (30, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
torch.manual_seed(0)
ENERGY = measure_energy(
    LeakyMLP(16, (8,), 3), (IMAGES, torch.arange(30) % 3), encoder=LatencyEncoder(num_steps=12)
)


def test_the_curves_are_the_figures():
    ax = viz.energy(ENERGY)
    steps, exits, dense, skipping = ax.lines
    np.testing.assert_allclose(steps.get_xdata(), ENERGY.energy_per_step / 1000)
    np.testing.assert_allclose(steps.get_ydata(), 100 * ENERGY.accuracy_per_step)
    assert exits.get_xdata()[0] == pytest.approx(ENERGY.early_exit(0).energy / 1000)
    assert exits.get_ydata()[-1] == pytest.approx(100 * ENERGY.early_exit(0.999).accuracy)
    assert dense.get_xdata()[0] == pytest.approx(ENERGY.ann_dense.total / 1000)
    assert skipping.get_xdata()[0] == pytest.approx(ENERGY.ann_skipping.total / 1000)
    numbers = [text.get_text() for text in ax.texts]
    assert (numbers[0], numbers[-1], len(numbers)) == ("1", "12", 10)
    assert ax.get_xscale() == "log"
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["energy per sample [nJ]", "accuracy [%]"]
    assert [text.get_text().split(":")[0] for text in ax.get_legend().texts] == [
        "all samples stop after a timestep",
        "each stops when it is clear",
        "ANN, dense",
        "ANN, zeros skipped",
    ]


def test_it_draws_where_it_is_told_to():
    ax = Figure().add_subplot()
    assert viz.energy(ENERGY, ax=ax) is ax


def test_what_is_no_measurement():
    with pytest.raises(
        TypeError, match=r"the Energy from spikemnist\.energy\.measure_energy, got int"
    ):
        viz.energy(3)
