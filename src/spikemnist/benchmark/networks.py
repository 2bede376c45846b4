"""The two contestants that are always there: this package, and snnTorch's own loop over time.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import snntorch
import torch
from snntorch import spikegen
from torch import nn

from spikemnist import ops
from spikemnist.benchmark.contestant import TorchContestant
from spikemnist.benchmark.workload import BETA
from spikemnist.models import LeakyMLP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from spikemnist.benchmark.workload import Workload


class Ours(TorchContestant):
    """`spikemnist.models.LeakyMLP` on one backend, fed with compact spikes.

    Parameters
    ----------
    layers
        First weights, which are copied.
    backend
        As `LeakyMLP` takes it.
    workload
        Says how pixels are encoded; none for a layer that is given its input.
    """

    def __init__(
        self, layers: Sequence[nn.Linear], backend: str, workload: Workload | None = None
    ) -> None:
        widths = [layer.out_features for layer in layers]
        self.model = LeakyMLP(
            layers[0].in_features,
            widths[:-1],
            widths[-1],
            beta=BETA,
            backend=backend,  # type: ignore[arg-type]
        )
        for ours, given in zip(self.model.layers, layers, strict=True):
            ours.linear.load_state_dict(given.state_dict())
        super().__init__(self.model, [layer.linear for layer in self.model.layers])
        self.name = f"spikemnist {backend}"
        self.ran = ""
        self._encoder = workload.encoder(torch.uint8) if workload else None
        self._generator = torch.Generator().manual_seed(0)

    def lay_out(self, spikes: Tensor) -> Tensor:
        """Return the spikes as they are: any dtype will do."""
        return spikes

    def encode(self, pixels: Tensor) -> Tensor:
        """Return compact spikes."""
        assert self._encoder is not None  # pixels belong to a workload
        return self._encoder(pixels, generator=self._generator)

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the scores of the Record."""
        scores: Tensor = self.model(spikes).scores
        return scores

    def fired(self, spikes: Tensor) -> Tensor:
        """Return the spikes of the Record."""
        fired: Tensor = self.model(spikes).spikes
        return fired

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return what ``record="all"`` shows, when the run that is timed gave the same output."""
        with torch.no_grad():
            everything, timed = self.model(spikes, record="all"), self.model(spikes)
        self.ran = timed.backend
        if not torch.equal(everything.membrane, timed.membrane):
            raise RuntimeError("record='all' and record='output' ended with other membranes")
        return [(layer.spikes, layer.membrane) for layer in everything.layers]


class SnnTorchLoop(TorchContestant):
    """The network as snnTorch's tutorials write it: every layer, one timestep after the other.

    Its `trace` is the oracle.
    """

    name = "snnTorch"

    def __init__(self, layers: Sequence[nn.Linear], workload: Workload | None = None) -> None:
        module = nn.ModuleDict(
            {
                "linear": nn.ModuleList(copy_of(layer) for layer in layers),
                "leaky": nn.ModuleList(plain_leaky() for _ in layers),
            }
        )
        super().__init__(module, list(module["linear"]))  # type: ignore[call-overload]
        self._neurons = list(module["leaky"])  # type: ignore[call-overload]
        self._workload = workload

    def encode(self, pixels: Tensor) -> Tensor:
        """Return what `snntorch.spikegen` makes of the pixels."""
        assert self._workload is not None  # pixels belong to a workload
        return snntorch_spikes(pixels, self._workload)

    def scores(self, spikes: Tensor) -> Tensor:
        """Return the mean output membrane."""
        return torch.stack([step[-1][1] for step in self._steps(spikes)]).mean(0)

    def fired(self, spikes: Tensor) -> Tensor:
        """Return the output spikes."""
        return torch.stack([step[-1][0] for step in self._steps(spikes)])

    def trace(self, spikes: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return every layer's spikes and membranes."""
        with torch.no_grad():
            by_layer = zip(*self._steps(spikes), strict=True)
            return [
                (torch.stack([spk for spk, _ in steps]), torch.stack([mem for _, mem in steps]))
                for steps in by_layer
            ]

    def _steps(self, spikes: Tensor) -> Iterator[list[tuple[Tensor, Tensor]]]:
        """Yield the spikes and membranes of each layer, step by step."""
        membranes = [torch.zeros(0) for _ in self.layers]
        for signal in spikes:
            seen = []
            for index, (linear, leaky) in enumerate(zip(self.layers, self._neurons, strict=True)):
                signal, membranes[index] = leaky(linear(signal), membranes[index])
                seen.append((signal, membranes[index]))
            yield seen


def our_backends() -> list[str]:
    """Return the backends to measure: ``"auto"``, and each that does not just step snnTorch."""
    return ["auto", *(name for name in ops.BACKENDS if name not in ("auto", "snntorch"))]


def snntorch_spikes(pixels: Tensor, workload: Workload) -> Tensor:
    """Encode as snnTorch does, with the options that `spikemnist.encoding` has by default."""
    steps = workload.num_steps
    if workload.code == "rate":
        spikes: Tensor = spikegen.rate(pixels, num_steps=steps)
    elif workload.code == "latency":
        spikes = spikegen.latency(
            pixels, num_steps=steps, threshold=0.01, normalize=True, linear=True, clip=True
        )
    else:
        spikes = pixels.expand(steps, -1, -1)
    return spikes


def plain_leaky() -> snntorch.Leaky:
    """Return a neuron that snnTorch's global list does not keep alive."""
    leaky = snntorch.Leaky(beta=BETA)
    snntorch.SpikingNeuron.instances.remove(leaky)
    return leaky


def copy_of(layer: nn.Linear, scale: float = 1.0) -> nn.Linear:
    """Return a layer of its own with the same weights, times a factor."""
    copy = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        copy.weight.copy_(scale * layer.weight)
        copy.bias.copy_(scale * layer.bias)
    return copy
