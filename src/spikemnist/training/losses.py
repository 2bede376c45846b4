"""From a Record and the labels to one number, and what spikes cost beside it.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` classes, ``N`` neurons of a layer, ``L`` layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch.nn import functional

from spikemnist._tensors import check_tensor
from spikemnist.models import Record, first_spike_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


Loss = Callable[[Record, "Tensor"], "Tensor"]
Penalty = Callable[[Record], "Tensor"]

Layers = Literal["hidden", "all"]


def cross_entropy(record: Record, labels: Tensor) -> Tensor:
    r"""Cross-entropy of the softmax of the model's class scores, mean over the batch.

    .. math:: L = -\frac1B \sum_b \ln \frac{e^{s_{b, y_b}}}{\sum_c e^{s_{b, c}}}

    Parameters
    ----------
    record
        What the model returned; ``record.scores`` is ``[B, C]``.
    labels
        ``[B]``, int64.

    Returns
    -------
    torch.Tensor
        A scalar.

    Raises
    ------
    TypeError
        When ``record`` is no `Record`, or ``labels`` no tensor.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784))
    >>> bool(cross_entropy(record, torch.tensor([3, 7])) > 0)
    True
    """
    if not isinstance(record, Record):
        raise TypeError(
            f"record is a {type(record).__name__}; expected the Record that a model returns"
        )
    check_tensor(labels, "labels", "[B]")
    return functional.cross_entropy(record.scores, labels)


@dataclass(frozen=True)
class SpikeTimeCrossEntropy:
    r"""Cross-entropy of which class fires first, mean over the batch.

    .. math:: L = -\frac1B \sum_b \ln
              \frac{e^{-t_{b, y_b} / \tau}}{\sum_c e^{-t_{b, c} / \tau}}

    with the times of `spikemnist.models.first_spike_times`: a silent neuron counts as one that
    fires at :math:`T`. It looks at spikes whatever the model's readout is; to go with it the
    readout ``"first_spike"`` decides for the same class.

    Parameters
    ----------
    tau
        Timesteps by which the right class should lead, above 0: the smaller, the sharper.

    Raises
    ------
    ValueError
        For ``tau`` out of its range.

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
        if not 0 < self.tau < math.inf:
            raise ValueError(f"tau must be positive and finite; got {self.tau}")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        record
            What the model returned for B samples.
        labels
            ``[B]``, int64.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return functional.cross_entropy(-first_spike_times(record.spikes) / self.tau, labels)


@dataclass(frozen=True)
class SpikeTimeMSE:
    r"""Mean square distance of the first spikes from the times at which they should come.

    .. math:: L = \frac1{BC} \sum_{b, c}
              \Big(\frac{\max(|t_{b, c} - \hat t_{b, c}| - d, 0)}{T}\Big)^2

    with the times of `spikemnist.models.first_spike_times`: a silent neuron counts as one that
    fires at :math:`T`. A time that is off by the tolerance :math:`d` or less costs nothing.

    Parameters
    ----------
    on
        The timestep :math:`\hat t` at which the right class should fire, 0 or later.
    off
        The timestep for all other classes; ``None`` is :math:`T`: they should not fire at all.
    tolerance
        :math:`d`, in timesteps, 0 or more.

    Raises
    ------
    ValueError
        For a parameter out of its range.

    Notes
    -----
    snnTorch's ``mse_temporal_loss`` has this aim, but asks class :math:`c` for the same times
    whatever the label is, and gives no gradient to a silent neuron.

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
        for name in ("on", "off", "tolerance"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more, in timesteps; got {value}")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        record
            What the model returned for B samples.
        labels
            ``[B]``, int64.

        Returns
        -------
        torch.Tensor
            A scalar.

        Raises
        ------
        ValueError
            When the network has fewer timesteps than ``on`` or ``off`` asks for.
        """
        steps = len(record.spikes)
        if max(self.on, self.off or 0) > steps:
            raise ValueError(
                f"{self} asks for spikes later than the {steps} timesteps that there are"
            )
        times = first_spike_times(record.spikes)
        target = torch.full_like(times, steps if self.off is None else self.off)
        target.scatter_(1, labels.unsqueeze(1), float(self.on))
        beyond = (times - target).abs() - self.tolerance
        return beyond.clamp_min(0).div(steps).square().mean()


