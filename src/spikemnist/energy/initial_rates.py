"""A start from data: scale the weights of a network so that its neurons fire.

Shapes: ``T`` timesteps, ``B`` images, ``N`` neurons of a layer.
"""

from __future__ import annotations

import copy
import itertools
import warnings

import torch

from spikemnist._arguments import check_number
from spikemnist._seeds import seeded
from spikemnist.data.dataset import Samples
from spikemnist.data.feed import Feed
from spikemnist.models import Classifier, Record, SpikingNetwork
from spikemnist.models.classifier import check_network, evaluating
from spikemnist.training.metrics import TrainingWarning

NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)

TOLERANCE = 0.01
"""Distance from the rate, as a share of it, at which the search ends."""

LARGEST_SCALE = 20.0
"""Binary logarithm of the largest scale; its negative is that of the smallest."""

HALVINGS = 24
"""Halvings of the interval, after which the scale is exact to two millionths."""


def initialize(
    classifier: Classifier, images: Samples, *, rate: float = 0.1, seed: int = 0
) -> dict[str, float]:
    r"""Scale the weights of each layer so that its neurons fire at a rate on these images.

    From the first layer to the last, the weights :math:`W` become :math:`sW`. The scale
    :math:`s > 0` is found by bisection, so that the spikes :math:`S` of the layer have the mean

    .. math:: \frac{1}{T B N} \sum_{t, b, n} S_{tbn} = r

    within 1 % of the rate :math:`r`. A silent layer passes nothing on, and the weights behind it
    have no gradient; after this each layer passes spikes on, for any depth, threshold and code.

    Weights change in place: of a layer with batch normalisation its scale, of any other layer its
    last `torch.nn.Linear` or `torch.nn.Conv2d`. Biases stay, and so do weights that are computed,
    such as pruned ones. The running statistics of batch normalisation become those of these images,
    so that the rates hold in evaluation, too. The output layer is left alone if the readout makes
    scores of its membranes, as the default one does: it need not fire. A second call with the same
    images changes no weight, unless the rate jumps: see the notes. An error or Ctrl-C undoes all.

    Parameters
    ----------
    classifier : Classifier
        A `LeakyMLP`, a `LeakyConvNet`, or a network of `accelerate` that kernels can run, with its
        encoder. Usually it is not trained yet.
    images : torch.Tensor or EventBatch
        Images ``[B, ...]`` or recordings, such as the first 64 of the training data.
    rate : float, default 0.1
        Firing rate, in spikes per neuron and timestep, between 0 and 1.
    seed : int, default 0
        Seed for encoders that draw random numbers.

    Returns
    -------
    dict of str to float
        Firing rate of each layer by name, the output layer last.

    Raises
    ------
    TypeError
        If snnTorch steps the network, so that its layers cannot be read, or it is of another kind.
    ValueError
        If ``rate`` is out of its range, or the images do not fit the classifier.

    Warns
    -----
    TrainingWarning
        If no scale of a layer's weights gives the rate; the layer keeps its weights. Its input is
        silent, its biases alone make more spikes, or the rate is too high for any scale.

    Notes
    -----
    The rate need not grow with the scale everywhere, as larger weights also inhibit more. Bisection
    keeps a scale below the rate and one above it, so it ends where the rate is crossed, at one of
    the crossings if there are several. If the rate jumps there, as it may with few neurons and
    images, the layer fires above it, and a second call ends at another scale.

    The layer-by-layer scaling is that of D. Mishkin, J. Matas, *All you need is a good init*, ICLR
    2016, for a firing rate in place of a variance. For spikes, J. Rossbroich, J. Gygax, F. Zenke,
    *Fluctuation-driven initialization for spiking neural network training*, Neuromorphic Computing
    and Engineering, 2022, derive weights from the rates of the data and the membranes' fluctuation.

    Examples
    --------
    >>> import torch
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> train, _ = load_digits()
    >>> seed = torch.manual_seed(0)
    >>> classifier = Classifier(LeakyMLP(hidden=(50, 50), threshold=20.0), "latency")
    >>> int(classifier(train.images[:64]).spike_counts.sum())
    0
    >>> rates = initialize(classifier, train.images[:64], rate=0.1)
    >>> {name: round(rate, 2) for name, rate in rates.items()}
    {'hidden 1': 0.1, 'hidden 2': 0.1, 'output': 0.0}
    """
    network = check_network(classifier, "initialize")
    rate = check_number("rate", rate, "(0, 1)")
    layers = network.layers
    norms = [module for module in network.modules() if isinstance(module, NORMS)]
    momenta, before = [norm.momentum for norm in norms], copy.deepcopy(network.state_dict())
    try:
        with evaluating(classifier, seed) as generator:
            for norm in norms:
                norm.train()  # `evaluating` restores it
                norm.momentum = 1.0  # the statistics are those of the last call alone
            spikes = classifier.encode(images, generator=generator).to(classifier.device)
            record = network(spikes)
            weights: dict[str, torch.Tensor] = {}
            for name, layer in zip(record.sizes, layers, strict=True):
                for _, module in layer.modules:
                    if isinstance(weight := getattr(module, "weight", None), torch.nn.Parameter):
                        weights[name] = weight  # the last one of the layer
            # Membranes that differ, also where a silent layer makes those of the record equal.
            membrane = torch.arange(record.membrane.numel()).view_as(record.membrane)
            scores = record.readout(torch.zeros_like(record.spikes), membrane.to(record.membrane))
            if bool((scores != scores[:, :1]).any()):  # they need no output spike
                weights.pop("output", None)
            for name, weight in weights.items():
                _scale(network, spikes, name, weight, rate)
            return _rates(network(spikes))
    except BaseException:  # also Ctrl-C
        network.load_state_dict(before)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def start_from_data(classifier: Classifier, feed: Feed, rate: float, seed: int) -> None:
    """Scale the weights by the first batch of the training data."""
    with seeded(seed, feed.device):  # a DataLoader draws as well
        for images, _ in itertools.islice(feed.batches(seed), 1):
            initialize(classifier, images, rate=rate, seed=seed)


def _scale(
    network: SpikingNetwork, spikes: torch.Tensor, name: str, weight: torch.Tensor, rate: float
) -> None:
    """Scale the weights of a layer until it fires at the rate; warn if that is impossible."""
    start, low, high = weight.clone(), -LARGEST_SCALE, LARGEST_SCALE
    for _ in range(HALVINGS):
        middle = (low + high) / 2  # first 0, the weights as they are
        weight.copy_(start * 2.0**middle)
        measured = _rates(network(spikes))[name]
        if abs(measured - rate) <= TOLERANCE * rate:
            return
        low, high = (middle, high) if measured < rate else (low, middle)
    crossed = low > -LARGEST_SCALE and high < LARGEST_SCALE
    weight.copy_(start * 2.0**high if crossed else start)
    if not crossed:
        cause = "its input has too few spikes" if measured < rate else "its biases alone make more"
        warnings.warn(
            f"layer {name!r} cannot fire at rate {rate:g} on these images, only at {measured:.3f} "
            f"for any scale of its weights, so they stay as they are: {cause}",
            TrainingWarning,
            stacklevel=3,  # the caller of `initialize`
        )


def _rates(record: Record) -> dict[str, float]:
    """Return the spikes per neuron and timestep of each layer."""
    samples, counts = record.spikes[..., 0].numel(), record.spike_counts.sum(1).tolist()
    sizes = record.sizes.items()
    return {name: n / (samples * size) for (name, size), n in zip(sizes, counts, strict=True)}
