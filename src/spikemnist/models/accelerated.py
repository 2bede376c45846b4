"""A snnTorch network of one's own, run over all timesteps at once.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``C``
classes, ``L`` layers.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import nn

from spikemnist import ops
from spikemnist._tensors import check_tensor
from spikemnist.models.finite import finite_backend
from spikemnist.models.readout import ReadoutName, check_readout, scores
from spikemnist.models.record import LayerRecord, Record
from spikemnist.models.running import on_device_of
from spikemnist.models.stage_running import asked, neuron_shapes, run_stages, step_stages
from spikemnist.models.stages import PASSED_BY, check_bypassed, read_stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from spikemnist.models.stage_running import Ran
    from spikemnist.models.stages import Stage


def accelerate(
    network: nn.Module,
    *,
    readout: ReadoutName = "mean_membrane",
    backend: ops.Backend = "auto",
) -> Accelerated:
    """Run a snnTorch network over all timesteps at once, instead of one by one.

    The parameters stay those of ``network``: train either, and both have learned.

    Parameters
    ----------
    network
        A `torch.nn.Sequential`, nested ones included, of `torch.nn.Flatten`, `torch.nn.Linear`,
        `torch.nn.Conv2d`, `torch.nn.MaxPool2d`, `torch.nn.AvgPool2d`, their adaptive forms,
        `torch.nn.Dropout`, `torch.nn.Identity` and `snntorch.Leaky`, the last module of all. It
        makes no difference whether the neurons have ``init_hidden`` and ``output`` set.
    readout
        How class scores come out of the last neurons: see `spikemnist.models.readout.scores`.
    backend
        How the T steps are run: see `spikemnist.ops.select_backend`; ``"snntorch"`` steps
        ``network`` itself. A seed draws the same masks of `torch.nn.Dropout` on the backends
        ``"reference"`` and ``"event_driven"``; ``"snntorch"`` draws those of snnTorch's loop,
        timestep by timestep.

    Returns
    -------
    Accelerated
        A model that is used like `LeakyMLP`.

    Raises
    ------
    TypeError
        For a module that cannot be run; the message names its place in the network.
    ValueError
        For an option that cannot, such as ``inhibition=True``; likewise.

    Examples
    --------
    >>> import snntorch
    >>> network = nn.Sequential(
    ...     nn.Flatten(),
    ...     nn.Linear(784, 100),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True),
    ...     nn.Linear(100, 10),
    ...     snntorch.Leaky(beta=0.95, init_hidden=True, output=True),
    ... )
    >>> record = accelerate(network)(torch.rand(25, 2, 1, 28, 28) < 0.1)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([25, 2, 10]), torch.Size([2, 10]))
    """
    return Accelerated(network, readout=readout, backend=backend)


class Accelerated(nn.Module):
    """What `accelerate` makes of a network.

    A call takes spikes to a `Record`. It starts with membranes at rest, or the ``state`` it is
    given, and leaves those inside the network's neurons as they are. The network is read anew in
    each call, so that changes to it count.

    Attributes
    ----------
    network
        The network, with its parameters.
    readout, backend
        As `accelerate` takes them.

    Raises
    ------
    TypeError, ValueError
        As `accelerate` does.

    Examples
    --------
    >>> import snntorch
    >>> network = nn.Sequential(nn.Linear(4, 3), snntorch.Leaky(beta=0.9))
    >>> model = accelerate(network)
    >>> model.network is network, model.sizes
    (True, {'output': 3})
    """

    _also: ClassVar[tuple[type[nn.Module], ...]] = ()
    """Modules that a subclass has in its network beside those that `accelerate` takes."""

    def __init__(self, network: nn.Module, *, readout: ReadoutName, backend: ops.Backend) -> None:
        super().__init__()
        check_readout(readout)
        ops.select_backend(backend)
        read_stages(network, self._also)
        self.network = network
        self.readout = readout
        self.backend = backend

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each layer, by the name that `Record` gives it.

        Those behind a convolution depend on the size of the input, and are a `ValueError` here;
        `Record.sizes` has them.
        """
        return self._sizes(())

    def initial_state(self, batch_size: int, *sample_shape: int) -> tuple[Tensor, ...]:
        """Return membranes at rest.

        Given to a call as ``state``, they make it hand back the membranes that it ended with.

        Parameters
        ----------
        batch_size
            ``B``.
        sample_shape
            Shape of one sample at one timestep, such as ``1, 28, 28``; may be left out for a
            network that begins with a `torch.nn.Linear`.

        Returns
        -------
        tuple of torch.Tensor
            Zeros, one tensor for each layer: ``[B, C, H, W]`` of those that come out of a
            convolution, ``[B, N]`` of dense ones.

        Raises
        ------
        ValueError
            When the shape is needed and left out.
        """
        like = self._like()
        return tuple(like.new_zeros(batch_size, *shape) for shape in self._shapes(sample_shape))

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
            ``[T, B, ...]`` with what the first module takes at each timestep, any dtype, on any
            device: they are moved to that of the weights.
        record
            ``"output"`` keeps the output layer, ``"all"`` every layer and the input.
        state
            Membranes to start from, as `initial_state` or an earlier `Record.state` gives them.

        Returns
        -------
        Record

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
        check_tensor(spikes, "spikes", "[T, B, ...]")
        if spikes.dim() < 3 or len(spikes) < 1:
            raise ValueError(
                f"expected spikes [T, B, ...] with T >= 1; got shape {tuple(spikes.shape)}"
            )
        stages, like = self.stages(), self._like()
        if state is not None and len(state) != len(stages):
            raise ValueError(
                f"state must hold the membranes of {len(stages)} layers; got {len(state)}"
            )
        spikes = on_device_of(like, spikes)
        if state is not None:
            state = [on_device_of(like, membrane) for membrane in state]
        backend = ops.select_backend(self.backend, spikes, like)
        if not (self.training and torch.is_grad_enabled()):
            places = [(*stage.modules, (stage.path, stage.leaky)) for stage in stages]
            backend = finite_backend(self.backend, backend, chain(*places))
        if backend == "snntorch":
            done = step_stages(stages, spikes, dtype=like.dtype, state=state)
        else:
            check_bypassed(self.network)
            done = run_stages(
                stages, spikes, dtype=like.dtype, backend=backend, record=record, state=state
            )
        if len(done[-1].shape) > 1:
            raise ValueError(
                f"the last neurons, {stages[-1].path}, have the shape {done[-1].shape}, and scores "
                "need one neuron for each class: put nn.Flatten() before them"
            )
        return self._record(stages, done, backend, spikes if record == "all" else None, state)

    def _record(
        self,
        stages: Sequence[Stage],
        done: Sequence[Ran],
        backend: str,
        recorded: Tensor | None,
        state: Sequence[Tensor] | None,
    ) -> Record:
        activities = [ran.activity for ran in done]
        sizes = _named([ran.shape for ran in done])
        fired, membrane = asked(activities[-1].spikes), asked(activities[-1].membrane)
        layers = [
            LayerRecord(
                name, asked(did.spikes), asked(did.membrane), stage.leaky.threshold.detach()
            )
            for name, stage, did in zip(sizes, stages, activities, strict=True)
            if recorded is not None
        ]
        return Record(
            spikes=fired,
            membrane=membrane,
            scores=scores(self.readout, fired, membrane),
            spike_counts=torch.stack([did.counts for did in activities]),
            readout=self.readout,
            backend=backend,
            sizes=sizes,
            layers=tuple(layers),
            input=recorded,
            state=None if state is None else tuple(asked(did.final) for did in activities),
        )

    def _like(self) -> Tensor:
        """Return a tensor of the dtype and on the device that the network computes with."""
        # A snntorch.Leaky has a floating buffer in any case, its membrane.
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next(tensor for tensor in tensors if tensor.is_floating_point())

    def stages(self) -> list[Stage]:
        """List the layers: modules without memory, and the neurons behind them.

        Returns
        -------
        list of Stage
            From the input to the output, as `spikemnist.energy.measure_energy` counts them.
        """
        return read_stages(self.network, self._also)

    def _sizes(self, sample_shape: Sequence[int]) -> dict[str, int]:
        return _named(self._shapes(sample_shape))

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        stages = self.stages()
        if not sample_shape:
            path, module = next(
                (place for place in stages[0].modules if not isinstance(place[1], PASSED_BY)),
                (stages[0].path, stages[0].leaky),
            )
            if not isinstance(module, nn.Linear):
                raise ValueError(
                    f"the network begins with {path} ({type(module).__name__}), so its sizes "
                    "depend on the input: read Record.sizes, or pass the shape of a sample, as in "
                    "initial_state(batch_size, 1, 28, 28)"
                )
            sample_shape = (module.in_features,)
        return neuron_shapes(stages, sample_shape, self._like())


def _named(shapes: Sequence[Sequence[int]]) -> dict[str, int]:
    names = [*(f"hidden {i + 1}" for i in range(len(shapes) - 1)), "output"]
    return {name: math.prod(shape) for name, shape in zip(names, shapes, strict=True)}
