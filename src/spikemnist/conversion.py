"""Convert a trained ANN into a spiking network.

For whoever has trained an ANN and wants it to spike. Needs: the core. Needed by: no other room.

Shapes: ``T`` timesteps, ``N`` samples.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import snntorch
import torch
from torch import Tensor, nn

from spikemnist._arguments import check_number, must_be, named
from spikemnist._tables import Result, Table
from spikemnist._tensors import not_finite
from spikemnist.data import ImageDataset
from spikemnist.data.feed import make_feed
from spikemnist.encoding import DirectEncoder
from spikemnist.models.architecture import flat, is_kind, walk
from spikemnist.models.builders import accelerate
from spikemnist.models.classifier import Classifier, responses
from spikemnist.models.layer_table import layer_names
from spikemnist.models.neuron import is_hooked
from spikemnist.models.spiking_layer import MEMORYLESS, fold_norm

BATCH = 32
"""Images that run together: a record holds each neuron of a convolution at each timestep."""

SCALED_BY = 1000
"""Images that set the scales: their activations are in memory at once."""

LEFT_OUT = (nn.Identity, nn.Dropout, nn.Dropout2d)
MODULES = (nn.ReLU, *MEMORYLESS, nn.Dropout2d)

Weighted: TypeAlias = nn.Linear | nn.Conv2d
Blocks = list[list[nn.Module]]
"""The modules of an ANN in front of each ReLU, then those in front of the logits."""


@dataclass(frozen=True, eq=False, repr=False)
class Conversion(Result):
    r"""A spiking network made of an ANN, and what both do with the same images.

    Attributes
    ----------
    classifier : Classifier
        The spiking network, with a `~spikemnist.encoding.DirectEncoder`.
    ann : tuple of torch.nn.Sequential
        Copies of the layers of the ANN, each up to its ReLU, the last up to the logits. Batch
        normalisation is folded in.
    scales : dict of str to float
        Activation that is one spike per timestep, by layer.
    samples : int
        Number of images.
    labelled : bool
        Whether the images have labels. If not, the accuracies are the agreement with the ANN.
    ann_accuracy : float
        Accuracy of the ANN.
    accuracy_per_step : torch.Tensor
        Accuracy of the spiking network if the decision were taken after each timestep, ``[T]``.
    errors : dict of str to float
        Error of each layer, :math:`\lVert \lambda r - a \rVert / \lVert a \rVert`, for activations
        :math:`a`, spikes per timestep :math:`r` and the scale :math:`\lambda`. For the output,
        :math:`a` are the logits and :math:`r` mean membranes.

    Examples
    --------
    >>> from spikemnist import load_digits
    >>> train, test = load_digits()
    >>> ann = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))
    >>> conversion = convert(ann, train[:200], num_steps=16).compare(test[:100])
    >>> conversion.samples, conversion.accuracy_per_step.shape, list(conversion.errors)
    (100, torch.Size([16]), ['hidden 1', 'output'])
    """

    classifier: Classifier
    ann: tuple[nn.Sequential, ...]
    scales: dict[str, float]
    samples: int = 0  # what follows is that of `compare`
    labelled: bool = False
    ann_accuracy: float = math.nan
    accuracy_per_step: Tensor = field(default_factory=lambda: torch.empty(0))
    errors: dict[str, float] = field(default_factory=dict)

    def compare(self, images: Tensor | ImageDataset, *, progress: bool = True) -> Conversion:
        """Return the same networks on other images, such as those of a test set.

        Parameters
        ----------
        images : torch.Tensor or ImageDataset
            Images ``[N, ...]`` as for `convert`.
        progress : bool, default True
            Whether to show a bar after two seconds, if standard error is a terminal.

        Returns
        -------
        Conversion

        Raises
        ------
        TypeError, ValueError
            If the images do not fit.
        """
        network: Any = self.classifier.network
        template = next(network.parameters())
        data = _dataset(images)
        feed = make_feed(data, BATCH, template.device, "images")
        options = {"record": "all"}
        squares: list[Tensor] = []
        right: list[Tensor] = []
        with responses(self.classifier, feed, seed=0, options=options, progress=progress) as runs:
            for current, record, labels in runs:
                signal = current[0].reshape(-1, *network.in_shape).to(template)
                rates = [layer.spikes.mean(0) for layer in record.layers[:-1]] + [record.scores]
                for layer, scale, rate in zip(self.ann, self.scales.values(), rates, strict=True):
                    signal = layer(signal)
                    read, exact = (rate * scale).cpu().double(), signal.cpu().double()
                    squares += [(read - exact).square().sum(), exact.square().sum()]
                decisions = torch.cat((signal.argmax(1)[None], record.running_predictions))
                right.append(decisions == (labels if data is images else decisions[0]))
        accuracies = torch.cat(right, 1).cpu().double().mean(1)
        sums = torch.stack(squares).view(len(right), -1, 2).sum(0)
        return replace(
            self,
            samples=len(data),
            labelled=data is images,
            ann_accuracy=float(accuracies[0]),
            accuracy_per_step=accuracies[1:],
            errors=dict(zip(self.scales, (sums[:, 0] / sums[:, 1]).sqrt().tolist(), strict=True)),
        )

    def table(self) -> Table:
        """Return the accuracies after 1, 2, 4, ... timesteps, as ``repr`` shows."""
        shares, what = self.accuracy_per_step.tolist(), "accuracy" if self.labelled else "agreement"
        steps = sorted({*(2**i for i in range(len(shares).bit_length())), len(shares)})
        rows = [("ANN", f"{self.ann_accuracy:.2%}")]
        rows += [(f"T = {step}", f"{shares[step - 1]:.2%}") for step in steps]
        errors = ", ".join(f"{name} {error:.1%}" for name, error in self.errors.items())
        title = f"Conversion of an ANN, {what} on {self.samples:,} images"
        return Table(title, ("network", what), rows, f"error of each layer: {errors}")


@named()
def convert(
    ann: nn.Module,
    images: Tensor | ImageDataset,
    *,
    num_steps: int = 32,
    percentile: float = 99.9,
    progress: bool = True,
) -> Conversion:
    r"""Make a spiking network of a trained ReLU network.

    Each ReLU becomes integrate-and-fire neurons, `snntorch.Leaky` with beta 1, threshold 1 and
    reset by subtraction. Their spikes per timestep approximate the activations :math:`a_l` in units
    of a scale :math:`\lambda_l`, the ``percentile`` of the activations on the images. The weights
    of layer :math:`l` become

    .. math:: W_l' = \frac{\lambda_{l-1}}{\lambda_l} W_l, \quad
              b_l' = \frac{b_l}{\lambda_l} + \frac{1}{2T}, \quad \lambda_0 = 1

    The last term adds up to half a threshold, so that numbers of spikes are rounded, not rounded
    down. The image is a constant current, and the outputs, which never fire, estimate the logits by
    their mean membranes. Nothing is random, and the ANN stays as it is.

    Parameters
    ----------
    ann : torch.nn.Sequential
        Trained network, possibly nested, of `torch.nn.Linear`, `torch.nn.Conv2d`, `torch.nn.ReLU`,
        `torch.nn.BatchNorm1d`, `torch.nn.BatchNorm2d`, `torch.nn.AvgPool2d`,
        `torch.nn.AdaptiveAvgPool2d`, `torch.nn.MaxPool2d`, `torch.nn.AdaptiveMaxPool2d`,
        `torch.nn.Flatten`, `torch.nn.Dropout`, `torch.nn.Dropout2d` and `torch.nn.Identity`,
        without hooks or parametrizations. It ends in logits, or in a softmax of them.
        Maximum pooling is exact in front of the first neurons. Behind them it becomes two layers of
        neurons more, as :math:`\max(a, b) = a + \mathrm{ReLU}(b - a)` for rates, and must be
        ``MaxPool2d(2)`` of a ReLU.
    images : torch.Tensor or ImageDataset
        Images ``[N, ...]``, uint8 or floating in [0, 1], as in the training of the ANN; of images
        ``[N, H, W]`` a convolution gets one channel. At most 1,000 of them, evenly spaced, set the
        scales; both networks run on all.
    num_steps : int, default 32
        Number of timesteps, ``T``.
    percentile : float, default 99.9
        Percentile of the activations of a layer that fires at each timestep, in (0, 100]. What is
        higher is cut off; the higher the percentile, the coarser is the rest.
    progress : bool, default True
        Whether to show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Conversion
        The spiking network, and what both networks do with these images.

    Raises
    ------
    TypeError
        If ``images`` is neither a tensor nor an `~spikemnist.data.ImageDataset`.
    RuntimeError
        From torch, if the ANN does not take the images.
    ValueError
        If the ANN has a module that cannot be converted, named with its place; if the images do not
        fit, or a layer is silent on them; if an argument is out of its range.

    Notes
    -----
    Scales: Diehl et al., *Fast-classifying, high-accuracy spiking deep networks through weight and
    threshold balancing*, IJCNN 2015, and, with percentiles, Rueckauer et al., *Conversion of
    continuous-valued deep networks to efficient event-driven networks for image classification*,
    Frontiers in Neuroscience 11:682, 2017, doi:10.3389/fnins.2017.00682. Half a threshold: Deng,
    Gu, *Optimal conversion of conventional artificial neural networks to spiking neural networks*,
    ICLR 2021.

    Examples
    --------
    >>> from spikemnist import load_digits
    >>> ann = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))
    >>> network = convert(ann, load_digits()[0][:200]).classifier.network
    >>> network.sizes, network.stepping_reason, float(network.layers[0].leaky.beta)
    ({'hidden 1': 50, 'output': 10}, None, 1.0)
    """
    percentile = check_number("percentile", percentile, "(0, 100]")
    encoder, data = DirectEncoder(num_steps=num_steps), _dataset(images)
    layers = _read(ann)
    if bad := not_finite(ann.state_dict()):
        raise ValueError(f"the ANN has NaN or infinity in {bad}: train it again")
    some = encoder(data.images[:: math.ceil(len(data) / SCALED_BY)])[0]
    if isinstance(layers[0][0], (nn.Flatten, nn.Linear)):
        some = some.flatten(1)
    elif some.dim() == 3:
        some = some.unsqueeze(1)
    scales = _scales(layers, some.to(next(layers[0].parameters())), percentile)
    spiking = _spiking(layers, [*scales.values()], num_steps)
    network = accelerate(spiking, in_shape=tuple(some.shape[1:]))
    if data.classes and len(data.classes) != (outputs := network.sizes["output"]):
        raise must_be("images.classes", f"{outputs} names, as the ANN has outputs", data.classes)
    conversion = Conversion(Classifier(network, encoder, data.classes), layers, scales)
    return conversion.compare(images, progress=progress)


def _dataset(images: Tensor | ImageDataset) -> ImageDataset:
    """Return images with labels; those of a tensor mean nothing."""
    if not isinstance(images, ImageDataset):
        images = ImageDataset(images, torch.zeros(len(images), dtype=torch.int64))
    if not len(images):
        raise ValueError("images are empty: give some hundreds of the training set")
    return images


def _read(ann: nn.Module) -> tuple[nn.Sequential, ...]:
    """Return copies of the layers of an ANN, or raise a `ValueError` that names a module."""
    if not is_kind(ann, nn.Sequential):
        raise ValueError(
            f"{type(ann).__name__} has a forward of its own: put its modules into an nn.Sequential "
            "in the order in which forward calls them, with nn.ReLU for functional.relu. A sum of "
            "two paths, such as x + f(x), cannot be converted"
        )
    chain = [part for part in flat(ann, "ann") if not is_kind(part[1], *LEFT_OUT)]
    last: Any = chain[-1][1] if chain else None
    if is_kind(last, nn.Softmax, nn.LogSoftmax) and last.dim in (None, 1, -1):
        chain.pop()  # the highest logit stays the highest, but not over the batch
    for i in range(len(chain) - 1):
        if isinstance(chain[i][1], nn.MaxPool2d) and isinstance(chain[i + 1][1], nn.ReLU):
            chain[i : i + 2] = chain[i + 1], chain[i]  # they commute
    layers: Blocks = [[]]
    hooked = [(p, m) for p, m in walk(ann, "ann") if is_kind(m, nn.Sequential) and is_hooked(m)]
    for path, module in (*hooked, *chain):
        kind = type(module)
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
            raise must_be(path, "nn.Flatten()", module)
        if kind not in MODULES or is_hooked(module):
            names = [known.__name__ for known in MODULES]
            alike = kind not in MODULES and kind.__name__ in names
            name = f"{kind.__module__}.{kind.__name__}" if alike else kind.__name__
            raise ValueError(
                f"{path} is {name}, and convert takes {', '.join(names)}, without hooks or "
                "parametrizations: train the ANN with these, and make weights plain, as "
                "torch.nn.utils.prune.remove does"
            )
        if not isinstance(module, nn.ReLU):
            _append(path, copy.deepcopy(module), layers)
        elif _weights_in(layers[-1]):  # of other inputs >= 0, a ReLU changes nothing
            layers.append([])
    if not _weights_in(layers[-1]):
        raise ValueError("ann must end in logits: let an nn.Linear follow the last nn.ReLU")
    *hidden, output = layers
    return (*(nn.Sequential(*modules, nn.ReLU()) for modules in hidden), nn.Sequential(*output))


def _append(path: str, module: nn.Module, layers: Blocks) -> None:
    """Append a module to the last of the layers."""
    here = layers[-1]
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        if not (here and isinstance(here[-1], Weighted)) and isinstance(module, nn.BatchNorm2d):
            here.append(_per_channel(torch.ones(1, 1, 1, 1), module.num_features, module))
        if not (here and isinstance(last := here[-1], Weighted)) or module.running_mean is None:
            raise ValueError(
                f"{path} is {type(module).__name__}, whose running statistics convert folds into "
                "the weights before it: place it between weights and their ReLU"
            )
        last.weight, last.bias = map(nn.Parameter, fold_norm(last.weight, last.bias, module))
    elif not isinstance(module, (nn.MaxPool2d, nn.AdaptiveMaxPool2d)):
        here.append(module)
    elif len(layers) == 1 or (len(layers) == 2 and not here):
        layers[0].append(module)  # its input is the same at each timestep
    elif here or module.extra_repr().replace("(2, 2)", "2") != nn.MaxPool2d(2).extra_repr():
        raise ValueError(
            f"{path} is {type(module).__name__}, and the maximum of spikes is not that of their "
            "rates: behind neurons convert takes nn.MaxPool2d(2) of a ReLU, or nn.AvgPool2d"
        )
    else:
        layers[-1:] = _maximum(_weights_in(layers[-2])[-1])


def _maximum(before: Weighted) -> Blocks:
    """Return layers for the maximum of two columns, then of two rows: a + ReLU(b - a)."""
    pair = torch.tensor([[1.0, 0.0], [-1.0, 1.0]])  # the two terms, of a and b
    rows = pair.view(2, 1, 2, 1).expand(2, 2, 2, 1)
    kernels = pair.view(2, 1, 1, 2), rows, torch.ones(1, 2, 1, 1)
    return [[_per_channel(kernel, len(before.weight), before)] for kernel in kernels]


def _per_channel(kernel: Tensor, channels: int, template: nn.Module) -> Weighted:
    """Return a convolution of each channel by itself, with a kernel ``[outputs, inputs, H, W]``."""
    inputs, size = kernel.shape[1], (kernel.shape[2], kernel.shape[3])
    weight = kernel.repeat(channels, 1, 1, 1).to(next(iter(template.state_dict().values())))
    conv = nn.Conv2d(channels * inputs, len(weight), size, size, groups=channels, device="meta")
    conv.weight, conv.bias = nn.Parameter(weight), None  # on "meta" nothing was drawn for them
    return conv


def _weights_in(modules: Iterable[nn.Module]) -> list[Any]:
    return [module for module in modules if isinstance(module, Weighted)]


@torch.no_grad()
def _scales(layers: Sequence[nn.Module], signal: Tensor, percentile: float) -> dict[str, float]:
    """Return the percentile of the activations of each ReLU, and 1 for the logits."""
    *hidden, output = layer_names(len(layers))
    scales = {}
    for name, layer in zip(hidden, layers[:-1], strict=True):
        signal = layer(signal)
        rank = max(1, round(signal.numel() * percentile / 100))
        scales[name] = float(signal.flatten().kthvalue(rank).values)
        if not 0 < scales[name] < math.inf:
            raise ValueError(
                f"{percentile:g} % of the activations of {name} are 0 on these images, or some are "
                "not finite: give more images, or percentile=100"
            )
    return {**scales, output: 1.0}


@torch.no_grad()
def _spiking(layers: Sequence[nn.Sequential], scales: Sequence[float], steps: int) -> nn.Sequential:
    """Return the layers with scaled weights, each with its neurons."""
    modules: list[nn.Module] = []
    for layer, before, scale in zip(layers, (1.0, *scales), scales, strict=False):
        copies = [copy.deepcopy(module) for module in layer if not isinstance(module, nn.ReLU)]
        weighted = _weights_in(copies)
        for module in weighted:
            none = module.weight.new_zeros(len(module.weight))
            module.bias = nn.Parameter((none if module.bias is None else module.bias) / before)
        weighted[-1].weight *= before / scale
        weighted[-1].bias *= before / scale
        weighted[-1].bias += 0.0 if layer is layers[-1] else 1 / (2 * steps)
        modules += *copies, snntorch.Leaky(beta=1.0, threshold=1.0, reset_mechanism="subtract")
    modules[-1] = snntorch.Leaky(beta=0.0, threshold=1e9, reset_mechanism="none")
    return nn.Sequential(*modules)
