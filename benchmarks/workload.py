"""The workload: images, their code, the network, and its amount of work.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a layer.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikemnist.data import load_digits
from spikemnist.encoding import Encoder, get_encoder
from spikemnist.models import Classifier, LeakyMLP, SpikingNetwork
from spikemnist.training import TrainConfig, fit

CODES = ("rate", "latency", "direct")
BETA = 0.95
"""Decay factor of every membrane per timestep, as in snnTorch's tutorials."""
PIXELS, CLASSES = 784, 10
TRAINING_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One configuration of the network 784-``hidden``-10 on the embedded digits.

    Attributes
    ----------
    code
        ``"rate"``, ``"latency"`` or ``"direct"``.
    hidden
        Number of hidden neurons.
    num_steps
        Number of timesteps, ``T``.
    batch
        Number of images in a batch, ``B``.

    Examples
    --------
    >>> print(Workload(code="latency", hidden=128))
    latency, 784-128-10, T=25, batch 128
    """

    code: str = "rate"
    hidden: int = 1000
    num_steps: int = 25
    batch: int = 128

    training: ClassVar[dict[str, Any]] = {"batch_size": 128, "lr": 1e-2}
    """Settings of the training steps before the weights are compared and timed."""

    def __str__(self) -> str:
        network = "-".join(map(str, self.sizes))
        return f"{self.code}, {network}, T={self.num_steps}, batch {self.batch}"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of the input and of each layer."""
        return (PIXELS, self.hidden, CLASSES)

    def model(self, **options: Any) -> SpikingNetwork:
        """Return the network of this package."""
        return LeakyMLP(
            (self.hidden,), in_features=PIXELS, out_features=CLASSES, beta=BETA, **options
        )

    def first_layers(self) -> list[nn.Module]:
        """Return what is in front of each layer of neurons, as torch draws its weights."""
        return [nn.Linear(*pair) for pair in itertools.pairwise(self.sizes)]

    def samples(self, spikes: Tensor) -> Tensor:
        """Return spikes ``[T, B, F]`` in the shape that the network takes."""
        return spikes

    def encoder(self) -> Encoder:
        """Return the encoder of the code."""
        return get_encoder(self.code, num_steps=self.num_steps)

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Return spikes as a `Classifier` makes them: uint8, or the currents of the direct code."""
        options = {} if self.code == "direct" else {"dtype": torch.uint8}
        encoder: Any = self.encoder()
        spikes: Tensor = encoder(pixels, generator=generator, **options)
        return spikes

    def load(self) -> Batch:
        """Return the first images of the training set, and their spikes."""
        train, _ = load_digits()
        pixels = (train.images[: self.batch].float() / 255).flatten(1)
        generator = torch.Generator().manual_seed(0)
        spikes = self.encode(pixels, generator)
        return Batch(pixels, train.labels[: self.batch], spikes)


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of every candidate.

    Attributes
    ----------
    pixels
        ``[B, F]``, float32 in [0, 1].
    labels
        Class indices, ``[B]``.
    spikes
        ``[T, B, F]``, uint8; float32 and constant over time for the direct code.
    """

    pixels: Tensor
    labels: Tensor
    spikes: Tensor


def weighed(module: nn.Module) -> list[Any]:
    """Return the convolutional and linear layers in a module."""
    return [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def first_weights(workload: Workload) -> list[nn.Module]:
    """Return the layers with the initial weights of all candidates."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return workload.first_layers()


def trained_weights(workload: Workload) -> list[nn.Module]:
    """Return the layers after 20 training steps, the same for every batch size of the workload.

    Without training, a network with one input spike per pixel hardly fires, which would flatter an
    implementation that computes only where there is a spike.
    """
    return _trained(replace(workload, batch=workload.training["batch_size"]))


@functools.lru_cache(maxsize=1)
def _trained(workload: Workload) -> list[nn.Module]:
    train, _ = load_digits()
    layers = first_weights(workload)
    with torch.random.fork_rng([]):
        network = workload.model()
    pairs = list(zip(weighed(network), weighed(nn.ModuleList(layers)), strict=True))
    for ours, given in pairs:
        ours.load_state_dict(given.state_dict())
    fit(
        Classifier(network, workload.encoder()),
        train[: TRAINING_STEPS * workload.batch],
        TrainConfig(epochs=1, schedule="constant", **workload.training),
        device="cpu",
        progress=False,
    )
    for ours, given in pairs:
        given.load_state_dict(ours.state_dict())
    return layers


@dataclass(frozen=True)
class Work:
    """The amount of work in one pass through the network, independent of the implementation.

    Attributes
    ----------
    timesteps
        Number of samples times number of timesteps.
    neuron_updates
        Number of membrane updates: samples times timesteps times neurons.
    synaptic_events
        Number of non-zero inputs, times the neurons that each of them reaches.
    input_density, hidden_density
        Share of inputs, and of hidden spikes, that are not zero.
    """

    timesteps: int
    neuron_updates: int
    synaptic_events: int
    input_density: float
    hidden_density: float

    @classmethod
    def count(cls, sizes: Sequence[int], signals: Sequence[Tensor]) -> Work:
        """Count the work from the inputs of each layer.

        Parameters
        ----------
        sizes : sequence of int
            Width of the input and of each layer.
        signals : sequence of torch.Tensor
            Input ``[T, B, N]`` of each layer: the network's input, then each hidden layer's spikes.

        Examples
        --------
        >>> work = Work.count((4, 2), [torch.tensor([[[1, 0, 1, 1]]])])
        >>> work.neuron_updates, work.synaptic_events, work.input_density
        (2, 6, 0.75)
        """
        timesteps = signals[0].shape[0] * signals[0].shape[1]
        active = [int(torch.count_nonzero(signal)) for signal in signals]
        hidden = signals[1:]
        return cls(
            timesteps=timesteps,
            neuron_updates=timesteps * sum(sizes[1:]),
            synaptic_events=sum(n * reached for n, reached in zip(active, sizes[1:], strict=True)),
            input_density=active[0] / max(signals[0].numel(), 1),
            hidden_density=sum(active[1:]) / max(sum(spikes.numel() for spikes in hidden), 1),
        )
