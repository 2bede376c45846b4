"""The convolutional network of snnTorch's tutorial 6, 12C5-P2-64C5-P2-10, run by all candidates.

https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html, here with 8 timesteps and
batches of 64 digits. If SpikingJelly is installed, it takes part and runs whole sequences.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.candidates import (
    STAGES,
    Candidate,
    our_backends,
    plain_leaky,
    snntorch_spikes,
)
from benchmarks.comparison import compare, network_jobs
from benchmarks.oracle import CheckResult, Oracle
from benchmarks.peers import installed
from benchmarks.peers.explicit_loop import ExplicitLoop
from benchmarks.workload import BETA, Batch, Workload
from spikemnist.data import load_digits
from spikemnist.models import Classifier, LeakyConvNet
from spikemnist.ops.dynamics import is_constant
from spikemnist.training import TrainConfig, fit

if TYPE_CHECKING:
    from benchmarks.peers.layerwise import Keep, Layerwise
    from benchmarks.plan import Plan
    from spikemnist.ops import Backend

LAYERS = "12C5-P2-64C5-P2-10"
TRAINED_ON = 1280


def measure(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Compare the candidates with snnTorch's loop, then time the candidates that passed.

    Returns
    -------
    dict
        Plain values: the workload, the layers, and the result of `compare`.
    """
    weights, batch = trained_weights(workload), workload.load()
    candidates: list[Convolutional] = [Ours(weights, workload, name) for name in our_backends()]
    candidates += [Stepped(weights, workload), *peers(weights, workload)]
    checks = check_all(candidates, weights, workload, batch)
    torch.manual_seed(0)  # for the peers' encoders, which draw from the global generator
    found = compare(
        candidates,
        checks,
        lambda candidate: network_jobs(candidate, batch),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    return {**asdict(workload), "layers": LAYERS, "candidates": found}


@functools.lru_cache(maxsize=1)
def trained_weights(workload: Workload) -> Mapping[str, Tensor]:
    """Return the parameters after 20 training steps, as a state dict."""
    train, _ = load_digits()
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        network = LeakyConvNet(LAYERS, beta=BETA)
    fit(
        Classifier(network, workload.encoder()),
        train[:TRAINED_ON],
        TrainConfig(epochs=1, batch_size=64, lr=5e-3, schedule="constant"),
        device="cpu",
        progress=False,
    )
    return weighed(network).state_dict()


def weighed(network: LeakyConvNet) -> nn.ModuleList:
    """Return the convolutional and linear layers of a network."""
    return nn.ModuleList(m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))


def new_layers(weights: Mapping[str, Tensor]) -> nn.ModuleList:
    """Return new convolutional and linear layers with the given weights."""
    layers = nn.ModuleList([nn.Conv2d(1, 12, 5), nn.Conv2d(12, 64, 5), nn.Linear(1024, 10)])
    layers.load_state_dict(weights)
    return layers


def as_images(signal: Tensor) -> Tensor:
    """Reshape ``[T, B, 784]`` to ``[T, B, 1, 28, 28]``."""
    return signal.reshape(*signal.shape[:-1], 1, 28, 28)


class Convolutional(Candidate):
    """Base class of the convolutional candidates.

    Parameters
    ----------
    module : torch.nn.Module
        Module with the parameters.
    layers : iterable of torch.nn.Module
        Convolutional and linear layers.
    workload : Workload
        Workload that defines the encoder.
    """

    def __init__(self, module: nn.Module, layers: Any, workload: Workload) -> None:
        super().__init__(module, list(layers))
        self.workload = workload

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes as float32 images, ``[T, B, 1, 28, 28]``."""
        return as_images(spikes.float())

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode the pixels with `snntorch.spikegen`."""
        return as_images(snntorch_spikes(pixels, self.workload.code, self.workload.num_steps))


class Ours(Convolutional):
    """`spikemnist.models.LeakyConvNet` on one backend, with uint8 spikes as input."""

    def __init__(self, weights: Mapping[str, Tensor], workload: Workload, backend: Backend) -> None:
        self.model = LeakyConvNet(LAYERS, beta=BETA, backend=backend)
        layers = weighed(self.model)
        layers.load_state_dict(weights)
        super().__init__(self.model, layers, workload)
        self.name = f"spikemnist {backend}"
        self._generator = torch.Generator().manual_seed(0)

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes as images of any dtype."""
        return as_images(spikes)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return uint8 spikes."""
        return as_images(self.workload.encode(pixels, self._generator))

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the scores of the Record."""
        scores: Tensor = self.model(spikes).scores
        return scores

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and membranes of every layer of the Record."""
        with torch.no_grad():
            record = self.model(spikes, record="all")
        self.backend = record.backend
        return [(layer.spikes.flatten(2), layer.membrane.flatten(2)) for layer in record.layers]


