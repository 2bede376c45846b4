"""Losses of a record and its labels, and penalties on spikes.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes, ``N`` neurons of a layer, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikemnist._arguments import check_choice, must_be, named, set_numbers, takes
from spikemnist.models import Record, first_spike_times
from spikemnist.models.record import check_output

Loss = Callable[[Record, "Tensor"], "Tensor"]
"""Function of the record of B samples and of their labels ``[B]``, int64; returns the mean loss of
the samples, a scalar tensor."""

Penalty = Callable[[Record], "Tensor"]
"""Function of a record of every layer, with spikes ``[T, B, N]``; returns a scalar tensor."""

LayersName = Literal["hidden", "all"]


def cross_entropy(record: Record, labels: Tensor) -> Tensor:
    r"""Return the cross-entropy of the softmax of the class scores, mean over the batch.

    .. math:: L = -\frac1B \sum_b \ln \frac{e^{s_{b, y_b}}}{\sum_c e^{s_{b, c}}}

    Parameters
    ----------
    record : Record
        Record from the model, with ``record.scores`` ``[B, C]``.
    labels : torch.Tensor
        Labels ``[B]``, int64.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784))
    >>> bool(cross_entropy(record, torch.tensor([3, 7])) > 0)
    True
    """
    return functional.cross_entropy(record.scores, labels)


@named()
@dataclass(frozen=True)
class SmoothedCrossEntropy:
    r"""Cross-entropy of the softmax of the class scores with smoothed labels, mean over the batch.

    .. math:: L = -\frac1B \sum_b \sum_c \Big((1 - \epsilon) [c = y_b] + \frac{\epsilon}{C}\Big)
              \ln \frac{e^{s_{b, c}}}{\sum_{c'} e^{s_{b, c'}}}

    Parameters
    ----------
    smoothing : float, default 0.1
        Probability :math:`\epsilon`, in [0, 1), that is shared out among all classes.

    Raises
    ------
    ValueError
        If ``smoothing`` is out of its range.

    Notes
    -----
    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, *Rethinking the Inception architecture for computer
    vision*, CVPR 2016.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record, labels = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784)), torch.tensor([3, 7])
    >>> bool(SmoothedCrossEntropy(0.0)(record, labels) == cross_entropy(record, labels))
    True
    """

    smoothing: float = 0.1

    def __post_init__(self) -> None:
        set_numbers(self, smoothing="[0, 1)")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss."""
        return functional.cross_entropy(record.scores, labels, label_smoothing=self.smoothing)


@named()
@dataclass(frozen=True)
class SpikeTimeCrossEntropy:
    r"""Cross-entropy of the softmax of the first spike times, mean over the batch.

    .. math:: L = -\frac1B \sum_b \ln
              \frac{e^{-t_{b, y_b} / \tau}}{\sum_c e^{-t_{b, c} / \tau}}

    with the times of `spikemnist.models.first_spike_times`: a silent neuron counts as one that
    fires at :math:`T`. The time of a class with several neurons is the mean of theirs. The loss
    reads the spikes, regardless of the readout. The readout ``"first_spike"`` goes with it, as both
    prefer the class that fires first.

    Parameters
    ----------
    tau : float, default 1.0
        Number of timesteps by which the right class should lead, above 0. The smaller, the sharper.

    Raises
    ------
    ValueError
        If ``tau`` is out of its range.

    Notes
    -----
    H. Mostafa, *Supervised learning based on temporal coding in spiking neural networks*, IEEE
    Transactions on Neural Networks and Learning Systems, 2018, has the softmax of spike times.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.ones(5, 2, 784))
    >>> SpikeTimeCrossEntropy(tau=2.0)(record, torch.tensor([3, 7])).shape
    torch.Size([])
    """

    tau: float = 1.0

    def __post_init__(self) -> None:
        set_numbers(self, tau="(0, inf)")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss."""
        times = record.by_class(first_spike_times(record.spikes))
        return functional.cross_entropy(-times / self.tau, labels)


@named()
@dataclass(frozen=True)
class SpikeTimeMSE:
    r"""Mean squared distance of the first spike times from their targets.

    .. math:: L = \frac1{BC} \sum_{b, c}
              \Big(\frac{\max(|t_{b, c} - \hat t_{b, c}| - d, 0)}{T}\Big)^2

    with the times of `spikemnist.models.first_spike_times`: a silent neuron counts as one that
    fires at :math:`T`, and the time of a class with several neurons is the mean of theirs. A
    time that is off by the tolerance :math:`d` or less costs nothing.

    Parameters
    ----------
    on : int, default 0
        Timestep :math:`\hat t` at which the right class should fire, 0 or later.
    off : int, default None
        Timestep :math:`\hat t` for all other classes. ``None`` is :math:`T`: they should not fire
        at all.
    tolerance : float, default 0.0
        Tolerance :math:`d` in timesteps, 0 or more.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    snnTorch's ``mse_temporal_loss`` has the same aim, but its target time of class :math:`c` does
    not depend on the label, and a silent neuron gets no gradient.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784))
    >>> bool(SpikeTimeMSE(on=1)(record, torch.tensor([3, 7])) > 0)
    True
    """

    on: int = 0
    off: int | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        set_numbers(self, on="0..", off="0..", tolerance="[0, inf)")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss; raise a `ValueError` for targets after the last timestep."""
        steps = len(record.spikes)
        if max(self.on, self.off or 0) > steps:
            raise ValueError(f"{self} needs spikes after the last timestep; got {steps} timesteps")
        times = record.by_class(first_spike_times(record.spikes))
        target = torch.full_like(times, steps if self.off is None else self.off)
        target.scatter_(1, labels.unsqueeze(1), float(self.on))
        beyond = (times - target).abs() - self.tolerance
        return beyond.clamp_min(0).div(steps).square().mean()


