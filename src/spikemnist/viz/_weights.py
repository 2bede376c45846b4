"""Picture of the input weights of the first layer.

Shapes: ``N`` neurons, ``P`` pixels, ``H`` and ``W`` of an image, ``K`` neurons shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor, nn

from spikemnist.viz import _style
from spikemnist.viz._samples import Array, to_numpy

_MOST_BY_DEFAULT = 64


def receptive_fields(
    model_or_weight: Any,
    *,
    image_shape: tuple[int, int] = (28, 28),
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the input weights of first-layer neurons as pictures, in one grid.

    Zero is white. All neurons share one colour scale, which is symmetric if weights have both
    signs. The number above a field is the neuron's index. A convolution is drawn as its kernels,
    one per output channel, with the input channels below one another.

    Parameters
    ----------
    model_or_weight : torch.nn.Module, STDPClassifier, torch.Tensor or numpy.ndarray
        A module, whose first `torch.nn.Linear` or `torch.nn.Conv2d` is drawn; an
        `spikemnist.plasticity.STDPClassifier`; or weights ``[N, P]``, or kernels ``[N, C, H, W]``.
    image_shape : tuple of int, default (28, 28)
        Height and width of the input, ``H * W = P``; not used for kernels.
    neurons : sequence of int, default None
        Neurons to show, in this order. By default the first 64; of a module with more than 64,
        those with the largest sum of squared weights, since the others look like noise.
    ax : matplotlib.axes.Axes, default None
        Axes to draw into; a new figure by default.

    Returns
    -------
    matplotlib.figure.Figure
        The figure with the grid and its colour bar.

    Raises
    ------
    IndexError
        When there is no such neuron.
    ValueError
        When the module has no such layer, or the weights do not fit ``image_shape``.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import viz
    >>> figure = viz.receptive_fields(torch.randn(4, 6), image_shape=(2, 3))
    >>> figure.axes[1].get_ylabel()
    'weight: a red pixel excites, a blue one inhibits'
    """
    weight = np.atleast_1d(to_numpy(_first_weight(model_or_weight)))
    kind = "kernels" if weight.ndim == 4 else "neurons"
    if weight.ndim == 4:
        channels, height, width = weight.shape[1:]
        image_shape, weight = (channels * height, width), weight.reshape(len(weight), -1)
    too_many = neurons is None and len(weight) > _MOST_BY_DEFAULT
    strongest = too_many and isinstance(model_or_weight, nn.Module)
    if strongest:
        neurons = np.square(weight).sum(1).argsort(kind="stable")[: -_MOST_BY_DEFAULT - 1 : -1]
    indices, corners, grid = lay_out(weight, image_shape, neurons)
    ax = _style.axes_or_new(ax, 6.6, 6.0)
    finite = grid[np.isfinite(grid)]
    limit = float(np.abs(finite).max()) if finite.any() else 1.0
    show_weights(ax, grid, limit, signed=bool((finite < 0).any()))
    for neuron, (top, left) in zip(indices, corners, strict=True):
        ax.text(left - 0.5, top - 0.5, str(neuron), va="bottom", fontsize=_style.letters(6))
    which = f"{len(indices)}{' strongest' if strongest else ''} of {len(weight):,} {kind}"
    _style.set_title(ax, f"input weights of {which}", above=_style.letters(10))
    return _style.root_figure(ax)


def _first_weight(model_or_weight: Any) -> Tensor:
    if not isinstance(model_or_weight, nn.Module):
        return torch.as_tensor(getattr(model_or_weight, "weights_", model_or_weight))
    for module in model_or_weight.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            return module.weight
    raise ValueError(
        f"{type(model_or_weight).__name__} has no torch.nn.Linear and no torch.nn.Conv2d; pass its "
        "weight tensor [N, P]"
    )


def lay_out(
    weight: Array, image_shape: tuple[int, int], neurons: Sequence[int] | None
) -> tuple[list[int], list[tuple[int, int]], Array]:
    """Return the neurons shown, the top left pixels of their fields, and a picture.

    NaN is between the fields, with room for a line of text between rows.
    """
    height, width = image_shape
    if weight.ndim != 2 or weight.shape[1] != height * width:
        raise ValueError(
            f"weights must be [N, {height * width}] for image_shape={(height, width)}, "
            f"got shape {weight.shape}; pass the image_shape of your input"
        )
    first = range(min(len(weight), _MOST_BY_DEFAULT))
    indices = np.atleast_1d(first if neurons is None else neurons).tolist()
    count = len(indices)
    columns = min(count, math.ceil(math.sqrt(count * height / width)))
    across, down = width + max(1, round(0.08 * width)), height + max(1, round(0.24 * height))
    corners = [(place // columns * down, place % columns * across) for place in range(count)]
    fields = weight[indices].reshape(-1, height, width)
    gaps = ((0, -count % columns), (0, down - height), (0, across - width))
    padded = np.pad(fields, gaps, constant_values=np.nan).reshape(-1, columns, down, across)
    grid = padded.swapaxes(1, 2).reshape(-1, columns * across)[: height - down, : width - across]
    return indices, corners, grid


def show_weights(ax: Axes, grid: Array, limit: float, *, signed: bool) -> AxesImage:
    """Draw a picture of fields, with NaN between them, and its colour bar."""
    colours, low = ("RdBu_r", -limit) if signed else ("Reds", 0.0)
    image = ax.imshow(grid, cmap=colours, vmin=low, vmax=limit, interpolation="nearest")
    ax.set_axis_off()
    label = "weight: a red pixel excites, a blue one inhibits" if signed else "weight"
    label = _style.wrap(label, 0.9 * _style.extent(ax)[1], 10.0)
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.8)
    return image