class Stepped(Convolutional):
    """The network as in the tutorial: a loop over time."""

    name = "snnTorch"

    def __init__(self, weights: Mapping[str, Tensor], workload: Workload) -> None:
        layers = new_layers(weights)
        super().__init__(layers, layers, workload)
        self.before = [nn.Identity(), nn.Identity(), nn.Flatten()]
        self.behind = [nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Identity()]
        self.neurons: list[Any] = [plain_leaky() for _ in layers]

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return torch.stack([step[-1][1] for step in self._steps(spikes)]).mean(0)

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every layer's spikes and membranes."""
        with torch.no_grad():
            by_layer = list(zip(*self._steps(spikes), strict=True))
        return [
            (
                torch.stack([s for s, _ in steps]).flatten(2),
                torch.stack([m for _, m in steps]).flatten(2),
            )
            for steps in by_layer
        ]

    def _steps(self, spikes: Tensor) -> Iterator[list[tuple[Tensor, Tensor]]]:
        membranes = [torch.zeros(0) for _ in self.layers]
        for signal in spikes:
            seen = []
            for i, layer in enumerate(self.layers):
                current = self.behind[i](layer(self.before[i](signal)))
                signal, membranes[i] = self.neurons[i](current, membranes[i])
                seen.append((signal, membranes[i]))
            yield seen


class AtOnce(Convolutional):
    """A peer that runs each layer over all timesteps in one call.

    Parameters
    ----------
    peer : Layerwise
        Peer that provides the neurons and the encoder.
    weights : mapping of str to torch.Tensor
        Parameters as a state dict.
    workload : Workload
        Workload that defines the encoder.
    """

    def __init__(self, peer: Layerwise, weights: Mapping[str, Tensor], workload: Workload) -> None:
        layers = new_layers(weights)
        super().__init__(layers, layers, workload)
        self.name, self.deviation, self.peer = peer.name, peer.deviation, peer
        self.before = [nn.Identity(), nn.Identity(), nn.Flatten()]
        self.behind = [nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Identity()]

    def encode(self, pixels: Tensor) -> Tensor:
        """Return the spikes of the peer's encoder."""
        return as_images(self.peer.encode(pixels))

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return self._run(spikes, "membrane")[-1]["membrane"].mean(0)

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and compared membranes of every layer."""
        with torch.no_grad():
            layers = self._run(spikes, "both", everywhere=True)
        pairs = [(layer["spikes"].flatten(2), layer["membrane"].flatten(2)) for layer in layers]
        return [(fired, self.peer.dynamics.decided(fired, membrane)) for fired, membrane in pairs]

    def _run(
        self, signal: Tensor, keep: Keep, *, everywhere: bool = False
    ) -> list[dict[str, Tensor]]:
        """Run the layers from rest; keep only spikes of hidden layers unless ``everywhere``."""
        results: list[dict[str, Tensor]] = []
        for i, neurons in enumerate(self.peer.neurons):
            last = i == len(self.layers) - 1
            current = self._current(i, results[-1]["spikes"] if results else signal)
            results.append(
                self.peer.run_neurons(neurons, current, keep if last or everywhere else "spikes")
            )
        return results

    def _current(self, i: int, signal: Tensor) -> Tensor:
        # The direct code is the same at every timestep: one product is enough.
        steps = signal[:1] if is_constant(signal) else signal
        current = self.behind[i](self.layers[i](self.before[i](steps.flatten(0, 1))))
        unfolded: Tensor = current.unflatten(0, steps.shape[:2])
        return unfolded.expand(len(signal), *[-1] * current.dim())


def peers(weights: Mapping[str, Tensor], workload: Workload) -> list[AtOnce]:
    """Return SpikingJelly if it is installed."""
    stand_ins = [nn.Linear(1, 1) for _ in range(3)]  # one for each layer of neurons
    found = [kind for name, kind in installed().items() if name == "SpikingJelly"]
    return [AtOnce(kind(stand_ins, workload), weights, workload) for kind in found]


def check_all(
    candidates: Sequence[Convolutional],
    weights: Mapping[str, Tensor],
    workload: Workload,
    batch: Batch,
) -> dict[str, CheckResult]:
    """Compare each candidate with the oracle of its dynamics: snnTorch's or an explicit loop."""
    checks = {}
    for candidate in candidates:
        right: Convolutional = Stepped(weights, workload)
        if isinstance(candidate, AtOnce):
            dynamics = candidate.peer.dynamics
            right = AtOnce(ExplicitLoop([nn.Linear(1, 1)] * 3, dynamics), weights, workload)
        checks[candidate.name] = Oracle(right, batch.spikes, batch.labels).check(candidate)
    return checks
