"""A convolutional network of leaky integrate-and-fire neurons with a dense head.

Shapes: ``T`` timesteps, ``B`` batch, ``C`` channels, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from torch import nn

from spikemnist import ops
from spikemnist.models.inputs import check_spikes
from spikemnist.models.network import SpikingNetwork
from spikemnist.models.neuron import new_leaky
from spikemnist.models.parameters import betas_of, check_choices, thresholds_of
from spikemnist.models.sequential import read_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from spikemnist.models.parameters import PerLayer
    from spikemnist.models.readout import ReadoutName
    from spikemnist.models.spiking_layer import SpikingLayer

_TOKEN = re.compile(
    r"(?P<channels>\d+)C(?P<kernel>\d+)(?:s(?P<stride>\d+))?(?:p(?P<padding>\d+))?"
    r"|(?P<pooling>A?P)(?P<size>\d+)"
    r"|(?P<neurons>\d+)"
)


class LeakyConvNet(SpikingNetwork):
    r"""Convolutional and dense layers of `snntorch.Leaky` neurons with a readout.

    ``layers`` uses the notation of the literature: ``12C5`` is a convolution with 12 channels and
    kernels of 5 x 5 pixels, ``P2`` is maximum and ``AP2`` average pooling over 2 x 2 pixels, and a
    plain number is a dense layer. ``12C5s2p1`` has stride 2 and padding 1. Neurons follow each
    layer of weights, after its normalisation and pooling, and integrate its output as in
    `spikemnist.ops.leaky`. The last dense layer has one neuron for each class.

    A layer computes all timesteps at once, folded into the batch, also for batch normalisation. An
    input that is the same at every timestep, as from `DirectEncoder`, passes the first convolution
    only once.

    Parameters
    ----------
    layers : str, default "12C5-P2-64C5-P2-10"
        Layers from the input to the classes. The default is the network of snnTorch's sixth
        tutorial.
    in_shape : sequence of int, default (1, 28, 28)
        Shape ``(C, H, W)`` of a sample at one timestep: ``(1, 28, 28)`` for MNIST, ``(2, 34, 34)``
        for N-MNIST. The input may have any other shape with as many numbers per sample, such as
        ``[T, B, 28, 28]``.
    batch_norm : bool, default False
        Whether `torch.nn.BatchNorm2d` follows each convolution. Its statistics are taken over all
        timesteps of a batch together.
    beta : float, torch.Tensor or sequence, default 0.95
        Decay of the membrane per timestep, in [0, 1]. One number for all layers, or a sequence with
        one entry for each layer of neurons: a number, or one for each channel or dense neuron.
    threshold : float, torch.Tensor or sequence, default 1.0
        Firing threshold, above 0, in the same form as ``beta``.
    reset_mechanism : str, default "subtract"
        Reset after a spike: ``"subtract"``, ``"zero"`` or ``"none"``, see `spikemnist.ops.leaky`.
    spike_grad : str or callable, default "atan"
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with its own gradient.
    learn_beta, learn_threshold : bool, default False
        Whether beta or threshold is trained. A beta of exactly 0 or 1 has the gradient of
        `torch.clamp` at its bounds, which is zero since torch 2.15: start inside the interval.
    dropout : float, default 0.0
        Probability, in [0, 1), of dropping a hidden spike in training, drawn anew at each timestep.
        For a given seed, the backends ``"reference"`` and ``"event_driven"`` draw the same masks.
    input_dropout : float, default 0.0
        The same probability for an input.
    readout : str, default "mean_membrane"
        Readout that computes the class scores: ``"mean_membrane"``, ``"max_membrane"``,
        ``"spike_count"`` or ``"first_spike"``, see `spikemnist.models.readout.scores`.
    backend : str, default "auto"
        Backend that runs the T timesteps: see `spikemnist.ops.select_backend`. ``"snntorch"`` steps
        the modules one timestep after the other, and cannot train with ``batch_norm``.

    Raises
    ------
    ValueError
        If an argument is out of its range, or if ``layers`` leaves no pixel.

    Examples
    --------
    >>> import torch
    >>> model = LeakyConvNet("4C5-P2-8C3-P2-10")
    >>> model.sizes
    {'hidden 1': 576, 'hidden 2': 200, 'output': 10}
    >>> record = model(torch.rand(8, 2, 28, 28) < 0.1)
    >>> record.spikes.shape, record.scores.shape
    (torch.Size([8, 2, 10]), torch.Size([2, 10]))
    """

    def __init__(
        self,
        layers: str = "12C5-P2-64C5-P2-10",
        in_shape: Sequence[int] = (1, 28, 28),
        *,
        batch_norm: bool = False,
        beta: PerLayer = 0.95,
        threshold: PerLayer = 1.0,
        reset_mechanism: ops.ResetMechanism = "subtract",
        spike_grad: str | Callable[[Tensor], Tensor] = "atan",
        learn_beta: bool = False,
        learn_threshold: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        readout: ReadoutName = "mean_membrane",
        backend: ops.Backend = "auto",
    ) -> None:
        check_choices(reset_mechanism, dropout, input_dropout)
        super().__init__(readout=readout, backend=backend)
        described = _parse_layers(layers, in_shape, batch_norm=batch_norm)
        widths = [width for _, width in described]
        surrogate = ops.get_surrogate(spike_grad)
        modules: list[nn.Module] = []
        for (weights, _), layer_beta, layer_threshold in zip(
            described, betas_of(beta, widths), thresholds_of(threshold, widths), strict=True
        ):
            if probability := dropout if modules else input_dropout:
                modules.append(nn.Dropout(probability))
            dense = isinstance(weights[-1], nn.Linear)
            leaky = new_leaky(
                _for_channels(layer_beta, dense=dense),
                _for_channels(layer_threshold, dense=dense),
                reset_mechanism=reset_mechanism,
                spike_grad=surrogate,
                learn_beta=learn_beta,
                learn_threshold=learn_threshold,
            )
            modules += [*weights, leaky]
        self.network = nn.Sequential(*modules)
        self.in_shape = tuple(in_shape)
        self.layers = layers

    def spiking_layers(self) -> list[SpikingLayer]:
        """Return the layers, each made of memoryless modules and the neurons after them.

        Returns
        -------
        list of SpikingLayer
            Layers from input to output, as `spikemnist.energy.measure_energy` counts them.
        """
        return read_layers(self.network)

    @property
    def config(self) -> dict[str, object]:
        """Arguments that build a model like this one, read from its modules."""
        neurons = [layer.leaky for layer in self.spiking_layers()]
        first, *others = self.network
        dropouts = [module.p for module in others if isinstance(module, nn.Dropout)]
        of_input = first.p if isinstance(first, nn.Dropout) else 0.0
        return {
            "layers": self.layers,
            "in_shape": list(self.in_shape),
            "batch_norm": any(isinstance(m, nn.BatchNorm2d) for m in self.network.modules()),
            "beta": [_numbers(leaky.beta) for leaky in neurons],
            "threshold": [_numbers(leaky.threshold) for leaky in neurons],
            "reset_mechanism": neurons[0].reset_mechanism,
            "spike_grad": neurons[0].spike_grad,
            "learn_beta": isinstance(neurons[0].beta, nn.Parameter),
            "learn_threshold": isinstance(neurons[0].threshold, nn.Parameter),
            "dropout": dropouts[0] if dropouts else 0.0,
            "input_dropout": of_input,
            "readout": self.readout,
            "backend": self.backend,
        }

    def _check_input(self, spikes: Tensor) -> Tensor:
        check_spikes(spikes, self.in_shape, "in_shape")
        return spikes.reshape(*spikes.shape[:2], *self.in_shape)

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        return super()._shapes(sample_shape or self.in_shape)


def _parse_layers(
    layers: str, in_shape: Sequence[int], *, batch_norm: bool
) -> list[tuple[list[nn.Module], int]]:
    """Return the modules before the neurons of each layer, and its channels or dense neurons."""
    if len(in_shape) != 3 or any(not isinstance(size, int) or size < 1 for size in in_shape):
        raise ValueError(
            f"in_shape must be (channels, height, width), positive integers; got {in_shape!r}"
        )
    stages: list[tuple[list[nn.Module], int]] = []
    shape: tuple[int, ...] = tuple(in_shape)
    for token in layers.split("-"):
        match = _TOKEN.fullmatch(token)
        if match is None or "0" in (match["channels"], match["neurons"], match["size"]):
            raise ValueError(
                f"{token!r} in layers={layers!r} is none of 12C5 (a convolution), P2 and AP2 "
                "(pooling) and 10 (a dense layer)"
            )
        behind = _shape_behind(shape, match, layers)
        _add(stages, shape, match, layers, batch_norm=batch_norm)
        shape = behind
    if len(shape) != 1:
        raise ValueError(f"layers={layers!r} must end in a dense layer, one neuron for each class")
    return stages


def _add(
    stages: list[tuple[list[nn.Module], int]],
    shape: tuple[int, ...],
    match: re.Match[str],
    layers: str,
    *,
    batch_norm: bool,
) -> None:
    """Add one layer or pooling of the notation, for an input of this shape, to ``stages``."""
    if match["pooling"]:
        if not stages:
            raise ValueError(f"layers={layers!r} must begin with weights, not with pooling")
        pooling = nn.AvgPool2d if match["pooling"] == "AP" else nn.MaxPool2d
        stages[-1][0].append(pooling(int(match["size"])))
    elif match["channels"]:
        channels = int(match["channels"])
        stride, padding = int(match["stride"] or 1), int(match["padding"] or 0)
        convolution = nn.Conv2d(shape[0], channels, int(match["kernel"]), stride, padding)
        normalised = [nn.BatchNorm2d(channels)] if batch_norm else []
        stages.append(([convolution, *normalised], channels))
    else:
        flat = [nn.Flatten()] if len(shape) > 1 else []
        neurons = int(match["neurons"])
        stages.append(([*flat, nn.Linear(math.prod(shape), neurons)], neurons))


def _shape_behind(shape: tuple[int, ...], match: re.Match[str], layers: str) -> tuple[int, ...]:
    if match["neurons"]:
        return (int(match["neurons"]),)
    kernel = int(match["kernel"] or match["size"])
    stride = int(match["size"] or match["stride"] or 1)
    padding = int(match["padding"] or 0)
    channels, *pixels = shape
    if not pixels:
        raise ValueError(f"{match[0]!r} in layers={layers!r} comes after a dense layer")
    if stride < 1 or kernel < 1:
        raise ValueError(f"{match[0]!r} in layers={layers!r} has kernel or stride 0")
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in pixels)
    if min(height, width) < 1:
        raise ValueError(
            f"{match[0]!r} in layers={layers!r} leaves no pixel of {pixels[0]} x {pixels[1]}: "
            "use smaller kernels, padding (as in 12C5p2) or less pooling"
        )
    return (int(match["channels"] or channels), height, width)


def _for_channels(values: Tensor, *, dense: bool) -> Tensor:
    """Reshape the numbers of channels to broadcast against ``[C, H, W]``."""
    return values if dense or not values.dim() else values.view(-1, 1, 1)


def _numbers(values: Tensor) -> float | list[float]:
    """Return a scalar as a number, and the values of channels or neurons as a list."""
    numbers: float | list[float] = values.flatten().tolist() if values.dim() else values.item()
    return numbers
