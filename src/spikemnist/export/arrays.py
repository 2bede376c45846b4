r"""A trained network as plain arrays, the common form for writing all formats and reading NIR.

Batch normalisation stands between a convolution and the neurons, so in evaluation it is folded into
the weights:

.. math:: w' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} w, \qquad
          b' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu) + \beta

Shapes: ``N`` neurons and ``F`` inputs of a dense layer; ``O`` output channels, ``C`` input channels
and ``K`` kernel size of a convolution.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikemnist._arguments import must_be
from spikemnist._tensors import not_finite
from spikemnist.encoding import Encoder
from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP, SpikingNetwork
from spikemnist.models.readout import READOUTS, name_of, named_or_own, number_of_classes
from spikemnist.models.spiking_layer import SpikingLayer, fold_norm

Floats = NDArray[np.float32]

IGNORED = (nn.Flatten, nn.Identity, nn.Dropout)
"""Modules that change no numbers in evaluation."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Weights:
    """Weights of a layer, and pooling after them.

    Attributes
    ----------
    in_shape : tuple of int
        Shape of a sample at a timestep.
    weight : numpy.ndarray
        float32 ``[N, F]`` for a dense layer, ``[O, C, K, K]`` for a convolution.
    bias : numpy.ndarray
        float32 ``[N]`` or ``[O]``.
    stride, padding : int
        Stride and padding of a convolution.
    pooling : str or None
        ``"max"`` or ``"average"`` pooling between weights and neurons.
    pool : int
        Side and stride of the pooled square; 1 without pooling.
    """

    in_shape: tuple[int, ...]
    weight: Floats
    bias: Floats
    stride: int = 1
    padding: int = 0
    pooling: Literal["max", "average"] | None = None
    pool: int = 1

    @property
    def is_dense(self) -> bool:
        """Whether the layer is dense, not a convolution."""
        return self.weight.ndim == 2

    @property
    def weighed_shape(self) -> tuple[int, ...]:
        """Shape of a sample after the weights."""
        if self.is_dense:
            return (len(self.weight),)
        room = 2 * self.padding - self.weight.shape[2]
        return (len(self.weight), *((side + room) // self.stride + 1 for side in self.in_shape[1:]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the neurons."""
        channels, *sides = self.weighed_shape
        return (channels, *(side // self.pool for side in sides))

    @property
    def by_input(self) -> Floats:
        """Weights in the order in which events read them, ``[I, K, K, O]``, channels last.

        A dense layer counts as a convolution of one pixel with a kernel of one pixel. If its input
        comes from a convolution, the inputs are in the order ``[H, W, C]``.
        """
        weight = self.weight
        if self.is_dense and len(self.in_shape) == 3:
            weight = weight.reshape(-1, *self.in_shape).transpose(0, 2, 3, 1)
        if self.is_dense:
            weight = weight.reshape(len(weight), -1, 1, 1)
        return np.ascontiguousarray(weight.transpose(1, 2, 3, 0))


@dataclass(frozen=True, eq=False, kw_only=True)
class LayerArrays(Weights):
    """Weights, pooling and neurons of a layer, in this order.

    Attributes
    ----------
    beta, threshold : numpy.ndarray
        float32 ``[N]``, or for each channel ``[O]``; beta in [0, 1].
    reset : str
        ``"subtract"``, ``"zero"`` or ``"none"``.
    """

    beta: Floats
    threshold: Floats
    reset: str


@dataclass(frozen=True, eq=False)
class NetworkArrays:
    """The layers of a network, from input to output, and the readout of the last layer.

    ``population`` neurons of the last layer stand for each class.
    """

    layers: tuple[LayerArrays, ...]
    readout: str
    population: int = 1

    @property
    def classes(self) -> int:
        """Number of classes."""
        return number_of_classes(len(self.layers[-1].weight), self.population)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of a sample at a timestep."""
        return self.layers[0].in_shape

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of an image, ``[H, W]``, or ``[C, H, W]`` with several channels.

        Inputs without a shape of their own are the pixels of a square, if their number allows it.
        """
        shape, side = self.in_shape, math.isqrt(math.prod(self.in_shape))
        if len(shape) == 1 and side**2 == shape[0]:
            return (side, side)
        return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def read_model(model: Classifier | SpikingNetwork) -> tuple[NetworkArrays, Encoder | None]:
    """Read a network as it is in evaluation mode, and the encoder if it is part of the export.

    Parameters
    ----------
    model : Classifier or SpikingNetwork
        Network whose layers are each a `torch.nn.Linear`, or a `torch.nn.Conv2d` with or without
        batch normalisation and pooling, followed by `snntorch.Leaky` neurons. A convolutional
        network needs ``in_shape``, the shape of a sample.

    Returns
    -------
    network : NetworkArrays
        Copies, so that further training does not change them.
    encoder : Encoder or None
        Encoder of a classifier.

    Raises
    ------
    TypeError
        If there is no network of spikemnist.
    ValueError
        For a layer of other modules, another readout, or a parameter that is NaN or infinite; the
        message names it.
    """
    network: nn.Module = model.network if isinstance(model, Classifier) else model
    if not isinstance(network, SpikingNetwork):
        raise TypeError(
            "a Classifier or a network of LeakyMLP, LeakyConvNet or accelerate can be exported; "
            f"got {type(network).__name__}"
        )
    readout = named_or_own(network.readout)
    if not isinstance(readout, str):
        raise ValueError(
            f"the exports have the readouts {', '.join(READOUTS)}, and not "
            f"{name_of(network.readout)}: train the network with one of them"
        )
    # In single precision, in which all formats are written.
    if bad := not_finite({name: x.float() for name, x in network.state_dict().items()}):
        raise ValueError(f"{bad} holds NaN or infinity, which cannot be exported")
    shape, layers = network.in_shape or (), []
    for layer in network.layers:
        layers.append(_read_layer(layer, shape))
        shape = layers[-1].shape
    arrays = NetworkArrays(tuple(layers), readout, network.population)
    return arrays, model.encoder if isinstance(model, Classifier) else None


def _read_layer(layer: SpikingLayer, shape: tuple[int, ...]) -> LayerArrays:
    modules = [(path, m) for path, m in layer.modules if not isinstance(m, IGNORED)]
    (path, weights), *others = modules or [(layer.path, layer.leaky)]
    synapses = _read_weights(path, weights, shape)
    for path, module in others:
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and synapses.pooling is None:
            synapses = _fold(synapses, path, module)
        elif isinstance(module, (nn.MaxPool2d, nn.AvgPool2d)) and synapses.pooling is None:
            synapses = _pool(synapses, path, module)
        else:
            raise ValueError(
                f"{path} is a {type(module).__name__}, which cannot be exported; only batch "
                "normalisation and then one pooling may follow the weights of a layer"
            )
    beta, threshold = (
        one_per_channel(f"{name} of {layer.path}", np.broadcast_to(_array(value), synapses.shape))
        for name, value in (("beta", layer.leaky.beta), ("threshold", layer.leaky.threshold))
    )
    return LayerArrays(
        **vars(synapses),
        beta=beta.clip(0, 1),
        threshold=threshold,
        reset=layer.leaky.reset_mechanism,
    )


def _read_weights(path: str, module: nn.Module, shape: tuple[int, ...]) -> Weights:
    """Return the weights of the first module of a layer."""
    if not isinstance(module, (nn.Linear, nn.Conv2d)):
        raise ValueError(
            f"the layer of {path} begins with {type(module).__name__}; only layers that begin with "
            "nn.Linear or nn.Conv2d are exported"
        )
    weight = _array(module.weight)
    bias = np.zeros(len(weight), np.float32) if module.bias is None else _array(module.bias)
    if isinstance(module, nn.Linear):
        return Weights(in_shape=shape or weight.shape[1:], weight=weight, bias=bias)
    if module.groups != 1 or module.dilation != (1, 1) or module.padding_mode != "zeros":
        raise ValueError(f"{path} has groups, dilation or padding_mode, which cannot be exported")
    if len(shape) != 3:
        raise ValueError(
            f"{path} needs the shape of a sample, (channels, height, width): pass it as in "
            "accelerate(network, in_shape=(1, 28, 28))"
        )
    square(path, "kernel_size", module.kernel_size)
    return Weights(
        in_shape=shape,
        weight=weight,
        bias=bias,
        stride=square(path, "stride", module.stride),
        padding=square(path, "padding", module.padding),
    )


def _fold(synapses: Weights, path: str, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Weights:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            f"{path} keeps no running statistics, so it cannot be merged into the weights"
        )
    exact = copy.deepcopy(norm).cpu().double()
    arrays = (torch.from_numpy(synapses.weight).double(), torch.from_numpy(synapses.bias).double())
    with torch.no_grad():
        weight, bias = (part.cpu().numpy() for part in fold_norm(*arrays, exact))
    return replace(synapses, weight=weight.astype(np.float32), bias=bias.astype(np.float32))


def _pool(synapses: Weights, path: str, module: nn.MaxPool2d | nn.AvgPool2d) -> Weights:
    side = square(path, "kernel_size", module.kernel_size)
    plain = (
        square(path, "stride", module.stride) == side
        and not square(path, "padding", module.padding)
        and not module.ceil_mode
        and getattr(module, "dilation", 1) in (1, (1, 1))
        and getattr(module, "divisor_override", None) is None
    )
    if not plain:
        raise ValueError(f"{path} must pool squares side by side, without padding, to be exported")
    kind: Literal["max", "average"] = "max" if isinstance(module, nn.MaxPool2d) else "average"
    return replace(synapses, pooling=kind, pool=side)


def one_per_channel(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return the number of each dense neuron or channel; raise a `ValueError` if it has several."""
    channels = values.reshape(len(values), -1)
    if (channels != channels[:, :1]).any():
        raise ValueError(
            f"{name} differs within a channel; only one number for each channel is supported"
        )
    return np.array(channels[:, 0])


def square(path: str, name: str, value: Any, least: int = 0) -> int:
    """Return a size that is the same along height and width; raise a `ValueError` otherwise."""
    sizes = set(np.ravel(value).tolist())
    if len(sizes) != 1 or not all(isinstance(size, int) and size >= least for size in sizes):
        expected = f"the same along height and width, an integer >= {least}"
        raise must_be(f"{name} of {path}", expected, value)
    return int(sizes.pop())


def _array(tensor: torch.Tensor) -> Floats:
    return np.array(tensor.detach().cpu().float().numpy())  # of bfloat16 as well


def build_model(network: NetworkArrays) -> LeakyMLP | LeakyConvNet:
    """Build a model of these layers, in evaluation mode.

    Raises
    ------
    ValueError
        If the layers have different reset mechanisms.
    """
    resets = {layer.reset for layer in network.layers}
    if len(resets) > 1:
        raise ValueError(
            f"all layers must have the same reset mechanism to be exported; got {sorted(resets)}"
        )
    options: dict[str, Any] = {
        "beta": [_short(layer.beta) for layer in network.layers],
        "threshold": [_short(layer.threshold) for layer in network.layers],
        "reset_mechanism": resets.pop(),
        "readout": network.readout,
        "population": network.population,
    }
    model: LeakyMLP | LeakyConvNet
    if all(layer.is_dense for layer in network.layers):
        hidden = [len(layer.weight) for layer in network.layers[:-1]]
        model = LeakyMLP(
            hidden,
            in_features=network.layers[0].weight.shape[1],
            out_features=network.classes,
            **options,
        )
    else:
        notation = "-".join([*map(_notation, network.layers[:-1]), str(network.classes)])
        model = LeakyConvNet(notation, network.in_shape, **options)
    for place, layer in zip(model.layers, network.layers, strict=True):
        (weights,) = (m for _, m in place.modules if isinstance(m, (nn.Linear, nn.Conv2d)))
        arrays = {"weight": layer.weight, "bias": layer.bias}
        weights.load_state_dict({name: torch.from_numpy(x) for name, x in arrays.items()})
    return model.eval()


def _short(values: Floats) -> Any:
    """Return a single number if all values are equal."""
    return values[0] if (values == values[0]).all() else values


def _notation(layer: LayerArrays) -> str:
    """Return a layer in the notation of `LeakyConvNet`."""
    if layer.is_dense:
        return str(len(layer.weight))
    stride = f"s{layer.stride}" if layer.stride > 1 else ""
    padding = f"p{layer.padding}" if layer.padding else ""
    pooling = {None: "", "max": f"-P{layer.pool}", "average": f"-AP{layer.pool}"}[layer.pooling]
    return f"{len(layer.weight)}C{layer.weight.shape[2]}{stride}{padding}{pooling}"
