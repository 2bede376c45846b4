"""Compute class scores from output spikes and membranes.

The readout belongs to the model, so that loss, prediction and saved file always agree.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from itertools import accumulate
from operator import add, mul
from typing import TYPE_CHECKING, Literal, get_args

import torch

from spikemnist._tensors import check_tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

ReadoutName = Literal["mean_membrane", "max_membrane", "spike_count", "first_spike"]
READOUTS: tuple[str, ...] = get_args(ReadoutName)


def scores(readout: str, spikes: Tensor, membrane: Tensor) -> Tensor:
    r"""Return the class scores at the end of the window.

    ==================  ==========================================================
    ``mean_membrane``   :math:`\frac1T \sum_t U_t`
    ``max_membrane``    :math:`\max_t U_t`
    ``spike_count``     :math:`\sum_t S_t`
    ``first_spike``     :math:`-\sum_t \prod_{t' \le t} (1 - S_{t'})`
    ==================  ==========================================================

    The last one is minus the time of the first spike. A silent neuron counts as firing just after
    the window, at :math:`T`. The sum of products is exact for binary spikes and has a gradient: one
    spike more at :math:`t` brings the first spike forward to :math:`t`, also for a silent neuron.

    Parameters
    ----------
    readout : str
        One of the names above.
    spikes, membrane : torch.Tensor
        Spikes and membranes of the output layer, ``[T, B, C]`` each.

    Returns
    -------
    torch.Tensor
        Scores ``[B, C]``, in the dtype of the membranes or spikes that they are made of. A higher
        score means a likelier class.

    Raises
    ------
    ValueError
        If the readout is unknown.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])  # T=3, B=1, C=2
    >>> scores("first_spike", spikes, spikes)
    tensor([[-3., -1.]])
    >>> scores("spike_count", spikes, spikes)
    tensor([[0., 2.]])
    """
    check_readout(readout)
    if readout == "mean_membrane":
        # Not mean, which writes its gradient for each timestep; the gradient of a sum is a view.
        return membrane.sum(0) / len(membrane)
    if readout == "max_membrane":
        return membrane.amax(0)
    if readout == "spike_count":
        return spikes.sum(0)
    return -first_spike_times(spikes)


def first_spike_times(spikes: Tensor) -> Tensor:
    r"""Return the timestep of the first spike of each neuron, ``T`` if it never fires.

    .. math:: t = \sum_{t'} \prod_{t'' \le t'} (1 - S_{t''})

    For binary spikes the gradient is exact: :math:`-\partial t / \partial S_{t'}` is the number of
    timesteps by which adding or removing a spike at :math:`t'` would move the first spike.

    Parameters
    ----------
    spikes : torch.Tensor
        Spikes ``[T, ...]``, floating, zeros and ones.

    Returns
    -------
    torch.Tensor
        Times ``[...]``, in the dtype of ``spikes``.

    Examples
    --------
    >>> import torch
    >>> first_spike_times(torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    tensor([3., 1.])
    """
    return _not_yet_fired(spikes).sum(0)


def running_scores(readout: str, spikes: Tensor, membrane: Tensor) -> Tensor:
    """Return the class scores after each timestep.

    Parameters
    ----------
    readout : str
        As in `scores`.
    spikes, membrane : torch.Tensor
        ``[T, B, C]`` each, as in `scores`.

    Returns
    -------
    torch.Tensor
        Scores ``[T, B, C]``. The last timestep equals `scores` up to rounding.

    Raises
    ------
    ValueError
        If the readout is unknown.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]])  # T=3, B=1, C=2
    >>> running_scores("spike_count", spikes, spikes)[:, 0]
    tensor([[0., 0.],
            [0., 1.],
            [1., 2.]])
    """
    check_readout(readout)
    if readout == "mean_membrane":
        return running_mean(membrane)
    if readout == "max_membrane":
        return _running(torch.maximum, membrane)
    if readout == "spike_count":
        return _running(add, spikes)
    return -_running(add, _not_yet_fired(spikes))


def running_mean(values: Tensor) -> Tensor:
    """Return the mean of ``values`` ``[T, ...]`` up to each timestep."""
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    return _running(add, values) / steps.view(-1, *[1] * (values.dim() - 1))


def decide(scores: Tensor, membrane: Tensor) -> Tensor:
    """Return the class with the highest score; a tie goes to the highest mean membrane.

    All classes tie if no output neuron fires. The class that came closest to firing then wins,
    whereas a plain argmax would return class 0.

    Parameters
    ----------
    scores : torch.Tensor
        Class scores ``[..., C]``.
    membrane : torch.Tensor
        Mean membranes of the output neurons, ``[..., C]``.

    Returns
    -------
    torch.Tensor
        Classes ``[...]``, int64.

    Raises
    ------
    TypeError
        If scores or membranes are not a tensor.

    Examples
    --------
    >>> import torch
    >>> decide(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.1, 0.3, 0.2]]))
    tensor([1])
    """
    check_tensor(scores, "scores", "[..., C]")
    check_tensor(membrane, "membrane", "[..., C]")
    leading = scores == scores.amax(-1, keepdim=True)
    return torch.where(leading, membrane, -torch.inf).argmax(-1)


def check_readout(readout: str) -> None:
    """Raise a `ValueError` that lists the readouts unless ``readout`` is one of them."""
    if readout not in READOUTS:
        raise ValueError(f"readout must be one of {', '.join(READOUTS)}; got {readout!r}")


def _not_yet_fired(spikes: Tensor) -> Tensor:
    return _running(mul, 1 - spikes)


def _running(operation: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """Combine ``values`` ``[T, ...]`` from the first timestep up to each.

    No function of torch serves: `torch.use_deterministic_algorithms` refuses cumsum on CUDA, and
    with it the gradient of cumprod; MPS lacks cummax in older versions of torch.
    """
    return torch.stack(list(accumulate(values.unbind(), operation)))
