"""The record of a run of a network, which training, energy and plots read.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor

from spikemnist._arguments import must_be
from spikemnist._tables import Result, Table
from spikemnist.models.readout import (
    Readout,
    best_class,
    class_mean,
    is_running,
    margins,
    name_of,
    running_mean,
    running_scores,
)


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """Record of one layer of leaky neurons over all timesteps.

    Attributes
    ----------
    name : str
        ``"hidden 1"``, ``"hidden 2"``, ..., ``"output"``.
    spikes : torch.Tensor
        Spikes ``[T, B, N]``, zeros and ones.
    membrane : torch.Tensor
        Membrane potential ``[T, B, N]`` that was compared with the threshold: after integration,
        before the reset.
    threshold : torch.Tensor
        Firing threshold, a scalar or one number for each neuron, detached.
    reset : str
        What a spike does to the membrane: the ``reset_mechanism`` of `snntorch.Leaky`.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.rand(8, 2, 784).round(), record="all")
    >>> layer = record.layers[0]
    >>> layer.name, layer.spikes.shape, float(layer.threshold), layer.reset
    ('hidden 1', torch.Size([8, 2, 20]), 1.0, 'subtract')
    """

    name: str
    spikes: Tensor
    membrane: Tensor
    threshold: Tensor
    reset: str


@dataclass(frozen=True, eq=False, repr=False)
class Record(Result):
    """Result of a model for a batch of spike trains.

    Attributes
    ----------
    spikes : torch.Tensor
        Spikes of the output layer, ``[T, B, N]``; N is C without a population for each class.
    membrane : torch.Tensor
        Membranes of the output layer, ``[T, B, N]``.
    scores : torch.Tensor
        Class scores ``[B, C]``: what the readout makes of the two, `by_class`; differentiable.
    spike_counts : torch.Tensor
        Number of spikes of each layer for each sample, ``[L, B]``, int64, detached.
    readout : callable
        Readout that made the scores: a function of spikes and membranes.
    backend : str
        Name of the backend that ran.
    sizes : mapping of str to int
        Number of neurons of each layer by name, in the order of ``spike_counts``.
    layers : tuple of LayerRecord
        Every layer, the output layer last, if recorded with ``record="all"``; else empty.
    input : torch.Tensor or None
        Input spikes ``[T, B, ...]``, if recorded with ``record="all"``.
    final : tuple of torch.Tensor or None
        What `state` returns, if the model was called with a ``state``.
    classes : tuple of str
        Names of the classes, if a `Classifier` that has them ran.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> record = LeakyMLP(hidden=(20,))(torch.zeros(8, 2, 784), record="all")
    >>> record.scores.shape, record.input.shape, [layer.name for layer in record.layers]
    (torch.Size([2, 10]), torch.Size([8, 2, 784]), ['hidden 1', 'output'])
    >>> record.spike_counts.shape  # layers, samples
    torch.Size([2, 2])
    >>> record.predictions.shape, record.margin.shape, record.decided.shape
    (torch.Size([2]), torch.Size([2]), torch.Size([2]))
    """

    _elsewhere = dict.fromkeys(
        ("hidden", "layer", "hidden 1"), "record.layers[0], of network(spikes, record='all')"
    )

    spikes: Tensor
    membrane: Tensor
    scores: Tensor
    spike_counts: Tensor
    readout: Readout
    backend: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    layers: tuple[LayerRecord, ...] = ()
    input: Tensor | None = None
    final: tuple[Tensor, ...] | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def __torch_function__(cls, function: Callable[..., Any], *_: object) -> NoReturn:
        """Refuse to be an argument of torch's functions, losses among them."""
        raise TypeError(
            f"{function.__name__} takes tensors, and a network returns a Record: pass "
            "record.scores for the scores [B, C]"
        )

    @property
    def state(self) -> tuple[Tensor, ...]:
        """Membranes ``[B, N]`` of every layer after the last timestep, for the next call.

        Raises
        ------
        AttributeError
            If the model was called without a ``state``.
        """
        if self.final is None:
            raise AttributeError(
                "this record has no state, since the network was called without one: call "
                "network(spikes, state=None) to start from rest, then state=record.state"
            )
        return self.final

    def table(self) -> Table:
        """Return number of neurons and mean number of spikes of each layer, as ``repr`` shows."""
        steps, batch = self.spikes.shape[:2]
        counts = self.spike_counts.float().mean(1).tolist()  # MPS has no float64
        groups = f", mean of {self.population} neurons" if self.population > 1 else ""
        return Table(
            f"Record of {batch} samples and {steps} timesteps, by the backend {self.backend}",
            ("layer", "neurons", "spikes per sample"),
            [
                (name, f"{neurons:,}", f"{count:.1f}")
                for (name, neurons), count in zip(self.sizes.items(), counts, strict=False)
            ],
            f"scores by the readout {name_of(self.readout)}{groups}",
        )

    def detach(self) -> Record:
        """Return the record without the graph of its gradients, so that it can be copied and kept.

        Returns
        -------
        Record
            Shares the values of all tensors.

        Examples
        --------
        >>> from spikemnist.models import LeakyMLP
        >>> record = LeakyMLP(hidden=(20,))(torch.zeros(8, 2, 784))
        >>> record.scores.requires_grad, record.detach().scores.requires_grad
        (True, False)
        """
        return _mapped(self, Tensor.detach)  # type: ignore[no-any-return]

    def to(self, target: torch.device | torch.dtype | str) -> Record:
        """Return the record on a device, or with its floating tensors in a dtype.

        Parameters
        ----------
        target : torch.device, torch.dtype or str
            A device, or its name such as ``"cpu"``; or a floating dtype. Counts stay int64.

        Returns
        -------
        Record
            Shares the tensors that are there already.
        """

        def move(tensor: Tensor) -> Tensor:
            counts = isinstance(target, torch.dtype) and not tensor.is_floating_point()
            return tensor if counts else tensor.to(target)

        return _mapped(self, move)  # type: ignore[no-any-return]

    @property
    def population(self) -> int:
        """Number of output neurons that stand for each class together."""
        return self.spikes.shape[-1] // self.scores.shape[-1]

    def by_class(self, values: Tensor) -> Tensor:
        """Return the mean of values of output neurons over those of each class.

        Parameters
        ----------
        values : torch.Tensor
            Values ``[..., N]``, such as `spikes`, or the number of spikes of each neuron.

        Returns
        -------
        torch.Tensor
            Means ``[..., C]``; the values themselves where each class has a single neuron.

        Examples
        --------
        >>> from spikemnist.models import LeakyMLP
        >>> record = LeakyMLP(hidden=20, population=5)(torch.zeros(8, 2, 784))
        >>> record.spikes.shape, record.by_class(record.spikes).shape
        (torch.Size([8, 2, 50]), torch.Size([8, 2, 10]))
        """
        return class_mean(values, self.population)

    @property
    def has_running_scores(self) -> bool:
        """Whether the readout gives scores after each timestep: see `running_scores`."""
        return is_running(self.readout)

    @property
    def running_scores(self) -> Tensor:
        """Class scores after each timestep, ``[T, B, C]``.

        Raises
        ------
        ValueError
            If the readout does not give any: see `spikemnist.models.running_scores`. So do
            `running_predictions` and `decided`.
        """
        return self.by_class(running_scores(self.readout, self.spikes, self.membrane))

    @property
    def predictions(self) -> Tensor:
        """Predicted class of each sample, ``[B]``, int64 (see `best_class`)."""
        return best_class(self.scores, self.by_class(self.membrane.mean(0)))

    @property
    def second(self) -> Tensor:
        """Class with the next highest score, ``[B]``, int64; the prediction, if it is alone."""
        best = self.scores.topk(min(2, self.scores.shape[1])).indices
        return torch.where(best[:, 0] == self.predictions, best[:, -1], best[:, 0])

    @property
    def margin(self) -> Tensor:
        """Probability of the prediction less that of `second`, by softmax of the scores, ``[B]``.

        It is 1 for a network of one class.
        """
        return margins(self.scores)

    @property
    def running_predictions(self) -> Tensor:
        """Predicted class after each timestep, ``[T, B]``, int64.

        The last timestep equals `predictions`, even if two scores differ by rounding alone.
        """
        classes = best_class(self.running_scores, self.by_class(running_mean(self.membrane)))
        return torch.cat((classes[:-1], self.predictions.unsqueeze(0)))

    @property
    def decided(self) -> Tensor:
        """Number of timesteps, 1 to T, after which the prediction stays, ``[B]``, int64.

        A picture, where timesteps are t = 0, ..., T - 1, shows the last change at
        ``t = decided - 1``.
        """
        running = self.running_predictions
        steps = torch.arange(1, len(running) + 1, device=running.device).unsqueeze(1)
        return ((running != running[-1]) * steps).amax(0) + 1


def check_record(record: object) -> Record:
    """Return the output of a network, or raise a `TypeError` unless it is a `Record`."""
    if not isinstance(record, Record):
        raise TypeError(
            "the network must return a spikemnist.models.Record, as LeakyMLP does; got "
            f"{type(record).__name__}. Wrap a network of snnTorch: spikemnist.accelerate(network)"
        )
    return record


def check_output(output: object, labels: Tensor) -> None:
    """Raise unless the output is a `Record`, with a class for each of ``labels``."""
    record = check_record(output)
    samples, classes = record.scores.shape
    if labels.shape != (samples,) or labels.dtype != torch.int64:
        raise must_be("labels", f"int64 of shape [{samples}], one for each sample", labels)
    low, high = (int(bound) for bound in labels.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels must lie in 0..{classes - 1} for a network of {classes} classes; "
            f"got {low}..{high}"
        )


def _mapped(part: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a record, or a part of it, with all of its tensors changed."""
    if isinstance(part, Tensor):
        return change(part)
    if isinstance(part, tuple):
        return tuple(_mapped(value, change) for value in part)
    if isinstance(part, (Record, LayerRecord)):
        return replace(part, **{name: _mapped(value, change) for name, value in vars(part).items()})
    return part
