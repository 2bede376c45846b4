from __future__ import annotations

import pytest

from spikemnist import viz
from spikemnist.training import Robustness
from tests.viz.viz_records import line

MEASURED = {
    "mlp": Robustness(0.98, {"noise": {0.1: 0.97, 0.2: 0.9}, "shift": {1: 0.8, 2: 0.4}}, 1000),
    "conv": Robustness(0.99, {"noise": {0.1: 0.98, 0.2: 0.95}, "shift": {1: 0.9, 2: 0.7}}, 1000),
}


def test_panels_and_lines():
    figure = viz.robustness(MEASURED)
    panels = dict(zip(("noise", "shift"), figure.axes, strict=True))
    for name, panel in panels.items():
        assert len(panel.lines) == 2
        for network, robustness in MEASURED.items():
            curve = line(panel, network)
            assert curve.get_xdata().tolist() == [0, *robustness.accuracy[name]]
            assert curve.get_ydata().tolist() == [
                robustness.undisturbed,
                *robustness.accuracy[name].values(),
            ]
    styles = {(curve.get_color(), curve.get_linestyle()) for curve in figure.axes[0].lines}
    assert len(styles) == 2
    assert panels["shift"].get_xlabel() == "shift (pixels)"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mlp", "conv"]


@pytest.mark.parametrize("names", [["shift"], ["noise", "shift", "rotation"]])
def test_number_of_panels(names):
    measured = Robustness(0.98, {name: {1: 0.9} for name in names}, 10)
    assert len(viz.robustness({"mlp": measured}).axes) == len(names)


def test_results_without_names():
    with pytest.raises(TypeError, match="robustness draws a dictionary by names; got list"):
        viz.robustness([])
