"""Laws of pictures that are as wide as a column of a paper: 3.4 inches, or a half of 7."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from spikemnist import viz
from spikemnist.training.metrics import EpochMetrics, History
from tests.rooms import of_rooms
from tests.viz.viz_records import CLASSES, make_evaluation, make_record

RECORD = make_record()
CONFUSION = make_evaluation(100 * torch.eye(CLASSES).long() + 1)
HISTORY = History([EpochMetrics(e, 1 / e, 0.8, 2 / e, 0.7, 1e-3, 40.0) for e in range(1, 21)], 9)
WEIGHTS = torch.linspace(-1, 1, 64 * 784).view(64, 784)
OF_AXES = {
    "raster": lambda ax: viz.raster(RECORD, layer="input", ax=ax),
    "membrane": lambda ax: viz.membrane(RECORD, layer="hidden 1", ax=ax),
    "confusion": lambda ax: viz.confusion(CONFUSION, ax=ax),
    "receptive_fields": lambda ax: viz.receptive_fields(WEIGHTS, neurons=range(16), ax=ax),
    **dict(of_rooms("OF_AXES")),
}
OF_FIGURES = {
    "encoding": lambda figure: viz.encoding(RECORD, image=torch.rand(28, 28), figure=figure),
    **dict(of_rooms("OF_FIGURES")),
    "training_curves": lambda figure: viz.training_curves(
        HISTORY, test=CONFUSION, ax=figure.subplots(1, 2)
    ),
}
OF_OWN_SIZE = {
    "codes": lambda: viz.codes({"rate": RECORD.input, "latency": RECORD.input}),
    **dict(of_rooms("OF_OWN_SIZE")),
    "training_curves": lambda: viz.training_curves(HISTORY, test=CONFUSION),
}


@pytest.fixture(autouse=True)
def small_letters():
    with mpl.rc_context({"font.size": 7}):
        yield


def check_texts(figure):
    """Check that every text is on the figure, and none on another; a pixel is not seen."""
    drawn, page = [], figure.bbox
    figure.draw_without_rendering()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, renderer: drawn.append(text))
        figure.draw_without_rendering()
    boxes = [
        (text.get_text(), text.get_window_extent().padded(-0.7))
        for text in drawn
        if text.get_visible() and text.get_text()
    ]
    assert len(boxes) > 5
    low, high = np.array([[box.p0, box.p1] for _, box in boxes]).swapaxes(0, 1)
    assert [boxes[i][0] for i in np.flatnonzero((low < 0).any(1) | (high > page.p1).any(1))] == []
    pairs = itertools.combinations(boxes, 2)
    assert [(text, other) for (text, box), (other, its) in pairs if box.overlaps(its)] == []


def sizes_of_letters(font_size):
    """Return the sizes of all letters of the pictures, in units of the font size."""
    with mpl.rc_context({"font.size": font_size}):
        figures = [draw() for draw in OF_OWN_SIZE.values()]
        for draw in (*OF_AXES.values(), *OF_FIGURES.values()):
            figures.append(Figure((0.7 * font_size, 0.4 * font_size)))
            draw(figures[-1].add_subplot() if draw in OF_AXES.values() else figures[-1])
    texts = [text for figure in figures for text in figure.findobj(Text)]
    return {round(text.get_fontsize() / font_size, 3) for text in texts}


def test_letters_follow_the_font_size():
    assert sizes_of_letters(5) == sizes_of_letters(10)


@pytest.mark.parametrize("name", OF_AXES)
@pytest.mark.parametrize(
    ("size", "panels", "titles"),
    [((3.4, 2.0), 1, True), ((7.0, 2.2), 2, True), ((3.4, 1.8), 2, False)],
)
def test_panels(name, size, panels, titles):
    figure = Figure(size, layout="constrained")
    for ax in figure.subplots(1, panels, squeeze=False)[0]:
        OF_AXES[name](ax)
        if not titles:
            ax.set_title("", loc="left")
        if name == "membrane" and not titles:
            ax.texts[-1].remove()  # the caption
    check_texts(figure)


@pytest.mark.parametrize("name", OF_FIGURES)
@pytest.mark.parametrize("width", [3.4, 7.0])
def test_figures(name, width):
    figure = Figure((width, 2.2), layout="constrained")
    OF_FIGURES[name](figure)
    check_texts(figure)


@pytest.mark.parametrize("name", OF_OWN_SIZE)
def test_figures_made_smaller(name):
    figure = OF_OWN_SIZE[name]()
    figure.set_size_inches(3.4, 0.7 * figure.get_figheight())
    check_texts(figure)


def test_two_panels_with_titles():
    figure = Figure((3.4, 1.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    viz.raster(RECORD, layer="input", ax=left)
    viz.confusion(CONFUSION, ax=right)
    check_texts(figure)
