"""Candidates: their interface, this package on each of its backends, and snnTorch.

Other libraries, the peers, take part if they are installed.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer, ``C`` classes.
"""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from snntorch import spikegen
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import peers
from benchmarks.workload import BETA, Workload, weighed

if TYPE_CHECKING:
    from spikemnist.ops import Backend

STAGES = ("encode", "forward", "inference", "forward+backward", "training step")
"""The timed stages. Encoding, inference and the training step start from pixels, the other two from
spikes."""

STEP = "training step"
WHOLE = (STEP, "inference")
"""The stages that users wait for, timed at all sizes."""

TIMESTEP = "one timestep"
"""The next timestep of one image, from its spikes and the state that the last one left."""

COMPILED = ", compiled"
"""Ending of the name of a candidate whose scores `torch.compile` computes."""

OURS = "spikemnist "
"""Prefix of the names of this package's candidates."""

LEARNING_RATE = 1e-5
"""So small that weights and spikes stay as they were checked, although Adam does all its work."""


def snntorch_spikes(pixels: Tensor, code: str, num_steps: int) -> Tensor:
    """Encode pixels ``[B, F]`` with snnTorch and this package's default options: ``[T, B, F]``."""
    latency = {"threshold": 0.01, "normalize": True, "linear": True, "clip": True}
    if code == "direct":
        return pixels.expand(num_steps, -1, -1)
    options: dict[str, Any] = latency if code == "latency" else {}
    spikes: Tensor = getattr(spikegen, code)(pixels, num_steps=num_steps, **options)
    return spikes