@dataclass(frozen=True)
class SnnTorchLoss:
    """A loss of `snntorch.functional` as a loss of ours.

    Parameters
    ----------
    function
        Called with ``[T, B, C]`` and labels ``[B]``, for example
        ``snntorch.functional.mse_count_loss()``.
    of
        What it takes: the ``"spikes"`` or the ``"membrane"`` of the output layer. Of snnTorch's
        own those with *membrane* in their name take the membrane.

    Raises
    ------
    TypeError
        When ``function`` cannot be called, or is a class that was not called yet.
    ValueError
        For another ``of``.

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
            raise TypeError(
                "function must be a loss such as snntorch.functional.ce_rate_loss(), with the "
                f"parentheses; got {self.function!r}"
            )
        if self.of not in ("spikes", "membrane"):
            raise ValueError(f"of must be 'spikes' or 'membrane'; got {self.of!r}")

    def __call__(self, record: Record, labels: Tensor) -> Tensor:
        """Compute the loss.

        Parameters
        ----------
        record
            What the model returned for B samples.
        labels
            ``[B]``, int64.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        signal = record.spikes if self.of == "spikes" else record.membrane
        # A copy: some of snnTorch's losses write into their targets. One returns shape [1].
        loss: Tensor = self.function(signal, labels.clone())
        return loss.squeeze()


@dataclass(frozen=True)
class L1Spikes:
    r"""The mean number of spikes for a sample, which is what synaptic operations go with.

    .. math:: P = \lambda \frac1B \sum_{l, t, b, n} S^l_{t, b, n}

    Parameters
    ----------
    strength
        :math:`\lambda`, 0 or more.
    layers
        ``"hidden"`` leaves the output layer out, ``"all"`` counts it.

    Raises
    ------
    ValueError
        For a parameter out of its range, and for a record without such layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,), threshold=0.1)(torch.ones(5, 2, 784), record="all")
    >>> spikes = record.spike_counts[0].float().mean()
    >>> bool(L1Spikes(0.5)(record) == 0.5 * spikes)
    True
    """

    strength: float
    layers: Layers = "hidden"

    def __post_init__(self) -> None:
        _check_penalty(self)

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty.

        Parameters
        ----------
        record
            With every layer, whose spikes are ``[T, B, N]``.

        Returns
        -------
        torch.Tensor
            A scalar.

        Raises
        ------
        ValueError
            For a record without such layers.
        """
        spikes = [fired.sum() for fired in _spikes_of(record, self.layers)]
        return self.strength * torch.stack(spikes).sum() / record.spikes.shape[1]


@dataclass(frozen=True)
class TargetRate:
    r"""The mean square distance of the neurons' firing rates from the rate that they should have.

    .. math:: P = \lambda \sum_l \frac1{N_l} \sum_n (r^l_n - r^*)^2,
              \qquad r^l_n = \frac1{TB} \sum_{t, b} S^l_{t, b, n}

    It wakes silent neurons and calms those that fire all the time.

    Parameters
    ----------
    rate
        :math:`r^*`, spikes of a neuron in a timestep, in [0, 1].
    strength
        :math:`\lambda`, 0 or more.
    layers
        ``"hidden"`` leaves the output layer out, ``"all"`` counts it.

    Raises
    ------
    ValueError
        For a parameter out of its range, and for a record without such layers.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(5, 2, 784), record="all")
    >>> bool(TargetRate(0.05)(record) > 0)
    True
    """

    rate: float
    strength: float = 1.0
    layers: Layers = "hidden"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate must lie in [0, 1], spikes in a timestep; got {self.rate}")
        _check_penalty(self)

    def __call__(self, record: Record) -> Tensor:
        """Compute the penalty.

        Parameters
        ----------
        record
            With every layer, whose spikes are ``[T, B, N]``.

        Returns
        -------
        torch.Tensor
            A scalar.

        Raises
        ------
        ValueError
            For a record without such layers.
        """
        rates = [fired.mean((0, 1)) for fired in _spikes_of(record, self.layers)]
        return self.strength * torch.stack([(r - self.rate).square().mean() for r in rates]).sum()


@dataclass(frozen=True)
class Regularized:
    r"""A loss, and what the spikes of all layers cost beside it.

    .. math:: L + \sum_i P_i

    Parameters
    ----------
    loss
        From record and labels to a scalar.
    penalties
        From a record to a scalar, such as `spikemnist.training.L1Spikes` and
        `spikemnist.training.TargetRate`.

    Attributes
    ----------
    record
        ``"all"``: `fit` and `evaluate` run the model so that every layer is recorded.

    Raises
    ------
    ValueError
        When there is no penalty.

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
        """Compute the loss.

        Parameters
        ----------
        record
            What the model returned for B samples.
        labels
            ``[B]``, int64.

        Returns
        -------
        torch.Tensor
            A scalar.
        """
        return self.loss(record, labels) + sum(penalty(record) for penalty in self.penalties)