@named()
@dataclass(frozen=True)
class SnnTorchLoss:
    """A loss of `snntorch.functional` in the form that `fit` and `evaluate` take.

    Parameters
    ----------
    function : callable
        Loss called with ``[T, B, N]`` of the output neurons and labels ``[B]``, for example
        ``snntorch.functional.mse_count_loss()``; with a population for each class, its option
        ``population_code=True``.
    of : str, default "spikes"
        Signal that the loss takes: the ``"spikes"`` or the ``"membrane"`` of the output layer.
        snnTorch's losses with *membrane* in their name take the membrane.

    Raises
    ------
    TypeError
        If ``function`` cannot be called, or is a class that was not called yet.
    ValueError
        If ``of`` has another value.

    Examples
    --------
    >>> from snntorch import functional as SF
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.ones(5, 2, 784))
    >>> SnnTorchLoss(SF.ce_rate_loss())(record, torch.tensor([3, 7])).shape
    torch.Size([])
    >>> SnnTorchLoss(SF.ce_max_membrane_loss(), of="membrane").of
    'membrane'
    """

    function: Callable[[Tensor, Tensor], Any]
    of: Literal["spikes", "membrane"] = "spikes"

    def __post_init__(self) -> None:
        if isinstance(self.function, type) or not callable(self.function):
            expected = "a loss such as snntorch.functional.ce_rate_loss(), with the parentheses"
            raise must_be("function", expected, self.function, TypeError)
        check_choice("of", self.of, ("spikes", "membrane"))

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss."""
        signal = record.spikes if self.of == "spikes" else record.membrane
        # A copy, as some of snnTorch's losses write into their targets. One returns shape [1].
        loss: Tensor = self.function(signal, labels.clone())
        return loss.squeeze()


@named()
@dataclass(frozen=True)
class L1Spikes:
    r"""Penalty on the mean number of spikes for a sample, with which synaptic operations grow.

    .. math:: P = \lambda \frac1B \sum_{l, t, b, n} S^l_{t, b, n}

    Parameters
    ----------
    strength : float
        Factor :math:`\lambda`, 0 or more.
    layers : str, default "hidden"
        Layers that count: ``"hidden"`` leaves the output layer out, ``"all"`` includes it.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or if a record lacks these layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,), threshold=0.1)(torch.ones(5, 2, 784), record="all")
    >>> spikes = record.spike_counts[0].float().mean()
    >>> bool(L1Spikes(0.5)(record) == 0.5 * spikes)
    True
    """

    strength: float
    layers: LayersName = "hidden"

    def __post_init__(self) -> None:
        set_numbers(self, strength="[0, inf)")
        check_choice("layers", self.layers, get_args(LayersName))

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty."""
        spikes = [train.sum() for train in _spikes_of(record, self.layers)]
        return self.strength * torch.stack(spikes).sum() / record.spikes.shape[1]


