"""Networks of leaky neurons, which run all timesteps at once and record the layers.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes, ``L`` layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from spikemnist import ops
from spikemnist._tables import Table
from spikemnist.models import execution
from spikemnist.models.execution import present
from spikemnist.models.neuron import describe, is_hooked
from spikemnist.models.readout import name_of
from spikemnist.models.recording import RecordingNetwork, Run, layer_names, modules_in, sizes_of
from spikemnist.models.sequential import check_grades, read_layers
from spikemnist.models.spiking_layer import PASSED_BY, neuron_shapes
from spikemnist.models.stepped import SteppedNetwork
from spikemnist.ops.backends import COMPILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist._names import ReadoutName
    from spikemnist.models.readout import Readout
    from spikemnist.models.recording import State
    from spikemnist.models.spiking_layer import SpikingLayer


class SpikingNetwork(RecordingNetwork):
    """A network of `snntorch.Leaky` neurons that runs all timesteps at once.

    `accelerate` makes one of a user's network; `LeakyMLP` and `LeakyConvNet` build their own. A
    call maps spikes to a `Record`. It starts from membranes at rest, or from ``state`` if given,
    and does not change the membranes stored in the neurons. Each call reads ``network`` again, so
    changes to it take effect; ``graded_spikes_factor`` alone is checked only once.

    Parameters
    ----------
    network : torch.nn.Sequential
        Modules in their order, as `accelerate` takes them. It holds the parameters.
    in_shape : sequence of int, default None
        Shape of a sample at one timestep. ``(F,)`` takes samples of any shape with F numbers,
        ``(C, H, W)`` that shape, or ``[H, W]`` for one channel; None takes the input as it is.
    readout : str or callable, default "mean_membrane"
        Readout that computes the class scores: see `spikemnist.models.get_readout`.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`.

    Raises
    ------
    TypeError, ValueError
        As in `accelerate`.

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
        backend: ops.Backend = "auto",
    ) -> None:
        ops.select_backend(backend)
        check_grades(read_layers(network))
        super().__init__(network, in_shape=in_shape, readout=readout)
        self.backend = backend

    @property
    def layers(self) -> list[SpikingLayer]:
        """Layers from input to output, each of memoryless modules and the neurons after them.

        ``layers[i].linear`` has the weights of a dense layer and ``layers[i].leaky`` the neurons.
        """
        return read_layers(self.network)

    def table(self) -> Table:
        """Return modules, sizes and neurons of each layer, as ``repr`` shows."""
        layers = self.layers
        try:
            sizes = [f"{size:,}" for size in self.sizes.values()]
        except ValueError:
            sizes = ["by input"] * len(layers)
        rows = [
            (
                name,
                " ".join(type(module).__name__ for _, module in layer.modules),
                size,
                f"{layer.num_parameters:,}",
                *describe(layer.leaky),
            )
            for name, size, layer in zip(layer_names(len(layers)), sizes, layers, strict=True)
        ]
        total = sum(parameter.numel() for parameter in self.parameters())
        title = f"{type(self).__name__} of {total:,} parameters, {self.extra_repr()}"
        head = ("layer", "modules", "neurons", "parameters")
        return Table(title, (*head, "beta", "threshold", "reset", "surrogate"), rows)

    def extra_repr(self) -> str:
        """Return readout and backend, for the printed form of a module that holds the network."""
        return f"readout={name_of(self.readout)!r}, backend={self.backend!r}"

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by its name in `Record`.

        After a convolution the number depends on the size of the input: without ``in_shape`` this
        property then raises a `ValueError`, and `Record.sizes` has the numbers.
        """
        return sizes_of(self._shapes(()))

    def initial_state(self, batch_size: int, *sample_shape: int) -> tuple[Tensor, ...]:
        """Return membranes at rest, the ``state`` of a call that passes None.

        Parameters
        ----------
        batch_size : int
            Number of samples, ``B``.
        sample_shape : int
            Shape of one sample at one timestep, such as ``1, 28, 28``. It may be left out if the
            network knows it.

        Returns
        -------
        tuple of torch.Tensor
            Zeros, one tensor for each layer: ``[B, C, H, W]`` after a convolution, ``[B, N]`` in
            dense layers.

        Raises
        ------
        ValueError
            If the shape is needed and left out.
        """
        like = self._like()
        return tuple(like.new_zeros(batch_size, *shape) for shape in self._shapes(sample_shape))

    def _run(self, spikes: Tensor, like: Tensor, record: str, state: State, final: bool) -> Run:
        layers = self.layers
        if state and len(state) != len(layers):
            raise ValueError(
                f"state must hold the membranes of {len(layers)} layers; got {len(state)}"
            )
        backend = self._select_backend(layers, spikes, like)
        outputs = execution.run(
            layers,
            spikes,
            dtype=like.dtype,
            backend=backend,
            record=record,
            state=state,
            final=final,
        )
        thresholds = [layer.leaky.threshold for layer in layers]
        membranes = tuple(present(output.final) for output in outputs) if final else None
        return Run(backend, outputs, thresholds, membranes, layers[-1].path)

    def _select_backend(self, layers: Sequence[SpikingLayer], spikes: Tensor, like: Tensor) -> str:
        """Return the backend that runs these layers."""
        backend = ops.select_backend(self.backend, spikes, like)
        if any(map(is_hooked, modules_in(self.network))):
            hooked = {path: module for path, module in self.named_modules() if is_hooked(module)}
            hooked.pop("", None)  # hooks on the network itself are called
            backend = execution.backend_for_hooks(self.backend, layers, hooked)
        elif backend in COMPILED and (reason := execution.obstacle(layers, backend, like)):
            if self.backend == backend:
                raise ValueError(
                    f"backend={backend!r} cannot run this network: {reason}. "
                    "Use backend='auto' or 'reference'"
                )
            backend = "reference"
        if backend == "snntorch" and self.training and torch.is_grad_enabled():
            self._check_not_normalised(layers)
        return backend

    def _check_not_normalised(self, layers: Sequence[SpikingLayer]) -> None:
        """Raise a `ValueError` for batch normalisation, which stepping would train differently."""
        modules = (module for layer in layers for _, module in layer.modules)
        if any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in modules):
            raise ValueError(
                "backend='snntorch' would normalise each timestep by itself, but this network "
                "normalises all of them together: train it with backend='auto', without hooks on "
                "its neurons"
            )

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Return the shape of the neurons of each layer; ``()`` is the known sample shape."""
        layers = self.layers
        shape = sample_shape or self.in_shape or _features(layers[0])
        return neuron_shapes(layers, shape, self._like())


def with_layers(network: object, function: str) -> SpikingNetwork:
    """Return a network whose layers can be read; raise a `TypeError` for any other."""
    if isinstance(network, SpikingNetwork):
        return network
    reason = f": {network.reason}" if isinstance(network, SteppedNetwork) else ""
    raise TypeError(
        f"{function} takes LeakyMLP, LeakyConvNet or a network that accelerate() runs by kernels; "
        f"got {type(network).__name__}{reason}"
    )


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
