"""The network of snnTorch's tutorial 5 as written by its users, run with `accelerate`.

https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_5.html: 784-1000-10, beta 0.95, 25
timesteps, batch 128, here with rate-coded digits.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import nn

from benchmarks.candidates import STAGES, SnnTorchLoop, TorchCandidate, copy_of
from benchmarks.comparison import compare, network_jobs
from benchmarks.oracle import Oracle
from benchmarks.workload import BETA, snntorch_spikes, trained_weights
from spikemnist.models import accelerate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from benchmarks.plan import Plan
    from benchmarks.workload import Workload

THRESHOLD = 1.0


def measure(plan: Plan) -> dict[str, Any]:
    """Compare both ways to run the network with the oracle, then time them in turn.

    Returns
    -------
    dict
        Plain values: the network, and the result of `compare`.
    """
    workload = plan.base
    layers, batch = trained_weights(workload), workload.load()
    ways = [Accelerated(layers, workload), Stepped(layers, workload)]
    oracle = Oracle(SnnTorchLoop(layers), batch.spikes, batch.labels)
    checks = {way.name: oracle.check(way) for way in ways}
    found = compare(
        ways,
        checks,
        lambda way: network_jobs(way, batch),
        STAGES,
        repeats=plan.repeats,
        budget=plan.budget,
    )
    return {"network": str(workload), "candidates": found}


def as_images(signal: Tensor) -> Tensor:
    """Reshape ``[T, B, 784]`` to ``[T, B, 28, 28]``."""
    return signal.reshape(*signal.shape[:-1], 28, 28)


class TutorialNetwork(TorchCandidate):
    """An `nn.Sequential` that also runs in snnTorch's loop; subclasses define how it runs."""

    def __init__(self, layers: Sequence[nn.Linear], workload: Workload) -> None:
        hidden, output = (copy_of(layer) for layer in layers)
        self.network = nn.Sequential(
            nn.Flatten(),
            hidden,
            snntorch.Leaky(beta=BETA, init_hidden=True),
            output,
            snntorch.Leaky(beta=BETA, init_hidden=True, output=True),
        )
        del snntorch.SpikingNeuron.instances[-2:]  # else this list keeps the neurons alive
        super().__init__(self.network, [hidden, output])
        self.neurons: list[Any] = [self.network[2], self.network[4]]
        self.workload = workload


class Accelerated(TutorialNetwork):
    """The network run by `spikemnist.models.accelerate`, with uint8 spikes as input."""

    name = "accelerate(network)"

    def __init__(self, layers: Sequence[nn.Linear], workload: Workload) -> None:
        super().__init__(layers, workload)
        self._whole = accelerate(self.network)
        self._hidden_alone = accelerate(self.network[:3])
        self._generator = torch.Generator().manual_seed(0)

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes as images, ``[T, B, 28, 28]``."""
        return as_images(spikes)

    def encode(self, pixels: Tensor) -> Tensor:
        """Return uint8 spikes."""
        encoder = self.workload.encoder(torch.uint8)
        return self.prepare_input(encoder(pixels, generator=self._generator))

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the scores of the Record."""
        scores: Tensor = self._whole(spikes).scores
        return scores

    def fired(self, spikes: Tensor) -> Tensor:
        """Return the spikes of the Record."""
        fired: Tensor = self._whole(spikes).spikes
        return fired

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the outputs of the first half of the network and of the whole network."""
        with torch.no_grad():
            records = [self._hidden_alone(spikes), self._whole(spikes)]
        self.backend = records[-1].backend
        return [(record.spikes, record.membrane) for record in records]


class Stepped(TutorialNetwork):
    """The network as in the tutorial: one call for each timestep."""

    name = "snnTorch"

    def prepare_input(self, spikes: Tensor) -> Tensor:
        """Return the spikes as float32 images, ``[T, B, 28, 28]``."""
        return as_images(spikes.float())

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode the pixels with `snntorch.spikegen`."""
        return as_images(snntorch_spikes(pixels, self.workload.code, self.workload.num_steps))

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return torch.stack([membrane for _, membrane in self._steps(spikes)]).mean(0)

    def fired(self, spikes: Tensor) -> Tensor:
        """Return the output spikes."""
        return torch.stack([fired for fired, _ in self._steps(spikes)])

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return spikes and membranes of both layers; the hidden ones are read from the neurons."""
        hidden, output = [], []
        with torch.no_grad():
            for fired, membrane in self._steps(spikes):
                output.append((fired, membrane))
                hidden.append(self.neurons[0].mem)
        membranes = torch.stack(hidden)
        fired, membrane = (torch.stack(steps) for steps in zip(*output, strict=True))
        return [((membranes > THRESHOLD).float(), membranes), (fired, membrane)]

    def _steps(self, spikes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for neurons in self.neurons:
            neurons.reset_mem()
        for step in spikes:
            yield self.network(step)