def _check_penalty(penalty: L1Spikes | TargetRate) -> None:
    if not 0 <= penalty.strength < math.inf:
        raise ValueError(f"strength must be 0 or more and finite; got {penalty.strength}")
    if penalty.layers not in get_args(Layers):
        raise ValueError(f"layers must be 'hidden' or 'all'; got {penalty.layers!r}")


def _spikes_of(record: Record, layers: str) -> list[Tensor]:
    if not record.layers:
        raise ValueError(
            "a penalty needs every layer, and this record has the output layer alone: call the "
            "model with record='all', or give fit the loss Regularized(loss, [penalty])"
        )
    chosen = record.layers[:-1] if layers == "hidden" else record.layers
    if not chosen:
        raise ValueError("the network has no hidden layer: use layers='all'")
    return [layer.spikes for layer in chosen]


def check_output(record: object, labels: Tensor) -> None:
    """Raise unless a model's output is a `Record` with a class for each of ``labels``."""
    if not isinstance(record, Record):
        raise TypeError(
            "the model must return a spikemnist.models.Record, as LeakyMLP does; "
            f"got {type(record).__name__}"
        )
    classes = record.scores.shape[1]
    if labels.dim() != 1 or labels.dtype != torch.int64:
        raise ValueError(
            f"labels must be int64 of shape [B]; got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    low, high = (int(bound) for bound in labels.aminmax())  # no batch is empty: see Feed
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels must lie in 0..{classes - 1} for a model of {classes} classes; "
            f"got {low}..{high}"
        )


def compute_loss(loss: Loss, record: Record, labels: Tensor) -> Tensor:
    """Call a loss, and check what it gets and what it returns.

    Parameters
    ----------
    loss
        From record and labels to a scalar.
    record
        What the model returned for B samples.
    labels
        ``[B]``, int64.

    Returns
    -------
    torch.Tensor
        The loss, one number; with a graph where the record's scores have one.

    Raises
    ------
    TypeError, ValueError
        As `check_output` does.
    TypeError
        When the loss takes tensors in place of a record, or returns no tensor.
    ValueError
        When it returns several numbers, or a tensor without a graph.
    """
    check_output(record, labels)
    try:
        value = loss(record, labels)
    except (TypeError, AttributeError) as error:
        if "Record" not in str(error):
            raise
        raise TypeError(f"{_contract(loss)}; calling it failed: {error}. {_REMEDY}") from error
    if not isinstance(value, torch.Tensor):
        raise TypeError(
            f"{_contract(loss)}; it returned a {type(value).__name__}. Return the tensor itself, "
            "without .item() or float()"
        )
    if value.numel() != 1:
        raise ValueError(
            f"{_contract(loss)}; it returned shape {tuple(value.shape)}. Take its mean over the "
            "batch"
        )
    if record.scores.requires_grad and not value.requires_grad:
        raise ValueError(
            f"{_contract(loss)}; what it returned has no graph to the weights. Leave .detach(), "
            ".item() and torch.no_grad() out, and use record.scores rather than record.predictions"
        )
    return value


_REMEDY = (
    "For a loss of torch write "
    "loss=lambda record, labels: torch.nn.functional.cross_entropy(record.scores, labels); for "
    "one of snnTorch write loss=SnnTorchLoss(snntorch.functional.ce_rate_loss())"
)


def _contract(loss: Loss) -> str:
    name = getattr(loss, "__qualname__", type(loss).__qualname__)
    return f"loss {name} gets (record, labels) and must return a scalar tensor"


def model_options(loss: Loss) -> dict[str, Any]:
    """Return what a model is called with, beside spikes, so that a loss sees what it looks at."""
    return {"record": "all"} if getattr(loss, "record", "output") == "all" else {}