@named()
@dataclass(frozen=True)
class TargetRate:
    r"""Penalty on the mean squared distance of the firing rates from a target rate.

    .. math:: P = \lambda \sum_l \frac1{N_l} \sum_n (r^l_n - r^*)^2,
              \qquad r^l_n = \frac1{TB} \sum_{t, b} S^l_{t, b, n}

    It wakes silent neurons and calms neurons that fire all the time.

    Parameters
    ----------
    rate : float
        Target rate :math:`r^*`, in spikes of a neuron per timestep, in [0, 1].
    strength : float, default 1.0
        Factor :math:`\lambda`, 0 or more.
    layers : str, default "hidden"
        Layers that count: ``"hidden"`` leaves the output layer out, ``"all"`` includes it.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or if a record lacks these layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784), record="all")
    >>> bool(TargetRate(0.05)(record) > 0)
    True
    """

    rate: float
    strength: float = 1.0
    layers: LayersName = "hidden"

    def __post_init__(self) -> None:
        set_numbers(self, rate="[0, 1]", strength="[0, inf)")
        check_choice("layers", self.layers, get_args(LayersName))

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty."""
        rates = [train.mean((0, 1)) for train in _spikes_of(record, self.layers)]
        return self.strength * torch.stack([(r - self.rate).square().mean() for r in rates]).sum()


@named()
@dataclass(frozen=True)
class Regularized:
    r"""A loss plus penalties on the spikes of all layers.

    .. math:: L + \sum_i P_i

    Parameters
    ----------
    loss : callable
        Function of record and labels that returns a scalar.
    penalties : sequence of callable
        Functions of a record that return a scalar, such as `spikemnist.training.L1Spikes` and
        `spikemnist.training.TargetRate`.

    Attributes
    ----------
    record : str
        ``"all"``: `fit` and `evaluate` run the model so that every layer is recorded.

    Raises
    ------
    ValueError
        If there is no penalty.

    Examples
    --------
    >>> from spikemnist.training import L1Spikes, TargetRate
    >>> loss = Regularized(cross_entropy, [L1Spikes(1e-3), TargetRate(0.05)])
    >>> len(loss.penalties), loss.record
    (2, 'all')
    """

    loss: Loss
    penalties: Sequence[Penalty]
    record = "all"

    def __post_init__(self) -> None:
        if not self.penalties:
            raise ValueError("Regularized needs a penalty, for example L1Spikes(1e-3)")
        object.__setattr__(self, "penalties", tuple(self.penalties))

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss."""
        return self.loss(record, labels) + sum(penalty(record) for penalty in self.penalties)


def _spikes_of(record: Record, layers: str) -> list[Tensor]:
    if not record.layers:
        raise ValueError(
            "a penalty needs all layers, but this record has only the output layer; call the "
            "model with record='all', or pass loss=Regularized(loss, [penalty]) to fit"
        )
    selection = record.layers[:-1] if layers == "hidden" else record.layers
    if not selection:
        raise ValueError("the network has no hidden layer: use layers='all'")
    return [layer.spikes for layer in selection]


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "spike_time_cross_entropy": SpikeTimeCrossEntropy(),
    "spike_time_mse": SpikeTimeMSE(),
}
"""The losses by name, with their defaults."""


def make_loss(loss: str | Loss, label_smoothing: float = 0.0, spike_penalty: float = 0.0) -> Loss:
    """Return the loss of a run: see `TrainConfig`.

    Raises
    ------
    ValueError
        If its name is unknown, or the object is no function of record and labels.
    """
    if not takes(loss, 2):
        check_choice("loss", loss, LOSSES, ", or a function of record and labels")
    function = LOSSES[loss] if isinstance(loss, str) else loss
    if label_smoothing:
        function = SmoothedCrossEntropy(label_smoothing)
    return Regularized(function, [L1Spikes(spike_penalty)]) if spike_penalty else function


def compute_loss(loss: Loss, record: Record, labels: Tensor) -> Tensor:
    """Call a loss, and validate its arguments and its result.

    Parameters
    ----------
    loss : callable
        Function of record and labels that returns a scalar.
    record : Record
        Record of B samples, from the model.
    labels : torch.Tensor
        Labels ``[B]``, int64.

    Returns
    -------
    torch.Tensor
        The loss, one number; with a graph if the scores of the record have one.

    Raises
    ------
    TypeError, ValueError
        As in `check_output`.
    TypeError
        If the loss takes tensors in place of a record, or returns no scalar tensor.
    """
    check_output(record, labels)
    name = getattr(loss, "__qualname__", type(loss).__qualname__)
    try:
        value = loss(record, labels)
    except (TypeError, AttributeError) as error:
        if "Record" not in str(error):
            raise
        raise TypeError(
            f"loss {name} gets (record, labels): {error}. For a loss of torch write loss=lambda "
            "record, labels: torch.nn.functional.cross_entropy(record.scores, labels); for one of "
            "snnTorch write loss=SnnTorchLoss(snntorch.functional.ce_rate_loss())"
        ) from error
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        result = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise TypeError(f"loss {name} must return a scalar tensor, with its graph; got {result}")
    return value


def is_cross_entropy(loss: Loss) -> bool:
    """Return whether a loss is ln C where nothing is known of C classes."""
    return loss is cross_entropy or isinstance(loss, (SmoothedCrossEntropy, SpikeTimeCrossEntropy))


def has_parameters(loss: object) -> bool:
    """Return whether a loss, or one that it is made of, has parameters to learn."""
    if isinstance(loss, nn.Module):
        return any(parameter.requires_grad for parameter in loss.parameters())
    parts = vars(loss).values() if is_dataclass(loss) else loss if isinstance(loss, tuple) else ()
    return any(map(has_parameters, parts))


def model_options(loss: Loss) -> dict[str, Any]:
    """Return the arguments, beside spikes, with which a model records all that a loss reads."""
    return {"record": "all"} if getattr(loss, "record", "output") == "all" else {}
