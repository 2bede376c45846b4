"""Convolutions before leaky integrate-and-fire neurons, and a dense head.

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

    ``layers`` is the notation of the literature: ``12C5`` is a convolution with 12 channels and
    kernels of 5 x 5 pixels, ``P2`` maximum pooling and ``AP2`` average pooling over 2 x 2 pixels,
    and a number alone a dense layer. ``12C5s2p1`` has stride 2 and padding 1. Neurons stand behind
    each layer of weights, after its normalisation and its pooling, and integrate what comes out as
    `spikemnist.ops.leaky` states; the last dense layer has one for each class.

    All timesteps of a layer are computed at once: they are folded into the batch, for batch
    normalisation as well. An input that is the same at every timestep, as `DirectEncoder` makes
    it, goes through the first convolution once.

    Parameters
    ----------
    layers
        From the input to the classes. The default is the network of snnTorch's sixth tutorial.
    in_shape
        ``(C, H, W)`` of a timestep of a sample: ``(1, 28, 28)`` for MNIST, ``(2, 34, 34)`` for
        N-MNIST. The input may have any shape of as many numbers, such as ``[T, B, 28, 28]``.
    batch_norm
        Whether `torch.nn.BatchNorm2d` stands behind each convolution. Its statistics are those of
        all timesteps of a batch together.
    beta
        Decay of the membrane per timestep, in [0, 1]. A number for all, or a sequence with one
        entry for each layer of neurons: a number, or one for each channel or dense neuron.
    threshold
        Firing threshold, above 0, likewise.
    reset_mechanism
        ``"subtract"``, ``"zero"`` or ``"none"``: see `spikemnist.ops.leaky`.
    spike_grad
        Surrogate gradient: a name, a `spikemnist.ops.Surrogate`, one of `snntorch.surrogate`, or
        any callable with a gradient of its own.
    learn_beta, learn_threshold
        Whether the optimiser changes them. A beta of exactly 0 or 1 has the gradient of
        `torch.clamp` on its bounds: none since torch 2.15. Begin inside.
    dropout
        Probability, in [0, 1), with which a hidden spike is dropped while training, drawn anew
        at each timestep; a seed draws the same masks on the backends ``"reference"`` and
        ``"event_driven"``.
    input_dropout : float, default 0.0
        Probability, in [0, 1), with which an input is dropped while training, likewise.
    readout
        ``"mean_membrane"``, ``"max_membrane"``, ``"spike_count"`` or ``"first_spike"``: see
        `spikemnist.models.readout.scores`.
    backend
        How the T steps are run: see `spikemnist.ops.select_backend`. ``"snntorch"`` steps the
        modules one timestep after the other, and cannot train with ``batch_norm``.

    Raises
    ------
    ValueError
        For any argument out of its range, and for layers that leave no pixel.

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
        described = parse_layers(layers, in_shape, batch_norm=batch_norm)
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
        """List the layers: modules without memory, and the neurons behind them.

        Returns
        -------
        list of SpikingLayer
            From the input to the output, as `spikemnist.energy.measure_energy` counts them.
        """
        return read_layers(self.network)

    @property
    def config(self) -> dict[str, object]:
        """The arguments that build a model like this one, read off its modules."""
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
            # Where it is 0, files and checkpoints are those of 0.1.0, which had none.
            **({"input_dropout": of_input} if of_input else {}),
            "readout": self.readout,
            "backend": self.backend,
        }

    def _check_input(self, spikes: Tensor) -> Tensor:
        check_spikes(spikes, self.in_shape, "in_shape")
        return spikes.reshape(*spikes.shape[:2], *self.in_shape)

    def _shapes(self, sample_shape: Sequence[int]) -> list[tuple[int, ...]]:
        return super()._shapes(sample_shape or self.in_shape)


def parse_layers(
    layers: str, in_shape: Sequence[int], *, batch_norm: bool
) -> list[tuple[list[nn.Module], int]]:
    """Return what stands before the neurons of each layer, and its channels or dense neurons."""
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
    """Add a layer that takes input of that shape."""
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
    """Return one number for each channel so that it broadcasts against ``[C, H, W]``."""
    return values if dense or not values.dim() else values.view(-1, 1, 1)


def _numbers(values: Tensor) -> float | list[float]:
    """Return a number, or those of the channels or neurons in a list."""
    numbers: float | list[float] = values.flatten().tolist() if values.dim() else values.item()
    return numbers