class Candidate(ABC):
    """A network of leaky neurons, its encoder and its optimiser.

    Subclasses define the encoder and the forward pass. They copy the layers with the initial
    weights, modules from spikes to the current of neurons. ``deviation`` says how the neurons
    differ from `snntorch.Leaky`, and ``backend`` which backend of this package ran; either may be
    empty.

    Parameters
    ----------
    module : torch.nn.Module
        Module with the parameters.
    """

    name: str
    deviation = ""
    backend = ""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.weighed = weighed(module)
        self.optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)

    @abstractmethod
    def encode(self, pixels: Tensor) -> Tensor:
        """Encode float pixels ``[B, F]`` as spikes."""

    @abstractmethod
    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane, ``[B, C]``."""

    @abstractmethod
    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and compared membranes of each layer, ``[T, B, N]`` both.

        Compared membranes are the values that were compared with the threshold.
        """

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Convert spikes ``[T, B, F]`` to the layout of the candidate's own encoder."""
        return spikes.float()

    def stream(self, spikes: Tensor) -> Callable[[], object] | None:
        """Return a function that runs the next timestep at each call, or None."""
        return None

    def forward(self, spikes: Tensor) -> Tensor:
        """Return the scores without a graph."""
        with torch.no_grad():
            return self.scores(spikes)

    def backward(self, spikes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss, and leave the gradients in the parameters."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.scores(spikes), labels)
        torch.autograd.backward(loss)
        return loss.detach()

    def step(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Run a training step and return its loss."""
        loss = self.backward(self.encode(pixels), labels)
        self.optimizer.step()
        return loss

    def gradients(
        self, spikes: Tensor, labels: Tensor, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        """Return the loss of samples with weights, and its gradient for each weight and bias."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = functional.cross_entropy(self.scores(spikes), labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        torch.autograd.backward(loss)
        found = [p.grad for layer in self.weighed for p in (layer.weight, layer.bias)]
        return loss.item(), [torch.zeros(()) if grad is None else grad.clone() for grad in found]

    def time_first(self, signal: Tensor) -> Tensor:
        """Convert a signal from the candidate's layout to ``[T, B, ...]``."""
        return signal


class Ours(Candidate):
    """A network of this package on one backend, with uint8 spikes as input.

    Parameters
    ----------
    layers : sequence of torch.nn.Module
        Layers with the initial weights, which are copied.
    backend : str
        Backend, as in `LeakyMLP`.
    workload : Workload
        Workload that defines the network and the encoder.
    """

    def __init__(self, layers: Sequence[nn.Module], backend: Backend, workload: Workload) -> None:
        self.model = workload.model(backend=backend)
        super().__init__(self.model)
        for ours, given in zip(self.weighed, weighed(nn.ModuleList(layers)), strict=True):
            ours.load_state_dict(given.state_dict())
        self.name = f"spikemnist {backend}"
        self._workload = workload
        self._generator = torch.Generator().manual_seed(0)

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes unchanged: any dtype is accepted."""
        return spikes

    def encode(self, pixels: Tensor) -> Tensor:
        """Return uint8 spikes."""
        return self._workload.encode(pixels, self._generator)

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the scores of the Record."""
        scores: Tensor = self.model(self._workload.samples(spikes)).scores
        return scores

    def stream(self, spikes: Tensor) -> Callable[[], object]:
        """Return a call that runs the next timestep from the state of the last record."""
        timesteps, state = itertools.cycle(self._workload.samples(spikes)), None

        def advance() -> None:
            nonlocal state
            with torch.no_grad():
                state = self.model(next(timesteps)[None], state=state).state

        return advance

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return all layers of ``record="all"``, if its output agrees with the timed run."""
        spikes = self._workload.samples(spikes)
        with torch.no_grad():
            everything, timed = self.model(spikes, record="all"), self.model(spikes)
        self.backend = timed.backend
        if not torch.equal(everything.membrane, timed.membrane):
            raise RuntimeError("record='all' and record='output' ended with other membranes")
        return [(layer.spikes.flatten(2), layer.membrane.flatten(2)) for layer in everything.layers]


class SnnTorchLoop(Candidate):
    """The network as in snnTorch's tutorials: a loop over time that runs every layer.

    Its `trace` is the oracle.
    """

    name = "snnTorch"

    def __init__(self, layers: Sequence[nn.Module], workload: Workload | None = None) -> None:
        self._layers = [copy_of(layer) for layer in layers]
        self._neurons = [plain_leaky() for _ in layers]
        super().__init__(nn.ModuleList([*self._layers, *self._neurons]))
        self._workload = workload

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode the pixels with `snntorch.spikegen`."""
        assert self._workload is not None  # pixels belong to a workload
        return snntorch_spikes(pixels, self._workload.code, self._workload.num_steps)

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return torch.stack([step[-1][1] for step in self._steps(spikes)]).mean(0)

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every layer's spikes and membranes."""
        with torch.no_grad():
            by_layer = zip(*self._steps(spikes), strict=True)
            return [
                (torch.stack(fired).flatten(2), torch.stack(membranes).flatten(2))
                for fired, membranes in (zip(*steps, strict=True) for steps in by_layer)
            ]

    def stream(self, spikes: Tensor) -> Callable[[], object]:
        """Return a call that runs the next timestep of the loop."""
        steps = self._steps(itertools.cycle(spikes))

        def advance() -> None:
            with torch.no_grad():
                next(steps)

        return advance

    def _steps(self, spikes: Iterable[Tensor]) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Yield the spikes and membranes of each layer, step by step."""
        membranes = [torch.zeros(0) for _ in self._layers]
        for signal in spikes:
            seen = []
            for index, (layer, leaky) in enumerate(zip(self._layers, self._neurons, strict=True)):
                signal, membranes[index] = leaky(layer(signal), membranes[index])
                seen.append((signal, membranes[index]))
            yield seen


def our_backends() -> list[Backend]:
    """Return the backends to measure: ``"auto"``, which is the engine, and the reference."""
    return ["auto", "reference"]


def plain_leaky() -> snntorch.Leaky:
    """Return a neuron, removed from snnTorch's global list so that it can be freed."""
    leaky = snntorch.Leaky(beta=BETA)
    snntorch.SpikingNeuron.instances.remove(leaky)
    return leaky


def copy_of(layer: nn.Module, scale: float = 1.0) -> nn.Module:
    """Return a copy of a layer with its weights and bias times a factor."""
    copied = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(scale)
    return copied


def names() -> list[str]:
    """Return the names of all candidates: this package, then snnTorch, then its peers."""
    return [*(OURS + backend for backend in our_backends()), SnnTorchLoop.name, *peers.installed()]


def compiled_names() -> list[str]:
    """Return the names of the candidates that `torch.compile` takes and makes faster."""
    loops = (SnnTorchLoop.name, "snnTorch, hoisted")
    return [name + COMPILED for name in loops if name in names()]


def build(name: str, layers: Sequence[nn.Module], workload: Workload) -> Candidate:
    """Return a candidate with copies of the layers' weights.

    Parameters
    ----------
    name : str
        One of `names` or `compiled_names`.
    layers : sequence of torch.nn.Module
        Layers with the initial weights.
    workload : Workload
        Workload that defines the network and the encoder.
    """
    if name.endswith(COMPILED):
        candidate = build(name.removesuffix(COMPILED), layers, workload)
        candidate.name, candidate.scores = name, torch.compile(candidate.scores)  # type: ignore[method-assign]
        return candidate
    ours = {OURS + backend: backend for backend in our_backends()}
    if name in ours:
        return Ours(layers, ours[name], workload)
    if name == SnnTorchLoop.name:
        return SnnTorchLoop(layers, workload)
    peer: Candidate = peers.installed()[name](layers, workload)
    return peer
