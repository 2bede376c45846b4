"""Networks of snnTorch's neurons, which run all timesteps and record the layers.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist._arguments import check_choice, check_number, must_be
from spikemnist._names import ReadoutName
from spikemnist._tables import Table, Tabular
from spikemnist._tensors import check_tensor
from spikemnist.models.architecture import Architecture, modules_in, neurons_of
from spikemnist.models.inputs import check_spikes, on_device_of
from spikemnist.models.layer_table import STRUCTURE, layer_names, layer_table, structure
from spikemnist.models.parameters import sizes_of
from spikemnist.models.readout import Readout, class_mean, get_readout, name_of
from spikemnist.models.record import LayerRecord, Record
from spikemnist.models.runners import NetworkOutput, Request, choose, required
from spikemnist.models.spiking_layer import PASSED_BY, SpikingLayer, neuron_shapes
from spikemnist.ops.layer import LayerOutput


class SpikingNetwork(Tabular, nn.Module):
    """A network of snnTorch's neurons whose call runs all timesteps, at once where possible.

    `accelerate` makes one of a user's network; `LeakyMLP` and `LeakyConvNet` build their own. A
    call maps spikes to a `Record`. It starts from membranes at rest, or from ``state`` if given,
    and does not change the membranes stored in the neurons. Each call looks at the modules, options
    and hooks of ``network``, so changes to it take effect; a new value in the tensor
    ``graded_spikes_factor`` alone is not looked for.

    snnTorch steps what the kernels cannot run. Such a network is called with one timestep,
    ``[B, ...]``, after the other, and calls its neurons with their current alone: these keep their
    membranes themselves, with or without ``init_hidden``. It returns spikes ``[B, N]``; a tuple
    that begins with spikes and ends with membranes; or numbers that are no spikes, as a last
    `torch.nn.Linear` does: these are recorded as membranes of an output that never fires.

    Parameters
    ----------
    network : torch.nn.Module
        Modules in their order, or any module that snnTorch can step, as `accelerate` takes them. It
        holds the parameters.
    in_shape : sequence of int, default None
        Shape of a sample at one timestep. ``(F,)`` takes samples of any shape with F numbers,
        ``(C, H, W)`` that shape, or ``[H, W]`` for one channel; None takes the input as it is.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    population : int, default 1
        Number of output neurons that stand for each class together. With P of them, class ``c`` has
        the output neurons ``c * P`` to ``(c + 1) * P - 1``, as in snnTorch, and its score is the
        mean of theirs.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`.

    Raises
    ------
    TypeError, ValueError
        As in `accelerate`.

    Warns
    -----
    UserWarning
        If ``backend="auto"`` has snnTorch step the network, from its beginning or after a change.
        At the first call after which a module of your own, without a method ``reset()``, holds
        something else than before.
    RuntimeWarning
        At the first call if ``backend="auto"`` takes the reference in place of compiled kernels.

    Examples
    --------
    >>> import snntorch
    >>> network = nn.Sequential(nn.Linear(4, 3), snntorch.Leaky(beta=0.9))
    >>> model = SpikingNetwork(network)
    >>> model.network is network, model.sizes, model.layers[0].linear
    (True, {'output': 3}, Linear(in_features=4, out_features=3, bias=True))
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        in_shape: Sequence[int] | None = None,
        readout: ReadoutName | Readout = "mean_membrane",
        population: int = 1,
        backend: ops.Backend = "auto",
    ) -> None:
        super().__init__()
        population = check_number("population", population, "1..")
        if not isinstance(network, nn.Module):
            raise must_be("network", "a torch.nn.Module", network, TypeError)
        architecture = Architecture(network)
        for name in ("auto", backend):  # raises where none can run it, or not this one
            choose(name, architecture, Request())
        if not neurons_of(network):
            raise ValueError("the network has no neurons of snnTorch, so no time to run it over")
        self.network = network
        self.in_shape = None if in_shape is None else sizes_of("each size of in_shape", in_shape)
        self.readout = get_readout(readout)  # torch assigns a module past the property
        self.population = population
        self.backend = backend
        self._architecture = architecture
        self._warn_of_steps(stacklevel=5)  # the caller of `accelerate`

    @property
    def readout(self) -> Readout:
        """The readout, a function. A name of `READOUTS` can be assigned to it as well."""
        return self._readout

    @readout.setter
    def readout(self, readout: ReadoutName | Readout) -> None:
        self._readout = get_readout(readout)

    @property
    def layers(self) -> list[SpikingLayer]:
        """Layers from input to output, each of memoryless modules and the neurons after them.

        ``layers[i].linear`` has the weights of a dense layer and ``layers[i].leaky`` the neurons.

        Raises
        ------
        TypeError
            If snnTorch steps the network, which may have no layers.
        """
        architecture = self.architecture
        if architecture.stepping_reason:
            raise TypeError(f"the layers cannot be read: {architecture.stepping_reason}")
        return architecture.layers

    @property
    def stepping_reason(self) -> str | None:
        """Why snnTorch steps the network, in a sentence; None if another backend can run it."""
        return self.architecture.stepping_reason

    @property
    def architecture(self) -> Architecture:
        """What runners know of the network, which is read again only where it has changed."""
        if not self._architecture.holds(modules_in(self.network)):
            self._architecture = Architecture(self.network)
            self._warn_of_steps(stacklevel=6)  # the caller of the network
        return self._architecture

    def _warn_of_steps(self, stacklevel: int) -> None:
        if self._architecture.stepping_reason and self.backend == "auto":
            text = "snnTorch steps this network, one timestep after the other: "
            warnings.warn(text + self._architecture.stepping_reason, stacklevel=stacklevel)

    def __getstate__(self) -> dict[str, Any]:
        # snnTorch's surrogates are closures, which cannot be pickled; ours have the same gradients.
        for neuron in neurons_of(self.network):
            neuron.spike_grad = ops.get_surrogate(neuron.spike_grad)
        return vars(self).copy()

    def table(self) -> Table:
        """Return modules, sizes and neurons of each layer, as ``repr`` shows."""
        total = sum(parameter.numel() for parameter in self.parameters())
        title = f"{type(self).__name__} of {total:,} parameters, {self.extra_repr()}"
        if self.stepping_reason:
            neurons = [(path, type(n).__name__) for n, path in neurons_of(self.network).items()]
            return Table(title, ("neurons", "kind"), neurons, f"stepped: {self.stepping_reason}")
        try:
            shapes = self._shapes()
        except ValueError:
            shapes = None  # they depend on the input
        return layer_table(title, structure(self.layers, shapes), STRUCTURE)

    def extra_repr(self) -> str:
        """Return readout and backend, for the printed form of a module that holds the network."""
        groups = f"population={self.population}, " if self.population > 1 else ""
        return f"readout={name_of(self.readout)!r}, {groups}backend={self.backend!r}"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by its name in `Record`.

        After a convolution the number depends on the size of the input: without ``in_shape`` this
        property then raises a `ValueError`, and `Record.sizes` has the numbers.
        """
        return _sizes(self._shapes())

    def _shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of the neurons of each layer."""
        layers = self.layers
        shape = self.in_shape or _features(layers[0])
        return neuron_shapes(layers, shape, self.architecture.template)

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
            its memory. Nothing else of the neurons carries over from one call to the next. A module
            of your own with a state, such as a trace, needs a method ``reset()``: a call from rest
            begins with it.

        Returns
        -------
        Record
            Record of the call, with scores ``[B, C]``.

        Raises
        ------
        TypeError
            If the input is not a tensor.
        ValueError
            If the input or the state does not fit the network; if ``population`` does not divide
            the number of output neurons; if the ``backend`` cannot run it,
            for example because its neurons have hooks; or if ``backend="snntorch"`` would train
            batch normalisation one timestep after the other; if ``torch.jit.trace`` calls another
            backend.
        """
        check_choice("record", record, ("output", "all"))
        if torch.jit.is_tracing() and self.backend != "snntorch":  # type: ignore[attr-defined,no-untyped-call]
            raise ValueError('torch.jit.trace takes only backend="snntorch"; use torch.export')
        spikes = self._check_input(spikes)
        architecture = self.architecture
        template = architecture.template
        spikes = on_device_of(template, spikes)
        for membrane in state or ():
            check_tensor(membrane, "each membrane of state", "[B, ...]")
        initial = [on_device_of(template, membrane) for membrane in state or ()] or None
        final = state is None or len(state) > 0
        request = Request(spikes, template, record, initial, final)
        backend, runner, reason = choose(self.backend, architecture, request)
        if backend == "reference" and reason:
            text = (
                f"the slower reference runs this network, since compiled kernels cannot: {reason}"
            )
            architecture.warn_once(text, RuntimeWarning, stacklevel=5)
        output = runner.run(architecture, request)
        return self._record(output, backend, spikes if record == "all" else None, final=final)

    if TYPE_CHECKING:  # torch.nn.Module calls `forward`, and says nothing of its types
        __call__ = forward

    def _record(
        self, output: NetworkOutput, backend: str, spikes: Tensor | None, *, final: bool
    ) -> Record:
        """Return the record of an output: with the ``spikes`` of the input, that of all layers."""
        outputs = output.outputs
        output_spikes, membrane = required(outputs[-1].spikes), required(outputs[-1].membrane)
        if output_spikes.dim() > 3:
            shape = tuple(output_spikes.shape[2:])
            raise ValueError(
                f"the last neurons, {output.path}, have the shape {shape}, and scores need one "
                "neuron for each class: put nn.Flatten() before them"
            )
        sizes = _sizes([layer.shape for layer in outputs])
        scores = self.readout(output_spikes, membrane)
        if scores.shape != output_spikes.shape[1:]:
            raise ValueError(
                f"the readout {name_of(self.readout)} must return scores [B, N], here "
                f"{list(output_spikes.shape[1:])}; got shape {tuple(scores.shape)}"
            )
        layers: tuple[LayerRecord, ...] = ()
        if spikes is not None:
            dtype = required(outputs[0].membrane).dtype
            spikes = spikes if spikes.is_floating_point() else spikes.to(dtype)
            layers = tuple(
                _layer_record(name, layer, neuron)
                for name, layer, neuron in zip(sizes, outputs, output.neurons, strict=True)
            )
        return Record(
            spikes=output_spikes,
            membrane=membrane,
            scores=class_mean(scores, self.population),
            spike_counts=torch.stack([layer.counts for layer in outputs]),
            readout=self.readout,
            backend=backend,
            sizes=sizes,
            layers=layers,
            input=spikes,
            final=output.state if final else None,
        )

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


def _layer_record(name: str, output: LayerOutput, neuron: Any) -> LayerRecord:
    """Return what a layer did, with the threshold and the reset of its neuron."""
    spikes, membrane = required(output.spikes), required(output.membrane)
    if neuron is None:  # a last nn.Linear, which never fires
        return LayerRecord(name, spikes, membrane, membrane.new_full((), torch.inf), "none")
    return LayerRecord(name, spikes, membrane, neuron.threshold.detach(), neuron.reset_mechanism)


def _features(layer: SpikingLayer) -> tuple[int]:
    """Return the shape of a sample that enters a dense layer."""
    path, module = next(
        (place for place in layer.modules if not isinstance(place[1], PASSED_BY)),
        (layer.path, layer.leaky),
    )
    if not isinstance(module, nn.Linear):
        raise ValueError(
            f"the network begins with {path} ({type(module).__name__}), so its sizes depend on the "
            "input: pass in_shape to accelerate, or read Record.sizes"
        )
    return (module.in_features,)


def _sizes(shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    return dict(zip(layer_names(len(shapes)), map(math.prod, shapes), strict=True))
