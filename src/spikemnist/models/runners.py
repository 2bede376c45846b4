"""Who runs the layers of a network over all timesteps.

`RUNNERS` is the one list of them, in the order in which ``backend="auto"`` asks. Each answers three
questions: why not this network on these spikes; whether it is the one to take for spikes of this
shape; and the run.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import snntorch
import torch
from torch import Tensor

from spikemnist import ops
from spikemnist._arguments import check_choice
from spikemnist._doors import import_object, is_installed, missing_room
from spikemnist.models.architecture import Architecture
from spikemnist.ops.layer import LayerOutput, LayerParams, count_spikes

RUNNERS = {
    "event_driven": "spikemnist.engine.event_driven.EventDriven",
    "triton": "spikemnist.gpu.on_cuda.Triton",
    "reference": "spikemnist.models.runners.Reference",
    "snntorch": "spikemnist.interop.stepping.SnnTorch",
}
"""Door to the runner of each backend."""

KNOWN = frozenset(ops.SURROGATES.values())
"""Surrogates whose formulas compiled kernels have; a subclass may have another one."""

Scan = Callable[[Tensor, LayerParams, bool], "tuple[Tensor, Tensor | None, Tensor]"]
"""Runs neurons on their current ``[T, B, N]``: spikes, membranes if they are needed, the last."""


class NetworkOutput(NamedTuple):
    """What the layers of a network did over all timesteps, the output layer last.

    ``neurons`` has those of each of ``outputs``, or None for a last module that has none. ``state``
    are the tensors ``[B, ...]`` from which a next call continues. ``path`` is the place of the
    output neurons.
    """

    outputs: list[LayerOutput]
    neurons: Sequence[snntorch.SpikingNeuron | None]
    state: tuple[Tensor, ...]
    path: str


class Request(NamedTuple):
    """What is asked of a network: a run, or without tensors whether it can run at all.

    ``spikes`` ``[T, B, ...]`` are its input, and ``template`` has the dtype and the device of its
    parameters. ``record`` names the layers to record, ``"output"`` or ``"all"``; ``state`` are the
    membranes to start from, None for rest; ``final`` says whether the last ones are returned.
    """

    spikes: Tensor | None = None
    template: Tensor | None = None
    record: str = "output"
    state: Sequence[Tensor] | None = None
    final: bool = False

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """``spikes`` and ``template`` of a run."""
        assert self.spikes is not None
        assert self.template is not None
        return self.spikes, self.template


class Runner(Protocol):
    """One way to run a network."""

    def reason_against(self, architecture: Architecture, request: Request) -> str | None:
        """Return why it cannot run a network on spikes, or None."""
        ...

    def suits(self, request: Request) -> bool:
        """Return whether it is the one to take, here and for spikes of this shape."""
        ...

    def run(self, architecture: Architecture, request: Request) -> NetworkOutput:
        """Run a network."""
        ...


class Choice(NamedTuple):
    """The backend of a call, its runner, and why a faster one that suits cannot run the network."""

    backend: str
    runner: Runner
    reason: str | None


def choose(backend: str, architecture: Architecture, request: Request) -> Choice:
    """Return the runner of a requested backend; raise a `ValueError` if none can run."""
    check_choice("backend", backend, ops.BACKENDS)
    runners, passed_by, reason = _runners(), None, None
    if backend != "auto":
        path = RUNNERS[backend]
        runner = runners.get(backend)
        reason = runner.reason_against(architecture, request) if runner else missing_room(path)
        if runner and not reason:
            return Choice(backend, runner, None)
        raise ValueError(f"{backend=} cannot run this: {reason}. Use backend='auto'")
    for name, runner in runners.items():
        if runner.suits(request):
            reason = runner.reason_against(architecture, request)
            if not reason:
                return Choice(name, runner, passed_by)
            passed_by = passed_by or reason
    absent = [missing_room(path) for name, path in RUNNERS.items() if name not in runners]
    raise ValueError(f"no backend can run this network: {'; '.join([str(reason), *absent[-1:]])}")


_loaded: dict[str, Runner] = {}


def _runners() -> dict[str, Runner]:
    """Return the runners of the rooms that are there, in order."""
    if not _loaded:
        _loaded.update(
            {name: import_object(path)() for name, path in RUNNERS.items() if is_installed(path)}
        )
    return _loaded


def select_backend(backend: str, spikes: Tensor | None = None, weight: Tensor | None = None) -> str:
    """Return the backend that runs for a requested ``backend``.

    Parameters
    ----------
    backend : str
        Requested backend.
        ``"reference"`` runs each layer over all timesteps in plain torch, on any device;
        ``"event_driven"`` runs compiled kernels that do work only for spikes, on the CPU, in
        float32 and float64;
        ``"triton"`` runs each layer in one kernel on CUDA, in float32, float64, bfloat16 and
        float16: compared in Triton's interpreter, never on a GPU;
        ``"snntorch"`` steps the real `snntorch.Leaky` modules, the oracle of the tests;
        ``"auto"`` chooses the event-driven engine on the CPU where it can run and is faster,
        ``"triton"`` on CUDA where it can run, else the reference.
    spikes, weight : torch.Tensor, default None
        Input ``[T, B, ...]``, and first weights of the network, ``[N, F]`` or, for a convolution,
        ``[N, C, H, W]``. Without them, the answer is for weights that the backend supports, on
        the CPU for ``"auto"``.

    Returns
    -------
    str
        One of `BACKENDS`, but not ``"auto"``.

    Raises
    ------
    ValueError
        For an unknown backend, or a named backend that cannot run; the message says why.

    Examples
    --------
    >>> select_backend("reference")
    'reference'
    """
    return choose(backend, Architecture(), Request(spikes, weight)).backend


class Reference:
    """Calls the modules of a layer once for all timesteps, and scans its neurons in plain torch."""

    def reason_against(self, architecture: Architecture, request: Request) -> str | None:
        """Return why the network has no layers to run, or None."""
        return architecture.stepping_reason

    def suits(self, request: Request) -> bool:
        """Return True: it runs on every device and for every shape."""
        return True

    def run(self, architecture: Architecture, request: Request) -> NetworkOutput:
        """Run the layers one after the other."""
        return run_layers(_leaky, architecture, request)


def _leaky(
    current: Tensor, params: LayerParams, needed: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    spikes, membrane = ops.leaky(
        current,
        params.beta,
        params.threshold,
        reset_mechanism=params.reset_mechanism,
        spike_grad=params.spike_grad,
        initial=params.initial,
    )
    return spikes, membrane, membrane[-1]


def run_layers(scan: Scan, architecture: Architecture, request: Request) -> NetworkOutput:
    """Run layers one after the other over all timesteps, their neurons by ``scan``."""
    spikes, template = request.tensors
    outputs: list[LayerOutput] = []
    for layer, initial in zip(
        architecture.layers, initial_membranes(architecture, request), strict=True
    ):
        current = layer.current(spikes, template.dtype)
        layer.check_state(initial, current.shape[1:])
        number = torch.promote_types(current.dtype, torch.float32)
        params = layer.params(current.shape[2:], number, initial)
        signal = current.flatten(2).expand(len(spikes), -1, -1)
        needed = request.record == "all" or layer is architecture.layers[-1]
        fired, membrane, last = scan(signal, params, needed)
        shape = (len(spikes), *current.shape[1:])
        spikes = fired.reshape(shape)
        membrane = None if membrane is None else membrane.reshape(shape)
        # A copy, since a state must not keep the membranes of all timesteps.
        state = last.reshape(shape[1:]).clone() if request.final else None
        outputs.append(LayerOutput(spikes, membrane, count_spikes(spikes), state, shape[2:]))
    return network_output(architecture, outputs)


def initial_membranes(architecture: Architecture, request: Request) -> Sequence[Tensor | None]:
    """Return the membrane of each layer to start from, None for rest."""
    count, state = len(architecture.layers), request.state
    if state and len(state) != count:
        raise ValueError(f"state must hold the membranes of {count} layers; got {len(state)}")
    return state or [None] * count


def network_output(architecture: Architecture, outputs: list[LayerOutput]) -> NetworkOutput:
    """Return the outputs of layers as that of their network."""
    state = tuple(output.final for output in outputs if output.final is not None)
    neurons = [layer.leaky for layer in architecture.layers]
    return NetworkOutput(outputs, neurons, state, architecture.layers[-1].path)


def unfit_tensors(request: Request, device: str, dtypes: Sequence[torch.dtype]) -> str | None:
    """Return why compiled kernels for a device and some dtypes cannot take tensors, or None."""
    spikes, template = request.spikes, request.template
    plain = spikes is None or type(spikes) is Tensor or type(spikes.detach()) is Tensor
    if not plain or torch.compiler.is_compiling():
        kind = "" if spikes is None or plain else f", and they read no {type(spikes).__name__}"
        return f"torch.compile and torch.export cannot trace its kernels{kind}"
    if template is None:
        return None
    if template.device.type != device:
        title = {"cpu": "the CPU", "cuda": "CUDA"}[device]
        return f"it runs on {title}, and the model is on {template.device.type}"
    if template.dtype not in dtypes:
        *others, last = (str(dtype).removeprefix("torch.") for dtype in dtypes)
        return (
            f"it computes in {', '.join(others)} and {last}, and the model is in {template.dtype}"
        )
    return None


def unfit_network(architecture: Architecture) -> str | None:
    """Return why no compiled kernels can run a network, or None."""
    for path, module in architecture.hooked:
        return f"{path} ({type(module).__name__}) has hooks or a forward of its own"
    for layer in architecture.layers:
        if type(layer.spike_grad) not in KNOWN:
            return f"the kernels do not know the surrogate {layer.spike_grad!r}, in {layer.path}"
    return architecture.stepping_reason


def required(tensor: Tensor | None) -> Tensor:
    """Return a tensor that was asked for, so it is there: all but what a group passes on inside."""
    assert tensor is not None
    return tensor
