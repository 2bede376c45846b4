"""The decision of a classifier on a picture, with its doubts and their limits.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` samples, ``L`` hidden layers, ``H`` height and ``W``
width of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikemnist._arguments import set_numbers
from spikemnist._descriptions import fields_of
from spikemnist._tables import Result, Table
from spikemnist.data.image_files import as_it_is
from spikemnist.data.picture import PreparedPicture, prepare

if TYPE_CHECKING:
    from spikemnist._tensors import Array
    from spikemnist.models.record import Record
    from spikemnist.plasticity.assignment import Votes

DOUBTED = 20
"""One of so many right answers is called not sure."""

OUTSIDE = 1000
"""One of so many samples lies below the limits of its hidden spikes, and one above."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits beyond which `spikemnist.models.Classifier.decide` doubts a decision.

    `Classifier.measure_limits` measures them; `spikemnist.fit` does so on its validation data.

    Parameters
    ----------
    margin : float, default 0.5
        Least margin of a decision that is called sure, from 0 to 1.
    hidden_spikes : tuple of (float, float), default ()
        Least and largest number of spikes of each hidden layer; after these, the same for each
        spike that the layer receives, or input that is not 0. Empty where unknown.

    Raises
    ------
    TypeError, ValueError
        If the margin is no number in [0, 1], or a range is no pair of numbers.

    Examples
    --------
    >>> import spikemnist
    >>> spikemnist.load("mnist-mlp").limits.margin
    0.94
    >>> Limits()
    Limits(margin=0.5, hidden_spikes=())
    """

    margin: float = 0.5
    hidden_spikes: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        ranges = tuple((float(low), float(high)) for low, high in self.hidden_spikes)
        object.__setattr__(self, "hidden_spikes", ranges)
        set_numbers(self, margin="[0, 1]")


def limits_of(batches: Iterable[tuple[Tensor, Record, Tensor]]) -> Limits:
    """Return the limits by spikes, record and labels of each batch."""
    right, parts = [torch.ones(1)], []  # without a right answer nothing is sure
    for spikes, record, labels in batches:
        right.append(record.margin[record.predictions == labels].cpu())
        parts.append(hidden_spikes(spikes, record).cpu())
    margins, hidden = torch.cat(right).sort().values, torch.cat(parts, 1).sort().values
    least, outside = float(margins[(len(margins) - 1) // DOUBTED]), hidden.shape[1] // OUTSIDE
    ranges = zip(hidden[:, outside].tolist(), hidden[:, -1 - outside].tolist(), strict=True)
    return Limits(margin=math.floor(1000 * least) / 1000, hidden_spikes=tuple(ranges))


def hidden_spikes(spikes: Tensor, record: Record) -> Tensor:
    """Return the hidden spikes of each sample, as `Limits` has them, ``[2 L, B]``.

    ``spikes`` are the input ``[T, B, ...]`` of the network.
    """
    inputs = torch.count_nonzero(spikes, (0, *range(2, spikes.ndim)))
    counts = torch.cat((inputs.unsqueeze(0), record.spike_counts[:-1])).float()
    return torch.cat((counts[1:], counts[1:] / counts[:-1].clamp(min=1)))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Decision(Result):
    """Decision of a classifier on one picture.

    Attributes
    ----------
    prediction, second : int, or a label of another type of an `STDPClassifier`
        The class that was decided, and the next one.
    classes : tuple of str, default None
        Names of the two, if the classifier has any.
    margin : float, default None
        Probability of the prediction less that of the next class, by softmax of the scores; None
        for the votes of an `STDPClassifier`, which are no probabilities.
    sure_from : float, default 0.5
        Least margin of a decision that is called sure.
    decided_after, num_steps : int, default None
        Number of timesteps after which the prediction stayed, of how many; the first is None where
        the readout gives no scores before the last timestep.
    spikes : dict of str to int
        Number of spikes by layer, or of the neurons or features of local learning.
    usual_spikes : bool, default None
        Whether the hidden spikes are within the `Limits` of the classifier; None where it has none.
    parts : int
        Number of parts of the ink that lie apart.
    pixels : tuple of int
        Width and height of the picture.
    strokes : str, default None
        ``"dark on light"`` or ``"light on dark"``, if the picture was prepared.
    image : torch.Tensor
        What the classifier saw, uint8 ``[H, W]``, or ``[3, H, W]`` in colour.
    record : Record, default None
        What the network did, for pictures; None without a network.

    Examples
    --------
    >>> import spikemnist
    >>> _, test = spikemnist.load_digits()
    >>> decision = spikemnist.load("mnist-conv").decide(test.images[0])
    >>> decision.prediction, decision.sure, decision.doubts
    (8, True, ())
    """

    prediction: Any
    second: Any
    classes: tuple[str, str] | None = None
    margin: float | None = None
    sure_from: float = Limits.margin
    decided_after: int | None = None
    num_steps: int | None = None
    spikes: Mapping[str, int]
    usual_spikes: bool | None = None
    parts: int
    pixels: tuple[int, int]
    strokes: str | None = None
    image: Tensor
    record: Record | None = None

    @property
    def sure(self) -> bool | None:
        """Whether the margin is at least ``sure_from``; None without a margin."""
        return None if self.margin is None else self.margin >= self.sure_from

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against the decision, in words."""
        doubts = ["not sure"] if self.sure is False else []
        if self.usual_spikes is False:
            doubts.append("unusual hidden spikes: another kind of picture?")
        if self.parts > 1:
            doubts.append(f"ink in {self.parts} parts: several digits?")
        return tuple(doubts)

    @property
    def answer(self) -> str:
        """The prediction with its name and the doubts, in words."""
        doubts = f" ({'; '.join(self.doubts)})" if self.doubts else ""
        return f"{self._named(0)}{doubts}"

    def table(self) -> Table:
        """Return what was decided and how, as ``repr`` shows."""
        rows = [("prediction", self.answer), ("second", self._named(1))]
        if self.margin is not None:
            rows.append(("margin", f"{self.margin:.2f} of 1, sure from {self.sure_from:g}"))
        if self.decided_after is not None:
            rows.append(("decided after", f"{self.decided_after} of {self.num_steps} timesteps"))
        spikes = ", ".join(f"{name} {count:,}" for name, count in self.spikes.items())
        rows += [("spikes", spikes), ("pixels", " x ".join(map(str, self.pixels)))]
        if self.strokes is not None:
            rows.append(("strokes", self.strokes))
        return Table(f"Decision: {self.answer}", ("what", "value"), rows)

    def to_json(self) -> dict[str, Any]:
        """Return the fields but image and record, as ``spikemnist predict --json`` prints them.

        Returns
        -------
        dict
            Fields by name, with ``sure`` and ``doubts``.
        """
        values = {**fields_of(self), "sure": self.sure, "doubts": self.doubts}
        return {name: value for name, value in values.items() if name not in ("image", "record")}

    def _named(self, place: int) -> str:
        label = str((self.prediction, self.second)[place])
        return f"{label}, {self.classes[place]}" if self.classes else label


