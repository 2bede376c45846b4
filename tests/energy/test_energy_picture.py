from __future__ import annotations

import numpy as np
import pytest
import torch

from spikemnist import viz
from tests.energy.cases import ENERGY


def test_curves():
    ax = viz.energy(ENERGY).axes[0]
    steps, exits, dense, skipping = ax.lines
    np.testing.assert_allclose(steps.get_xdata(), ENERGY.energy_per_step / 1000)
    np.testing.assert_allclose(steps.get_ydata(), 100 * ENERGY.accuracy_per_step)
    assert exits.get_xdata()[0] == pytest.approx(ENERGY.early_exit(0).energy / 1000)
    assert exits.get_ydata()[-1] == pytest.approx(100 * ENERGY.early_exit(0.999).accuracy)
    assert dense.get_xdata()[0] == pytest.approx(ENERGY.ann_dense.total / 1000)
    assert skipping.get_xdata()[0] == pytest.approx(ENERGY.ann_skipping.total / 1000)
    numbers = [text.get_text() for text in ax.texts]
    assert numbers == ["1", "2", "4", "8", "12"]
    assert ax.get_xscale() == "log"
    assert [ax.get_xlabel(), ax.get_ylabel()] == ["energy per sample [nJ]", "accuracy [%]"]
    assert [text.get_text().split(":")[0] for text in ax.get_legend().texts] == [
        "all stop after the written number of timesteps",
        "each stops when its margin is large",
        "ANN, dense",
        "ANN, zeros skipped",
    ]


def test_picture_of_a_run():
    pictures = viz.of_run(torch.randn(5, 60), energy=ENERGY, image_shape=(3, 5, 4))
    assert [*pictures] == ["receptive_fields", "energy"]
