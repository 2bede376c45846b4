"""What an evaluation measures: metrics of any classifier on labelled data.

Shapes: ``T`` timesteps, ``C`` classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from spikemnist._tables import Result, Table

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """Metrics of a model on labelled data.

    Attributes
    ----------
    accuracy : float
        Share of samples whose predicted class is the label.
    loss : float
        Mean loss per sample; NaN for a classifier of `spikemnist.plasticity`, which has none.
    confusion : torch.Tensor
        Confusion matrix ``[C, C]``, int64: row = label, column = prediction.
    spikes_per_sample : dict of str to float
        Mean number of spikes for one sample, by layer: ``"input"``, ``"hidden 1"``, ...,
        ``"output"``; without ``"input"`` where that is a current, as of the direct code. Of an
        `STDPClassifier` all ``"neurons"`` together, of a `ConvSTDPClassifier` the ``"features"``
        that appear in a pooling cell.
    silent : float
        Share of samples for which no output neuron fired.
    tied : float
        Share of samples for which at least two classes shared the highest score.
    accuracy_per_step : torch.Tensor
        Accuracy if the decision were taken after each timestep, ``[T]``; empty where the spikes of
        all timesteps vote together, or a readout of your own gives no scores before the last one.
    samples : int
        Number of samples.
    backend : str
        Name of the backend that ran the first batch; a last one of few frames may take another.
    seconds : float
        Wall-clock time, encoding included.
    votes : dict of str to float, default {}
        Accuracy of each voting rule of an `STDPClassifier`.
    classes : tuple of str, default ()
        Names of the classes, in the order of the confusion matrix, if they have any.
    standard_error : float
        Standard error of the accuracy ``p`` of ``n`` samples, ``sqrt(p * (1 - p) / n)``.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, evaluate, load_digits
    >>> result = evaluate(Classifier(LeakyMLP(hidden=20), "latency"), load_digits()[1][:50])
    >>> result.samples, result.confusion.sum(1).tolist(), list(result.spikes_per_sample)
    (50, [5, 5, 5, 5, 5, 5, 5, 5, 5, 5], ['input', 'hidden 1', 'output'])
    """

    accuracy: float
    loss: float
    confusion: Tensor
    spikes_per_sample: dict[str, float]
    silent: float
    tied: float
    accuracy_per_step: Tensor
    samples: int
    backend: str
    seconds: float
    votes: Mapping[str, float] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    standard_error: float = field(init=False)

    def __post_init__(self) -> None:
        error = math.sqrt(self.accuracy * (1 - self.accuracy) / self.samples)
        object.__setattr__(self, "standard_error", error)

    def __format__(self, form: str) -> str:
        if form:
            raise TypeError(f"an Evaluation has no format {form!r}: format its .accuracy")
        return str(self)

    def table(self) -> Table:
        """Return name and value of each metric that was measured, as ``repr`` shows."""
        votes = ", ".join(f"{name} {share:.2%}" for name, share in self.votes.items())
        spikes = ", ".join(f"{name} {n:,.1f}" for name, n in self.spikes_per_sample.items())
        steps = self.accuracy_per_step.tolist()
        trained = bool(steps) or not math.isnan(self.loss)  # not by local learning
        if trained and "input" not in self.spikes_per_sample:
            spikes = f"input a current, {spikes}"
        rows = [
            ("accuracy", f"{self.accuracy:.2%} ± {self.standard_error:.2%} standard error"),
            ("by vote", votes),
            ("loss", f"{self.loss:.4f}" if trained else ""),
            ("spikes per sample", spikes),
            ("silent", f"{self.silent:.2%} of the samples, without an output spike"),
            ("tied", f"{self.tied:.2%} of the samples, with two highest scores"),
            ("after each step", " ".join(f"{share:.1%}" for share in steps)),
            ("seconds", f"{self.seconds:.2f}"),
        ]
        title = f"Evaluation of {self.samples:,} samples, by the backend {self.backend}"
        return Table(title, ("metric", "value"), [row for row in rows if row[1]])


@runtime_checkable
class Evaluable(Protocol):
    """A classifier that evaluates itself, as those of `spikemnist.plasticity` do."""

    def evaluate(self, data: Any) -> Evaluation:
        """Evaluate the classifier on labelled data."""
