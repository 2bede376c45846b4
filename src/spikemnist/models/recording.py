"""Networks that map spikes to a record: input, readout and record, whoever runs the timesteps.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import snntorch
import torch
from torch import nn

from spikemnist import ops
from spikemnist._tables import Tabular
from spikemnist._tensors import check_tensor
from spikemnist.models.execution import present
from spikemnist.models.inputs import check_spikes, on_device_of
from spikemnist.models.readout import get_readout, name_of
from spikemnist.models.record import LayerRecord, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from spikemnist._names import ReadoutName
    from spikemnist.models.readout import Readout
    from spikemnist.ops.layer import LayerOutput

    State = Sequence[Tensor] | None
    """Tensors from which a call continues; rest when None."""


class Run(NamedTuple):
    """What the layers of a network did over all timesteps.

    ``thresholds`` has one tensor for each of ``outputs``, the output layer last. ``state`` holds
    tensors ``[B, ...]`` from which a next call continues, or is None. ``place`` is the place of the
    output neurons in the network.
    """

    backend: str
    outputs: list[LayerOutput]
    thresholds: list[Tensor]
    state: tuple[Tensor, ...] | None
    place: str


class RecordingNetwork(Tabular, nn.Module):
    """Base class of the networks that map spikes to a `Record`.

    Parameters
    ----------
    network : torch.nn.Module
        Module that holds the parameters.
    in_shape : sequence of int, default None
        Shape of a sample at one timestep. ``(F,)`` takes samples of any shape with F numbers,
        ``(C, H, W)`` that shape, or ``[H, W]`` for one channel; None takes the input as it is.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        in_shape: Sequence[int] | None = None,
        readout: ReadoutName | Readout = "mean_membrane",
    ) -> None:
        super().__init__()
        self.network = network
        self.in_shape: tuple[int, ...] | None = None if in_shape is None else tuple(in_shape)
        self.readout = readout

    def __getstate__(self) -> dict[str, Any]:
        # snnTorch's surrogates are closures, which cannot be pickled; ours have the same gradients.
        for module in modules_in(self.network):
            if isinstance(module, snntorch.SpikingNeuron):
                module.spike_grad = ops.get_surrogate(module.spike_grad)
        return vars(self)

    @property
    def readout(self) -> Readout:
        """The readout, a function. A name of `READOUTS` can be assigned to it as well."""
        return self._readout

    @readout.setter
    def readout(self, readout: ReadoutName | Readout) -> None:
        self._readout = get_readout(readout)

    if TYPE_CHECKING:  # torch.nn.Module calls `forward`, and says nothing of its types

        def __call__(  # noqa: D102
            self,
            spikes: Tensor,
            *,
            record: Literal["output", "all"] = "output",
            state: Sequence[Tensor] | None = (),
        ) -> Record: ...

    def forward(
        self,
        spikes: Tensor,
        *,
        record: Literal["output", "all"] = "output",
        state: Sequence[Tensor] | None = (),
    ) -> Record:
        """Run the network over all timesteps.

        Parameters
        ----------
        spikes : torch.Tensor
            Input of the first layer for each sample and timestep, ``[T, B, ...]``, of any dtype and
            on any device. It is moved to the device of the weights. NaN is not looked for, as the
            encoders refuse it: a neuron whose membrane is NaN never fires.
        record : str, default "output"
            Layers to record: ``"output"`` keeps the output layer, ``"all"`` every layer and the
            input.
        state : sequence of torch.Tensor or None, default ()
            State to start from: that of an earlier `Record.state`, or None for rest. The record
            then has a state, too. An empty sequence starts from rest and returns none, which saves
            its memory. Nothing else carries over from one call to the next.

        Returns
        -------
        Record
            Record of the call, with scores ``[B, C]``.

        Raises
        ------
        TypeError
            If the input is not a tensor.
        ValueError
            If the input or the state does not fit the network; if the ``backend`` cannot run it,
            for example because its neurons have hooks; or if ``backend="snntorch"`` would train
            batch normalisation one timestep after the other.
        """
        if record not in ("output", "all"):
            raise ValueError(f"record must be 'output' or 'all'; got {record!r}")
        like = self._like()
        spikes = on_device_of(like, self._check_input(spikes))
        final = state is None or len(state) > 0
        initial = [on_device_of(like, tensor) for tensor in state or ()] or None
        run = self._run(spikes, like, record, initial, final)
        output_spikes, membrane = present(run.outputs[-1].spikes), present(run.outputs[-1].membrane)
        if output_spikes.dim() != 3:
            raise ValueError(
                f"the last neurons, {run.place}, have the shape {tuple(output_spikes.shape[2:])}, "
                "and scores need one neuron for each class: put nn.Flatten() before them"
            )
        scores = self.readout(output_spikes, membrane)
        if scores.shape != output_spikes.shape[1:]:
            raise ValueError(
                f"the readout {name_of(self.readout)} must return scores [B, C], here "
                f"{list(output_spikes.shape[1:])}; got shape {tuple(scores.shape)}"
            )
        sizes = sizes_of([output.shape for output in run.outputs])
        everything = record == "all"
        return Record(
            spikes=output_spikes,
            membrane=membrane,
            scores=scores,
            spike_counts=torch.stack([output.counts for output in run.outputs]),
            readout=self.readout,
            backend=run.backend,
            sizes=sizes,
            layers=_layer_records(sizes, run) if everything else (),
            input=_floating(spikes, like.dtype) if everything else None,
            final=run.state,
        )

    @abstractmethod
    def _run(self, spikes: Tensor, like: Tensor, record: str, state: State, final: bool) -> Run:
        """Run the layers from a state or from rest; ``final`` asks for the state at the end."""

    def _check_input(self, spikes: Tensor) -> Tensor:
        """Return the input in the shape of the first layer, or raise an error."""
        if self.in_shape is not None:
            check_spikes(spikes, self.in_shape)
            return spikes.reshape(*spikes.shape[:2], *self.in_shape)
        check_tensor(spikes, "spikes", "[T, B, ...]")
        if spikes.dim() < 3 or len(spikes) < 1:
            raise ValueError(
                f"expected spikes [T, B, ...] with T >= 1; got shape {tuple(spikes.shape)}"
            )
        return spikes

    def _like(self) -> Tensor:
        """Return a tensor that has the dtype and the device of the computation."""
        # There always is one: the membrane of a neuron of snnTorch is a floating buffer.
        return next(
            tensor
            for module in modules_in(self.network)
            for tensor in (*module._parameters.values(), *module._buffers.values())
            if tensor is not None and tensor.is_floating_point()
        )


def modules_in(module: nn.Module) -> Iterator[nn.Module]:
    """Yield a module and all below it; `torch.nn.Module.modules` takes ten times as long."""
    yield module
    for below in module._modules.values():
        if below is not None:
            yield from modules_in(below)


def layer_names(layers: int) -> list[str]:
    """Return the names of the layers of a network: ``hidden 1``, ``hidden 2``, ..., ``output``."""
    return [*(f"hidden {i + 1}" for i in range(layers - 1)), "output"]


def sizes_of(shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    """Return the number of neurons of each layer by name, from the shapes of one sample."""
    return dict(zip(layer_names(len(shapes)), map(math.prod, shapes), strict=True))


def _layer_records(names: Sequence[str] | dict[str, int], run: Run) -> tuple[LayerRecord, ...]:
    return tuple(
        LayerRecord(name, present(output.spikes), present(output.membrane), threshold.detach())
        for name, output, threshold in zip(names, run.outputs, run.thresholds, strict=True)
    )


def _floating(spikes: Tensor, dtype: torch.dtype) -> Tensor:
    return spikes if spikes.is_floating_point() else spikes.to(dtype)
