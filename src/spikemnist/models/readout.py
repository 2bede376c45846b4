"""Compute class scores from output spikes and membranes.

A readout is a function of the spikes and the membranes of the output layer, ``[T, B, N]`` each, to
scores of its neurons ``[B, N]``; `class_mean` makes those of the classes. It belongs to the model,
so that loss, prediction and saved file always agree.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` output neurons, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from operator import add, mul

import torch
from torch import Tensor, nn

from spikemnist._arguments import check_choice, must_be, takes
from spikemnist._names import ReadoutName
from spikemnist._tensors import check_tensor

Readout = Callable[[Tensor, Tensor], Tensor]


def mean_membrane(spikes: Tensor, membrane: Tensor) -> Tensor:
    r"""Return the mean membrane, :math:`\frac1T \sum_t U_t`."""
    # Not mean, which writes its gradient for each timestep; the gradient of a sum is a view.
    return membrane.sum(0) / membrane.shape[0]


def max_membrane(spikes: Tensor, membrane: Tensor) -> Tensor:
    r"""Return the highest membrane, :math:`\max_t U_t`."""
    return membrane.amax(0)


def spike_count(spikes: Tensor, membrane: Tensor) -> Tensor:
    r"""Return the number of spikes, :math:`\sum_t S_t`."""
    return spikes.sum(0)


def first_spike(spikes: Tensor, membrane: Tensor) -> Tensor:
    r"""Return minus the time of the first spike, :math:`-\sum_t \prod_{t' \le t} (1 - S_{t'})`.

    A silent neuron counts as firing just after the window, at :math:`T`: see `first_spike_times`.
    """
    return -first_spike_times(spikes)


READOUTS: dict[str, Readout] = {
    readout.__name__: readout for readout in (mean_membrane, max_membrane, spike_count, first_spike)
}
"""The readouts by name."""


def get_readout(readout: ReadoutName | Readout) -> Readout:
    """Return the readout for a name or a function.

    Parameters
    ----------
    readout : str or callable
        One of `READOUTS`, or a function of spikes and membranes, ``[T, B, N]`` each, that returns
        scores ``[B, N]``: a higher score means a likelier class.

    Returns
    -------
    callable

    Raises
    ------
    ValueError
        For an unknown name.
    TypeError
        If ``readout`` is neither a name nor a function of two arguments, or if it has weights.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]])  # T=3, B=1, N=2
    >>> get_readout("first_spike")(spikes, spikes)
    tensor([[-3., -1.]])
    >>> get_readout("spike_count")(spikes, spikes)
    tensor([[0., 2.]])
    """
    if isinstance(readout, str):
        check_choice("readout", readout, READOUTS, ", or a function of spikes and membranes")
        return READOUTS[readout]
    if not takes(readout, 2) or (isinstance(readout, nn.Module) and [*readout.parameters()]):
        expected = (
            "a name, or a function of spikes and membranes, [T, B, N] each, without weights: put "
            "those into a layer of the network"
        )
        raise must_be("readout", expected, readout, TypeError)
    return readout


def name_of(readout: Readout) -> str:
    """Return the name of a readout."""
    return getattr(readout, "__name__", type(readout).__name__)


def named_or_own(readout: Readout) -> str | Readout:
    """Return the name of one of `READOUTS`, which a file can hold, or another readout itself."""
    name = name_of(readout)
    return name if READOUTS.get(name) is readout else readout


def is_running(readout: Readout) -> bool:
    """Return whether a readout gives scores of the first timesteps alone.

    Those of `READOUTS` do, and one of your own that has the attribute ``running = True``. Others
    may know the number of timesteps, such as one with weights over time.
    """
    return isinstance(named_or_own(readout), str) or getattr(readout, "running", False) is True


def first_spike_times(spikes: Tensor) -> Tensor:
    r"""Return the timestep of the first spike of each neuron, ``T`` if it never fires.

    .. math:: t = \sum_{t'} \prod_{t'' \le t'} (1 - S_{t''})

    The gradient is exact: :math:`-\partial t / \partial S_{t'}` is the number of timesteps by which
    adding or removing a spike at :math:`t'` would move the first spike. A graded spike is a spike,
    whatever its height.

    Parameters
    ----------
    spikes : torch.Tensor
        Spikes ``[T, ...]``, floating; all but zeros are spikes.

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
    check_tensor(spikes, "spikes", "[T, ...]")
    return _silence(spikes).sum(0)


def _silence(spikes: Tensor) -> Tensor:
    """Return 1 for each timestep at which a neuron has not fired yet, else 0."""
    fired = (spikes != 0).to(spikes.dtype)
    return _running(mul, 1 - fired - (spikes - spikes.detach()))


