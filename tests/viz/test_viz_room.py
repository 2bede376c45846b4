"""What holds for every picture: no pyplot, no changed rcParams, given Axes used, any tensor."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import matplotlib as mpl
import pytest
import torch
from matplotlib.figure import Figure

from spikemnist import viz
from spikemnist.encoding import LatencyEncoder
from spikemnist.energy import measure_energy
from spikemnist.models import LeakyMLP
from spikemnist.plasticity import STDPClassifier, stdp_window
from spikemnist.training.evaluation import Evaluation
from spikemnist.training.history import EpochMetrics, History
from spikemnist.training.robustness import Robustness
from tests.event_recordings import random_events
from tests.viz.viz_records import make_record

EVENTS = random_events(100, seed=0)
ENERGY = measure_energy(
    LeakyMLP(4, (3,), 2),
    (torch.rand(6, 4), torch.arange(6) % 2),
    encoder=LatencyEncoder(num_steps=3),
)
LAGS = torch.arange(-50.0, 51.0)
WEIGHTS = torch.rand(9, 784)
CLASSIFIER = STDPClassifier(10, duration=50.0, max_rate=200.0, min_spikes=0, theta_plus=0.5).fit(
    torch.rand(64, 16), torch.arange(64) % 2, progress=False
)
ROBUSTNESS = Robustness(0.98, {"shift": {1: 0.97, 2: 0.9}}, 1000)
HISTORY = History([EpochMetrics(1, 0.5, 0.8, 0.4, 0.9, 1e-3, 40.0)], best_epoch=1)


def make_evaluation(confusion):
    return Evaluation(0.5, 1.0, confusion, {}, 0.0, 0.0, torch.zeros(3), 8, "reference", 1.0)


def draw_all(record, folder=None):
    """Every picture; what each function returned, by name."""
    pictures = {
        "encoding": viz.encoding(record),
        "codes": viz.codes({"rate": record.input}),
        "raster": viz.raster(record),
        "membrane": viz.membrane(record),
        "spike_counts": viz.spike_counts(record, label=1),
        "decision": viz.decision(record, label=1),
        "training_curves": viz.training_curves(HISTORY),
        "confusion": viz.confusion(make_evaluation(torch.eye(4).long())),
        "receptive_fields": viz.receptive_fields(torch.randn(5, 784)),
        "energy": viz.energy(ENERGY),
        "robustness": viz.robustness({"mlp": ROBUSTNESS}),
        "event_frames": viz.event_frames(EVENTS, sensor=(34, 34)),
        "event_scatter": viz.event_scatter(EVENTS, sensor=(34, 34)),
        "stdp_window": viz.stdp_window(LAGS, stdp_window(LAGS)),
        "assignments": viz.assignments(CLASSIFIER),
        "thresholds": viz.thresholds(CLASSIFIER),
        "running_accuracy": viz.running_accuracy(CLASSIFIER),
        "animate": viz.animate(record),
        "animate_receptive_fields": viz.animate_receptive_fields([WEIGHTS, 2 * WEIGHTS]),
        "animate_events": viz.animate_events(EVENTS, sensor=(34, 34), num_frames=3),
    }
    if folder is not None:
        for name, picture in pictures.items():
            if name.startswith("animate"):
                picture.save(folder / f"{name}.gif", writer="pillow")
            else:
                figure = picture if isinstance(picture, Figure) else picture.get_figure()
                figure.savefig(folder / f"{name}.png")
    return pictures


def test_every_public_function_is_drawn_without_pyplot_and_leaves_rc_params(tmp_path, monkeypatch):
    before = dict(mpl.rcParams)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it is an error
        patch.delattr(mpl, "pyplot", raising=False)
        assert set(draw_all(make_record(steps=3), tmp_path)) == set(viz.__all__)
    assert dict(mpl.rcParams) == before


def test_pictures_do_not_depend_on_a_dark_style(tmp_path):
    """Marks have a colour of their own, so a user's colour cycle cannot make them vanish."""
    with mpl.rc_context({"axes.prop_cycle": mpl.cycler(color=["white"])}):
        ax = viz.raster(make_record())
    assert ax.lines[0].get_color() != "white"


LOADED = """
import sys, spikemnist
print("matplotlib" in sys.modules)
import spikemnist.viz
others = {"matplotlib.pyplot", "spikemnist.models", "spikemnist.training", "snntorch"}
print(others & set(sys.modules))
"""


def test_what_importing_loads():
    """`import spikemnist` loads no matplotlib; viz itself loads neither models nor training."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == ["False", "set()"]


@pytest.mark.parametrize("name", ["raster", "membrane", "spike_counts", "decision"])
def test_a_given_axes_is_used_and_returned(name):
    figure = Figure()
    ax = figure.subfigures(1, 2)[1].add_subplot()
    assert getattr(viz, name)(make_record(), ax=ax) is ax
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.float16])
def test_any_floating_dtype_with_a_gradient(dtype):
    record = make_record(everything=False)
    record = dataclasses.replace(
        record,
        spikes=record.spikes.to(dtype).requires_grad_(),
        membrane=record.membrane.to(dtype).requires_grad_(),
        scores=record.scores.to(dtype).requires_grad_(),
    )
    for name in ("raster", "membrane", "spike_counts", "decision"):
        getattr(viz, name)(record)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.bfloat16])
def test_any_spike_dtype(dtype):
    spikes = make_record().input
    ax = viz.raster(spikes.to(dtype))
    assert len(ax.lines[0].get_xdata()) == int(spikes[:, 0].sum())
    viz.encoding(spikes.to(dtype))


def test_records_made_in_inference_mode():
    with torch.inference_mode():
        record = make_record(steps=3)
    pictures = draw_all(record)
    for name in ("animate", "animate_events", "animate_receptive_fields"):
        assert "<img" in pictures[name].to_jshtml()


@pytest.mark.parametrize(
    "name", ["encoding", "raster", "membrane", "spike_counts", "decision", "animate"]
)
@pytest.mark.parametrize("sample", [3, -1, 1000])
def test_a_sample_outside_the_batch(name, sample):
    with pytest.raises(IndexError, match=f"sample must be from 0 to 2, got {sample}"):
        getattr(viz, name)(make_record(), sample=sample)


@pytest.mark.parametrize("name", ["membrane", "spike_counts", "decision", "animate"])
def test_spikes_where_a_record_is_needed(name):
    with pytest.raises(TypeError, match=r"expected a Record, got a Tensor of shape \(5, 2, 7\)"):
        getattr(viz, name)(torch.zeros(5, 2, 7))


@pytest.mark.parametrize("name", ["spike_counts", "decision", "animate"])
def test_a_label_that_is_no_class(name):
    with pytest.raises(ValueError, match="label must be from 0 to 9, got 10"):
        getattr(viz, name)(make_record(), label=10)
    with pytest.raises(ValueError, match=r"shape \(3,\); pass labels\[sample\]"):
        getattr(viz, name)(make_record(), label=torch.tensor([1, 2, 3]))
