"""A multilayer perceptron of leaky integrate-and-fire neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons, ``C`` classes,
``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from spikemnist import ops
from spikemnist.models.inputs import check_spikes
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.neuron import LeakyLayer, new_leaky
from spikemnist.models.parameters import betas_of, check_choices, thresholds_of
from spikemnist.models.spiking_layer import SpikingLayer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from spikemnist.models.parameters import PerLayer
    from spikemnist.models.readout import ReadoutName

_FLATTEN = nn.Flatten()


class LeakyMLP(SpikingNetwork):
    r"""Fully connected layers of `snntorch.Leaky` neurons with a readout.

    Layer :math:`l` integrates :math:`I^l_t = W^l S^{l-1}_t + b^l` as in `spikemnist.ops.leaky`. The
    readout computes the class scores from the spikes and membranes of the output layer.

    Parameters
    ----------
    in_features : int, default 784
        Number of inputs per sample, ``F``. The default is an image of 28 x 28 pixels.
    hidden : int or sequence of int, default (1000,)
        Number of neurons of each hidden layer. A single number makes one hidden layer, an empty
        sequence none.
    out_features : int, default 10
        Number of classes, ``C``.
    batch_norm : bool, default False
        Whether `torch.nn.BatchNorm1d` follows the weights of each hidden layer. Its statistics are
        taken over all timesteps of a batch together.
    beta : float, torch.Tensor or sequence, default 0.95
        Decay of the membrane per timestep, in [0, 1]. One number for all layers, or a sequence with
        one entry for each layer, output layer included: a number, or one number for each neuron.
    threshold : float, torch.Tensor or sequence, default 1.0
        Firing threshold, above 0, in the same form as ``beta``.
    reset_mechanism : str, default "subtract"
        Reset after a spike: ``"subtract"``, ``"zero"`` or ``"none"``, see `spikemnist.ops.leaky`.
    spike_grad : str or callable, default "atan"
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with its own gradient.
    learn_beta, learn_threshold : bool, default False
        Whether beta or threshold is trained. A beta of exactly 0 or 1 has the gradient of
        `torch.clamp` at its bounds, which is zero since torch 2.15: start inside the interval.
    dropout : float, default 0.0
        Probability, in [0, 1), of dropping a hidden spike in training, drawn anew at each timestep.
        For a given seed, the backends ``"reference"`` and ``"event_driven"`` draw the same masks.
    input_dropout : float, default 0.0
        The same probability for an input.
    readout : str, default "mean_membrane"
        Readout that computes the class scores: ``"mean_membrane"``, ``"max_membrane"``,
        ``"spike_count"`` or ``"first_spike"``, see `spikemnist.models.readout.scores`.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`. ``"snntorch"`` steps
        the modules one timestep after the other, and cannot train with ``batch_norm``.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> model = LeakyMLP(hidden=(100,))
    >>> spikes = torch.rand(25, 2, 28, 28) < 0.1
    >>> record = model(spikes)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([25, 2, 10]), torch.Size([2, 10]))
    """

    layers: Sequence[LeakyLayer]

    def __init__(
        self,
        in_features: int = 784,
        hidden: int | Sequence[int] = (1000,),
        out_features: int = 10,
        *,
        batch_norm: bool = False,
        beta: PerLayer = 0.95,
        threshold: PerLayer = 1.0,
        reset_mechanism: ops.ResetMechanism = "subtract",
        spike_grad: str | Callable[[Tensor], Tensor] = "atan",
        learn_beta: bool = False,
        learn_threshold: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        readout: ReadoutName = "mean_membrane",
        backend: ops.Backend = "auto",
    ) -> None:
        super().__init__(readout=readout, backend=backend)
        self.in_features = in_features
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        sizes = [in_features, *hidden, out_features]
        _check_sizes(in_features, hidden, out_features)
        check_choices(reset_mechanism, dropout, input_dropout)
        surrogate = ops.get_surrogate(spike_grad)
        betas, thresholds = betas_of(beta, sizes[1:]), thresholds_of(threshold, sizes[1:])
        norms = [nn.BatchNorm1d(size) if batch_norm else None for size in hidden] + [None]
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            LeakyLayer(
                nn.Linear(fan_in, fan_out),
                new_leaky(
                    layer_beta,
                    layer_threshold,
                    reset_mechanism=reset_mechanism,
                    spike_grad=surrogate,
                    learn_beta=learn_beta,
                    learn_threshold=learn_threshold,
                ),
                norm,
            )
            for fan_in, fan_out, layer_beta, layer_threshold, norm in zip(
                sizes[:-1], sizes[1:], betas, thresholds, norms, strict=True
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.input_dropout = nn.Dropout(input_dropout)

    def spiking_layers(self) -> list[SpikingLayer]:
        """Return the layers, each made of memoryless modules and the neurons after them.

        Returns
        -------
        list of SpikingLayer
            Layers from input to output, as `spikemnist.energy.measure_energy` counts them.
        """
        layers = []
        for index, layer in enumerate(self.layers):
            name = "dropout" if index else "input_dropout"
            place = f"layers[{index}]"
            modules = [
                (name, getattr(self, name)),
                ("flatten", _FLATTEN),
                (f"{place}.linear", layer.linear),
            ]
            if layer.norm is not None:
                modules.append((f"{place}.norm", layer.norm))
            layers.append(SpikingLayer(f"{place}.leaky", layer.leaky, tuple(modules)))
        return layers

    @property
    def config(self) -> dict[str, object]:
        """Arguments that build a model like this one, read from its modules."""
        first = self.layers[0]
        *hidden, out_features = self.sizes.values()
        return {
            "in_features": self.in_features,
            "hidden": hidden,
            "out_features": out_features,
            "beta": [layer.leaky.beta.tolist() for layer in self.layers],
            "threshold": [layer.leaky.threshold.tolist() for layer in self.layers],
            "reset_mechanism": first.leaky.reset_mechanism,
            "spike_grad": first.leaky.spike_grad,
            "learn_beta": isinstance(first.leaky.beta, nn.Parameter),
            "learn_threshold": isinstance(first.leaky.threshold, nn.Parameter),
            "dropout": self.dropout.p,
            "input_dropout": self.input_dropout.p,
            "batch_norm": first.norm is not None,
            "readout": self.readout,
            "backend": self.backend,
        }

    def _check_input(self, spikes: Tensor) -> Tensor:
        check_spikes(spikes, (self.in_features,), "in_features")
        return spikes

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        return [(layer.linear.out_features,) for layer in self.layers]


def _check_sizes(in_features: int, hidden: Sequence[int], out_features: int) -> None:
    sizes = (in_features, *hidden, out_features)
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(
            "in_features, hidden and out_features must be positive integers; "
            f"got {in_features}, {tuple(hidden)}, {out_features}"
        )