def running_scores(readout: ReadoutName | Readout, spikes: Tensor, membrane: Tensor) -> Tensor:
    """Return the scores after each timestep: the readout of the timesteps so far.

    Parameters
    ----------
    readout : str or callable
        As in `get_readout`; one of your own with the attribute ``running = True``, which says that
        it reads any number of timesteps.
    spikes, membrane : torch.Tensor
        Spikes and membranes of the output layer, ``[T, B, N]`` each.

    Returns
    -------
    torch.Tensor
        Scores ``[T, B, N]``; the last timestep has those of the readout, up to rounding.
        `Record.by_class` makes those of classes, where each has several neurons.

    Raises
    ------
    ValueError
        If the name is unknown, or a readout of your own does not say that it can.

    Examples
    --------
    >>> import torch
    >>> spikes = torch.tensor([[[0.0, 0.0]], [[0.0, 1.0]], [[1.0, 1.0]]])  # T=3, B=1, N=2
    >>> running_scores("spike_count", spikes, spikes)[:, 0]
    tensor([[0., 0.],
            [0., 1.],
            [1., 2.]])
    """
    check_tensor(spikes, "spikes", "[T, B, N]")
    readout = get_readout(readout)
    name = named_or_own(readout)
    if isinstance(name, str):
        return _RUNNING[name](spikes, membrane)
    if not is_running(readout):
        raise ValueError(
            f"scores after each timestep need a readout of any number of timesteps: if "
            f"{name_of(readout)} is one, set its attribute running = True"
        )
    ends = range(1, len(spikes) + 1)
    return torch.stack([readout(spikes[:end], membrane[:end]) for end in ends])


def running_mean(values: Tensor) -> Tensor:
    """Return the mean of ``values`` ``[T, ...]`` up to each timestep."""
    steps = torch.arange(1, len(values) + 1, device=values.device, dtype=values.dtype)
    return _running(add, values) / steps.view(-1, *[1] * (values.dim() - 1))


def _running(operation: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> Tensor:
    """Combine ``values`` ``[T, ...]`` from the first timestep up to each.

    No function of torch serves: `torch.use_deterministic_algorithms` refuses cumsum on CUDA, and
    with it the gradient of cumprod; MPS lacks cummax in older versions of torch.
    """
    return torch.stack(list(accumulate(values.unbind(), operation)))


_RUNNING: dict[str, Readout] = {
    "mean_membrane": lambda _, membrane: running_mean(membrane),
    "max_membrane": lambda _, membrane: _running(torch.maximum, membrane),
    "spike_count": lambda spikes, _: _running(add, spikes),
    "first_spike": lambda spikes, _: -_running(add, _silence(spikes)),
}
"""Running scores in T operations instead of the T(T + 1) / 2 timesteps of every beginning."""


def number_of_classes(neurons: int, population: int) -> int:
    """Return how many classes have ``population`` of the output neurons each.

    Raises
    ------
    ValueError
        If the neurons cannot be shared out.
    """
    if neurons % population:
        raise ValueError(f"population must divide the {neurons} output neurons; got {population}")
    return neurons // population


def class_mean(values: Tensor, population: int) -> Tensor:
    """Return the mean ``[..., C]`` of values ``[..., N]`` over the neurons of each class.

    The first group of ``population`` neurons stands for class 0, the next for class 1. For groups
    of one neuron these are the values themselves.
    """
    if population == 1:
        return values
    classes = number_of_classes(values.shape[-1], population)
    return values.reshape(*values.shape[:-1], classes, population).mean(-1)


def margins(scores: Tensor) -> Tensor:
    """Return the difference of the two highest probabilities, by softmax of scores ``[..., C]``.

    It is 1 for a single class.
    """
    if scores.shape[-1] == 1:
        return torch.ones_like(scores[..., 0])
    shares = scores.to(torch.promote_types(scores.dtype, torch.float32)).softmax(-1)
    first, second = shares.topk(2, -1).values.unbind(-1)
    return first - second


def best_class(scores: Tensor, membrane: Tensor) -> Tensor:
    """Return the class with the highest score; a tie goes to the highest mean membrane.

    All classes tie if no output neuron fires. The class that came closest to firing then wins,
    whereas a plain argmax would return class 0.

    Parameters
    ----------
    scores : torch.Tensor
        Class scores ``[..., C]``.
    membrane : torch.Tensor
        Mean membranes of the neurons of each class, ``[..., C]``.

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
    >>> best_class(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[0.1, 0.3, 0.2]]))
    tensor([1])
    """
    check_tensor(scores, "scores", "[..., C]")
    check_tensor(membrane, "membrane", "[..., C]")
    leading = scores == scores.amax(-1, keepdim=True)
    return torch.where(leading, membrane, -torch.inf).argmax(-1)
