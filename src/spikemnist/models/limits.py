"""Limits beyond which the decision of a classifier is doubted."""

from __future__ import annotations

from dataclasses import dataclass

from spikemnist._arguments import set_numbers


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits beyond which a decision of a classifier on a picture is doubted.

    Parameters
    ----------
    margin : float, default 0.5
        Least margin of a decision that is called sure, from 0 to 1.
    hidden_spikes : tuple of (float, float), default ()
        Least and largest number of spikes of each hidden layer; after these, the same for each
        spike that the layer receives, or input that is not 0. Empty where unknown.
    weights : str, default ""
        Digest of the weights that the limits were measured on. With other weights they are not
        used. Limits without a digest are used with any.

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
    Limits(margin=0.5, hidden_spikes=(), weights='')
    """

    margin: float = 0.5
    hidden_spikes: tuple[tuple[float, float], ...] = ()
    weights: str = ""

    def __post_init__(self) -> None:
        ranges = tuple((float(low), float(high)) for low, high in self.hidden_spikes)
        object.__setattr__(self, "hidden_spikes", ranges)
        set_numbers(self, margin="[0, 1]")
