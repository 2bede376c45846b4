"""A multilayer perceptron of leaky integrate-and-fire neurons.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons, ``C`` classes,
``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from spikemnist import ops
from spikemnist.models.finite import finite_backend
from spikemnist.models.inputs import check_spikes
from spikemnist.models.neuron import LeakyLayer, new_leaky
from spikemnist.models.parameters import betas_of, check_choices, thresholds_of
from spikemnist.models.readout import ReadoutName, check_readout, scores
from spikemnist.models.record import LayerRecord, Record
from spikemnist.models.running import on_device_of, run
from spikemnist.models.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from spikemnist.models.parameters import PerLayer


class LeakyMLP(nn.Module):
    r"""Fully connected layers of `snntorch.Leaky` neurons with a readout.

    Layer :math:`l` integrates :math:`I^l_t = W^l S^{l-1}_t + b^l` as `spikemnist.ops.leaky`
    states; the readout makes the class scores of the output layer's spikes and membranes.

    Parameters
    ----------
    in_features
        Inputs per sample, ``F``; the default is an image of 28 x 28 pixels.
    hidden
        Neurons of each hidden layer; a number for one hidden layer, empty for none.
    out_features
        Classes, ``C``.
    beta
        Decay of the membrane per timestep, in [0, 1]. A number for all, or a sequence with one
        entry for each layer, the output layer included: a number, or one number for each neuron.
    threshold
        Firing threshold, above 0, likewise.
    reset_mechanism
        ``"subtract"``, ``"zero"`` or ``"none"``: see `spikemnist.ops.leaky`.
    spike_grad
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with a gradient of its own.
    learn_beta, learn_threshold
        Whether the optimiser changes them. A beta of exactly 0 or 1 has the gradient of
        `torch.clamp` on its bounds: none since torch 2.15. Begin inside.
    dropout
        Probability, in [0, 1), with which a hidden spike is dropped while training, drawn anew
        at each timestep; a seed draws the same masks on every backend.
    readout
        ``"mean_membrane"``, ``"max_membrane"``, ``"spike_count"`` or ``"first_spike"``: see
        `spikemnist.models.readout.scores`.
    backend
        How the T steps are run: see `spikemnist.ops.select_backend`.

    Raises
    ------
    ValueError
        For any argument out of its range.

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
        beta: PerLayer = 0.95,
        threshold: PerLayer = 1.0,
        reset_mechanism: ops.ResetMechanism = "subtract",
        spike_grad: str | Callable[[Tensor], Tensor] = "atan",
        learn_beta: bool = False,
        learn_threshold: bool = False,
        dropout: float = 0.0,
        readout: ReadoutName = "mean_membrane",
        backend: ops.Backend = "auto",
    ) -> None:
        super().__init__()
        self.in_features = in_features
        hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
        sizes = [in_features, *hidden, out_features]
        _check_sizes(in_features, hidden, out_features)
        check_choices(reset_mechanism, dropout)
        check_readout(readout)
        ops.select_backend(backend)
        self.readout = readout
        self.backend = backend
        surrogate = ops.get_surrogate(spike_grad)
        betas, thresholds = betas_of(beta, sizes[1:]), thresholds_of(threshold, sizes[1:])
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
            )
            for fan_in, fan_out, layer_beta, layer_threshold in zip(
                sizes[:-1], sizes[1:], betas, thresholds, strict=True
            )
        )
        self.dropout = nn.Dropout(dropout)

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by the name that `Record` gives it."""
        names = [*(f"hidden {i + 1}" for i in range(len(self.layers) - 1)), "output"]
        widths = [layer.linear.out_features for layer in self.layers]
        return dict(zip(names, widths, strict=True))

    def stages(self) -> list[Stage]:
        """List the layers: modules without memory, and the neurons behind them.

        Returns
        -------
        list of Stage
            From the input to the output, as `spikemnist.energy.measure_energy` counts them.
        """
        return [
            Stage(
                f"layers[{i}].leaky",
                layer.leaky,
                (("flatten", nn.Flatten()), (f"layers[{i}].linear", layer.linear)),
            )
            for i, layer in enumerate(self.layers)
        ]

    @property
    def config(self) -> dict[str, object]:
        """The arguments that build a model like this one, read off its modules."""
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
            "readout": self.readout,
            "backend": self.backend,
        }

    def initial_state(self, batch_size: int) -> tuple[Tensor, ...]:
        """Return membranes at rest.

        Given to a call as ``state``, they make it hand back the membranes that it ended with.

        Parameters
        ----------
        batch_size
            ``B``.

        Returns
        -------
        tuple of torch.Tensor
            Zeros ``[B, N]``, one tensor for each layer.
        """
        return tuple(
            self.layers[0].linear.weight.new_zeros(batch_size, width)
            for width in self.sizes.values()
        )

    def forward(
        self,
        spikes: Tensor,
        *,
        record: Literal["output", "all"] = "output",
        state: Sequence[Tensor] | None = None,
    ) -> Record:
        """Run the network over all timesteps.

        Parameters
        ----------
        spikes
            ``[T, B, ...]`` with ``in_features`` numbers for each sample and timestep, any dtype, on
            any device: they are moved to that of the weights.
        record
            ``"output"`` keeps the output layer, ``"all"`` every layer and the input.
        state
            Membranes to start from, as `initial_state` or an earlier `Record.state` gives them.
            Nothing is remembered between calls otherwise.

        Returns
        -------
        Record
            Its scores are ``[B, C]``.

        Raises
        ------
        TypeError
            When the input is no tensor.
        ValueError
            When the input or the state does not fit the network; and for a parameter that is
            infinite or not a number, outside of training with ``backend="event_driven"``.
        """
        if record not in ("output", "all"):
            raise ValueError(f"record must be 'output' or 'all'; got {record!r}")
        weight = self.layers[0].linear.weight
        check_spikes(spikes, (self.in_features,), "in_features")
        spikes = on_device_of(weight, spikes)
        signal = spikes.flatten(2)
        if state is not None:
            self._check_state(state, signal.shape[1])
            state = [on_device_of(weight, membrane) for membrane in state]
        backend = ops.select_backend(self.backend, signal, weight)
        if not (self.training and torch.is_grad_enabled()):
            backend = finite_backend(self.backend, backend, self._places())
        probability = self.dropout.p if self.training else 0.0
        activities = run(
            self.layers,
            signal,
            backend=backend,
            record=record,
            state=state,
            dropout=[*[probability] * (len(self.layers) - 1), 0.0],
        )
        return self._record(activities, backend, spikes if record == "all" else None, state)

    def _record(
        self,
        activities: Sequence[ops.Activity],
        backend: str,
        recorded: Tensor | None,
        state: Sequence[Tensor] | None,
    ) -> Record:
        sizes = self.sizes
        layers = [
            LayerRecord(name, did.spikes, did.membrane, layer.leaky.threshold.detach())
            for name, layer, did in zip(sizes, self.layers, activities, strict=True)
            if did.spikes is not None and did.membrane is not None
        ]
        output = layers[-1]
        final = tuple(did.final for did in activities if did.final is not None)
        return Record(
            spikes=output.spikes,
            membrane=output.membrane,
            scores=scores(self.readout, output.spikes, output.membrane),
            spike_counts=torch.stack([did.counts for did in activities]),
            readout=self.readout,
            backend=backend,
            sizes=sizes,
            layers=() if recorded is None else tuple(layers),
            input=recorded,
            state=None if state is None else final,
        )

    def _places(self) -> Iterator[tuple[str, nn.Module]]:
        for index, layer in enumerate(self.layers):
            yield f"layers[{index}].linear", layer.linear
            yield f"layers[{index}].leaky", layer.leaky

    def _check_state(self, state: Sequence[Tensor], batch_size: int) -> None:
        expected = [(batch_size, width) for width in self.sizes.values()]
        found = [tuple(membrane.shape) for membrane in state]
        if found != expected:
            raise ValueError(f"state must hold membranes of the shapes {expected}; got {found}")


def _check_sizes(in_features: int, hidden: Sequence[int], out_features: int) -> None:
    sizes = (in_features, *hidden, out_features)
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        raise ValueError(
            "in_features, hidden and out_features must be positive integers; "
            f"got {in_features}, {tuple(hidden)}, {out_features}"
        )
