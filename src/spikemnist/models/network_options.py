"""The options that `LeakyMLP` and `LeakyConvNet` share.

Nothing heavy is imported here, so that the command line can list them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from spikemnist._arguments import set_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from spikemnist._names import Backend, ReadoutName, ResetMechanism, SurrogateName
    from spikemnist.models.parameters import PerLayer
    from spikemnist.models.readout import Readout


LAYERS = "12C5-P2-64C5-P2-10"
"""Default layers of a `LeakyConvNet`."""

ELSEWHERE = {
    "num_steps": "it at the encoder, LatencyEncoder(num_steps=...)",
    "lr": "TrainConfig(lr=...)",
    "epochs": "TrainConfig(epochs=...)",
}
"""Options that neither a network nor a classifier has, and where they are."""


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Keyword arguments that `LeakyMLP` and `LeakyConvNet` share, with their defaults.

    Attributes
    ----------
    batch_norm : bool, default False
        Whether batch normalisation follows the weights. It is `torch.nn.BatchNorm1d` in each hidden
        layer of a `LeakyMLP`, `torch.nn.BatchNorm2d` after each convolution of a `LeakyConvNet`.
        Its statistics are taken over all timesteps of a batch together.
    beta : float, torch.Tensor or sequence, default 0.95
        Decay of the membrane per timestep, in [0, 1]. One number for all layers, or a sequence with
        one entry for each layer, output layer included: a number, or one number for each dense
        neuron or channel.
    threshold : float, torch.Tensor or sequence, default 1.0
        Firing threshold, above 0. In the same form as ``beta``.
    reset_mechanism : str, default "subtract"
        Reset after a spike, which subtracts the threshold or sets the membrane to zero. See
        `spikemnist.ops.leaky`.
    spike_grad : str or callable, default "atan"
        Surrogate gradient. A name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with its own gradient.
    learn_beta, learn_threshold : bool, default False
        Whether beta or threshold is trained. A beta of exactly 0 or 1 has the gradient of
        `torch.clamp` at its bounds, which is zero since torch 2.15: start inside the interval.
        `spikemnist.fit` keeps it there.
    dropout : float, default 0.0
        Probability, in [0, 1), of dropping a hidden spike in training. Drawn anew at each timestep.
        For a given seed, the backends ``"reference"`` and ``"event_driven"`` draw the same masks.
    input_dropout : float, default 0.0
        Probability, in [0, 1), of dropping an input in training.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores. One of `READOUTS`, or a function of spikes and
        membranes, see `spikemnist.models.get_readout`.
    population : int, default 1
        Number of output neurons that stand for each class together. See `SpikingNetwork`.
    backend : str, default "auto"
        Backend that runs the timesteps. See `spikemnist.ops.select_backend`. ``"snntorch"`` steps
        the modules one timestep after the other, and cannot train with ``batch_norm``.

    Raises
    ------
    TypeError
        If an option is unknown.
    ValueError
        If ``population`` is below 1.

    Examples
    --------
    >>> from spikemnist.models import LeakyMLP
    >>> LeakyMLP(hidden=100, beta=0.9, dropout=0.2).config["dropout"]
    0.2
    """

    batch_norm: bool = False
    beta: PerLayer = 0.95
    threshold: PerLayer = 1.0
    reset_mechanism: ResetMechanism = "subtract"
    spike_grad: SurrogateName | Callable[[Tensor], Tensor] = "atan"
    learn_beta: bool = False
    learn_threshold: bool = False
    dropout: float = 0.0
    input_dropout: float = 0.0
    readout: ReadoutName | Readout = "mean_membrane"
    population: int = 1
    backend: Backend = "auto"

    def __post_init__(self) -> None:
        spans = dict.fromkeys(("dropout", "input_dropout"), "[0, 1)")
        set_numbers(self, population="1..", **spans)


def shared_options(arguments: Mapping[str, Any]) -> NetworkOptions:
    """Return the options that networks share, of the arguments of a constructor."""
    return NetworkOptions(**{x.name: arguments[x.name] for x in fields(NetworkOptions)})
