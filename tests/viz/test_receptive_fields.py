from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from spikemnist import viz
from tests.viz.viz_records import texts, title


def grid(figure):
    (image,) = figure.axes[0].images
    return image


def field(figure, number):
    """The pixels below and to the right of the written index of a neuron."""
    (text,) = [t for t in figure.axes[0].texts if t.get_text() == str(number)]
    left, top = (round(x + 0.5) for x in text.get_position())
    return grid(figure).get_array()[top : top + 28, left : left + 28]


def test_weights_of_neurons():
    weight = torch.randn(9, 784, dtype=torch.bfloat16, requires_grad=True)
    figure = viz.receptive_fields(weight)
    for neuron in range(9):
        np.testing.assert_allclose(
            field(figure, neuron), weight[neuron].detach().float().view(28, 28)
        )
    assert np.ma.count(grid(figure).get_array()) == 9 * 784


@pytest.mark.parametrize(
    ("weights", "limits", "colours"),
    [
        ([0.0, 0.5, 1.0, 2.0], (0.0, 2.0), "Reds"),
        ([0.5, -2.0, 0.0, 1.0], (-2.0, 2.0), "RdBu_r"),
        ([0.0, 0.0, 0.0, 0.0], (0.0, 1.0), "Reds"),
    ],
)
def test_colours(weights, limits, colours):
    figure = viz.receptive_fields([weights], image_shape=(2, 2))
    assert grid(figure).get_clim() == limits
    assert grid(figure).get_cmap().name == colours
    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel().startswith("weight")


def test_first_linear_layer():
    model = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(784, 100)), nn.Linear(100, 10))
    figure = viz.receptive_fields(model)
    assert title(figure.axes[0]) == "input weights of 64 strongest of 100 neurons"
    strongest = model[1][0].weight.square().sum(1).argsort(descending=True)[:64].tolist()
    assert texts(figure.axes[0]) == [str(i) for i in strongest]
    last = strongest[-1]
    np.testing.assert_allclose(field(figure, last), model[1][0].weight[last].detach().view(28, 28))


def test_many_fields():
    assert texts(viz.receptive_fields(torch.rand(70, 784)).axes[0]) == [str(i) for i in range(64)]


def test_chosen_neurons():
    weight = torch.randn(9, 784)
    figure = viz.receptive_fields(weight, neurons=[7, 2])
    assert texts(figure.axes[0]) == ["7", "2"]
    np.testing.assert_allclose(field(figure, 7), weight[7].view(28, 28))


def test_kernels():
    """Their own shape counts, with the input channels below one another."""
    convolution = nn.Conv2d(2, 5, (3, 4))
    drawn = grid(viz.receptive_fields(nn.Sequential(convolution, nn.Linear(7, 2)))).get_array()
    expected = grid(
        viz.receptive_fields(convolution.weight.flatten(1), image_shape=(6, 4))
    ).get_array()
    assert np.array_equal(drawn.filled(0), expected.filled(0))
    figure = viz.receptive_fields(convolution, neurons=[1, 3])
    assert title(figure.axes[0]) == "input weights of 2 of 5 kernels"
