"""The decision of a classifier on a picture, with its doubts.

Shapes: ``H`` height and ``W`` width of a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from spikemnist._arguments import named
from spikemnist._descriptions import fields_of
from spikemnist._tables import Result, Table
from spikemnist._tensors import Array
from spikemnist.models.classifier import Classifier, check_classifier, evaluating
from spikemnist.models.limits import Limits
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.record import Record
from spikemnist.recognition import picture as pictures
from spikemnist.recognition.doubts import are_usual, belong
from spikemnist.recognition.image_files import as_it_is
from spikemnist.recognition.picture import PreparedPicture


class Voting(Protocol):
    """A classifier whose neurons vote, as those of `spikemnist.plasticity` do."""

    classes_: Array

    def votes(self, X: Any) -> Any:  # noqa: N803  # as in scikit-learn
        """Return the scores of each voting rule, and the spikes."""


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
    limits_fit : bool, default True
        Whether the limits of the classifier belong to its weights. Others are not used.
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
    >>> decision = spikemnist.decide(spikemnist.load("mnist-conv"), test.images[0])
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
    limits_fit: bool = True
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
        doubts = [] if self.limits_fit else ["limits of other weights, not used: measure them"]
        if self.sure is False:
            doubts.append("not sure")
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


@named()
def decide(
    classifier: Classifier | Voting,
    picture: Any,
    *,
    prepare: bool = True,
    invert: bool | None = None,
    seed: int = 0,
) -> Decision:
    """Recognise what is in a picture of your own, in evaluation mode, and name the doubts.

    The doubts are a margin below that of the `Limits` of the classifier, hidden spikes outside of
    them, and ink in several parts. Limits that were measured on other weights are not used, and a
    doubt says so: see `measure_limits`.

    Parameters
    ----------
    classifier : Classifier, STDPClassifier or ConvSTDPClassifier
        Classifier that was trained. The neurons of local learning vote, without a margin, since
        votes are no probabilities.
    picture : path, PIL.Image.Image, numpy.ndarray or torch.Tensor
        Picture of one digit, as for `spikemnist.data.prepare_image`.
    prepare : bool, default True
        Whether to make an image as MNIST has them of it. With False, for a network of other images
        than digits, the picture stays as it is: it needs the size of the images in training.
    invert : bool, default None
        Whether strokes are darker than the paper; None decides by the edge of the picture.
    seed : int, default 0
        Seed for encoders that draw random numbers; local learning has its ``random_state``.

    Returns
    -------
    Decision

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If it is no picture, there is nothing to see, or it does not fit the encoder or the network;
        if ``classifier`` is of another kind or not fitted.

    Examples
    --------
    >>> import spikemnist
    >>> _, test = spikemnist.load_digits()
    >>> decide(spikemnist.load("mnist-mlp"), test.images[0])
    Decision: 8
      what           value
      prediction     8
      second         9
      margin         1.00 of 1, sure from 0.94
      decided after  1 of 8 timesteps
      spikes         hidden 1 219, output 8
      pixels         28 x 28
      strokes        light on dark
    """
    if not hasattr(classifier, "votes"):
        check_classifier(classifier, "decide")
    if prepare:
        preparation = pictures.prepare(picture, invert=invert)
    elif invert is None:
        preparation = as_it_is(picture)
    else:
        raise ValueError(f"invert={invert} needs prepare=True: without it a picture stays as it is")
    if isinstance(classifier, Classifier):
        return _by_network(classifier, preparation, seed)
    return _by_votes(classifier, preparation)


def _by_network(classifier: Classifier, preparation: PreparedPicture, seed: int) -> Decision:
    """Return the decision of a network on a picture."""
    fit = belong(classifier.limits, classifier.network)
    limits = classifier.limits if fit else Limits()
    # A network of another kind may know no record of all layers.
    record: Any = "all" if isinstance(classifier.network, SpikingNetwork) else "output"
    with evaluating(classifier, seed) as generator:
        image = preparation.image.unsqueeze(0).to(classifier.device)
        response = classifier(image, generator=generator, record=record)
    first, second, names = int(response.predictions), int(response.second), response.classes
    return Decision(
        prediction=first,
        second=second,
        classes=(names[first], names[second]) if names else None,
        margin=float(response.margin),
        sure_from=limits.margin,
        decided_after=int(response.decided) if response.has_running_scores else None,
        num_steps=len(response.spikes),
        spikes=dict(zip(response.sizes, response.spike_counts[:, 0].tolist(), strict=True)),
        usual_spikes=are_usual(limits, response),
        limits_fit=fit,
        record=response,
        **preparation._asdict(),
    )


def _by_votes(classifier: Voting, preparation: PreparedPicture) -> Decision:
    """Return the decision of local learning on a picture."""
    votes = classifier.votes(preparation.image.unsqueeze(0))
    order = (-votes.deciding[0]).argsort(kind="stable")
    best = classifier.classes_[order[:2]].tolist()
    spikes = {name: int(counts[0]) for name, counts in votes.spikes.items()}
    return Decision(prediction=best[0], second=best[-1], spikes=spikes, **preparation._asdict())
