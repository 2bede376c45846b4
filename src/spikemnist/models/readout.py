"""From output spikes and membranes to class scores.

The readout belongs to the model, so that loss, prediction and saved file cannot disagree.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes.
"""

from __future__ import annotations

from itertools import accumulate
from operator import add, mul
from typing import TYPE_CHECKING, Literal, get_args

import torch

from spikemnist.models.record import decide

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from spikemnist.models.record import Record

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

    The last one is minus the time of the first spike; a neuron that stays silent counts as one
    that fires just after the window, at :math:`T`. Written as a sum of products it is exact for
    binary spikes and has a gradient: one spike more at :math:`t` moves the first spike forward to
    :math:`t`, also for a silent neuron.

    Parameters
    ----------
    readout
        One of the names above.
    spikes, membrane
        ``[T, B, C]``, of the output layer.

    Returns
    -------
    torch.Tensor
        ``[B, C]``, the dtype of ``membrane``; the higher the score, the likelier the class.

    Raises
    ------
    ValueError
        For an unknown readout.

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
        # Not mean: its gradient is written out for each timestep, where that of a sum is a view.
        return membrane.sum(0) / len(membrane)
    if readout == "max_membrane":
        return membrane.amax(0)
    if readout == "spike_count":
        return spikes.sum(0)
    return -first_spike_times(spikes)


def first_spike_times(spikes: Tensor) -> Tensor:
    r"""Return the timestep at which each neuron fires for the first time, ``T`` if it never does.

    .. math:: t = \sum_{t'} \prod_{t'' \le t'} (1 - S_{t''})

    For binary spikes the gradient is exact: :math:`-\partial t / \partial S_{t'}` is by how many
    timesteps a spike at :math:`t'`, or one less, would move the first spike.

    Parameters
    ----------
    spikes
        ``[T, ...]``, floating, zeros and ones.

    Returns
    -------
    torch.Tensor
        ``[...]``, the dtype of ``spikes``.

    Examples
    --------
    >>> import torch
    >>> first_spike_times(torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
    tensor([3., 1.])
    """
    return _not_yet_fired(spikes).sum(0)


def running_scores(readout: str, spikes: Tensor, membrane: Tensor) -> Tensor:
    """Return what `scores` would say after each timestep.

    Parameters
    ----------
    readout, spikes, membrane
        As in `scores`.

    Returns
    -------
    torch.Tensor
        ``[T, B, C]``; the last step equals `scores` up to rounding.

    Raises
    ------
    ValueError
        For an unknown readout.

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


def running_predictions(record: Record) -> Tensor:
    """Return the class that a record decides for after each timestep, ``[T, B]``, int64.

    The last step is `Record.predictions`, also where two classes lie within rounding.
    """
    running = running_scores(record.readout, record.spikes, record.membrane)
    decided = decide(running, running_mean(record.membrane))
    return torch.cat((decided[:-1], record.predictions.unsqueeze(0)))


def running_mean(values: Tensor) -> Tensor:
    """Return the mean of ``values`` ``[T, ...]`` over the first step, two steps, and so on."""
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    return _running(add, values) / steps.view(-1, *[1] * (values.dim() - 1))


def check_readout(readout: str) -> None:
    """Raise a `ValueError` that lists the readouts unless ``readout`` is one of them."""
    if readout not in READOUTS:
        raise ValueError(f"readout must be one of {', '.join(READOUTS)}; got {readout!r}")


def _not_yet_fired(spikes: Tensor) -> Tensor:
    return _running(mul, 1 - spikes)


def _running(operation: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """Combine ``values`` ``[T, ...]`` from the first timestep up to each.

    Not cumsum, nor cumprod, whose gradient is made of it: on CUDA it is refused under
    `torch.use_deterministic_algorithms`. Nor cummax, which MPS lacks in older versions of torch.
    """
    return torch.stack(list(accumulate(values.unbind(), operation)))