def read_picture(picture: Any, *, prepared: bool, invert: bool | None) -> PreparedPicture:
    """Return a picture as a classifier sees it: see `spikemnist.models.Classifier.decide`."""
    if prepared:
        return prepare(picture, invert=invert)
    if invert is not None:
        raise ValueError(f"invert={invert} needs prepare=True: without it a picture stays as it is")
    return as_it_is(picture)


def are_usual(limits: Limits, record: Record) -> bool | None:
    """Return whether the hidden spikes of one sample are within limits; None where unknown."""
    if not limits.hidden_spikes or record.input is None:
        return None
    low, high = torch.tensor(limits.hidden_spikes).unbind(1)
    spikes = hidden_spikes(record.input, record)[:, 0].cpu()
    if len(low) != len(spikes):
        raise ValueError(
            f"limits have {len(low)} ranges of hidden spikes; expected {len(spikes)}, two for each "
            "hidden layer: measure them with this network"
        )
    return bool(((low <= spikes) & (spikes <= high)).all())


def decision_of_record(record: Record, seen: PreparedPicture, limits: Limits) -> Decision:
    """Return the decision of a network in the record of one picture."""
    first, second, names = int(record.predictions), int(record.second), record.classes
    return Decision(
        prediction=first,
        second=second,
        classes=(names[first], names[second]) if names else None,
        margin=float(record.margin),
        sure_from=limits.margin,
        decided_after=int(record.decided) if record.has_running_scores else None,
        num_steps=len(record.spikes),
        spikes=dict(zip(record.sizes, record.spike_counts[:, 0].tolist(), strict=True)),
        usual_spikes=are_usual(limits, record),
        record=record,
        **_picture_fields(seen),
    )


def decision_of_votes(votes: Votes, classes: Array, seen: PreparedPicture) -> Decision:
    """Return the decision of local learning in the votes on one picture."""
    order = (-votes.deciding[0]).argsort(kind="stable")
    best = classes[order[:2]].tolist()
    spikes = {name: int(counts[0]) for name, counts in votes.spikes.items()}
    return Decision(prediction=best[0], second=best[-1], spikes=spikes, **_picture_fields(seen))


def _picture_fields(seen: PreparedPicture) -> dict[str, Any]:
    strokes = {True: "dark on light", False: "light on dark", None: None}
    height, width = seen.size
    return {
        "parts": seen.parts,
        "pixels": (width, height),
        "strokes": strokes[seen.inverted],
        "image": seen.image,
    }
