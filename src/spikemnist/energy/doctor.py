"""What is wrong with a network before it is trained, in sentences with a value to try."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikemnist._arguments import must_be, named
from spikemnist._seeds import seeded
from spikemnist.data import ImageDataset
from spikemnist.data.feed import Data, as_dataset
from spikemnist.data.images import image_findings
from spikemnist.energy import Summary
from spikemnist.energy.summarising import norm, summarise
from spikemnist.models import Classifier, LayerSummary, SpikingNetwork
from spikemnist.models.classifier import check_network
from spikemnist.training.config import TrainConfig
from spikemnist.training.evaluation import ENOUGH, output_findings
from spikemnist.training.loop import train_step
from spikemnist.training.losses import Loss, compute_loss
from spikemnist.training.metrics import RunningMetrics
from spikemnist.training.state import new_training
from spikemnist.training.team import find_team

SAMPLES = 64
"""Images to look at, and to learn by heart."""

MOST_STEPS_TO_LEARN = 50
"""Most training steps to learn them."""

LEARNED = 0.9
"""Share of these images that a network learns in the steps if nothing is wrong."""

WAKE_STEPS = 10
"""Steps after which training should have woken the layers that are silent at first."""

FAR = 5.0
"""Factor of the accuracy ``a``: a loss is far too high above ``1 + FAR * a`` times ln C, the loss
of a guess. A network that learns may have begun with a high loss; one that guesses has learned
nothing from it."""

STILL = 0.002
"""Relative change of all weights per step below which training has hardly moved them."""

CLIPPED = 100.0
"""Ratio of the gradient's norm to ``clip_norm`` above which clipping stops the training."""

SHRUNK = 0.5
"""Share of the initial norm of the weights below which weight decay has taken them."""

COSTLY = 0.003
"""Largest ``spike_penalty`` with which networks of digits learn: a right answer is worth more."""

FLAT = 0.01
"""Share of neurons and timesteps with a surrogate gradient below which a layer cannot wake."""

WIDE = 3.0
"""Distance from the threshold at which the default surrogate still has 1 % of its maximum."""

WIDER = ('spike_grad="atan"', "a smaller slope of the surrogate")
"""Remedies for a surrogate that is too narrow."""


@named()
def diagnose(
    classifier: Classifier,
    train: Data,
    config: TrainConfig | None = None,
    *,
    device: str | torch.device = "auto",
) -> Summary:
    """Look at a classifier before it is trained, and say what would keep it from learning.

    One batch runs forward and backward in training mode, for the table of `spikemnist.summary` with
    the columns of the backward pass. Then the network is trained on this batch alone, for 50 steps
    at most, with the settings of ``config`` and a constant learning rate: a network that cannot
    learn 64 images by heart will not learn thousands. A layer that is silent at first is a finding
    if these steps do not wake it soon. At the end weights, statistics and gradients are what they
    were, and so are the global random numbers.

    Parameters
    ----------
    classifier : Classifier
        Network and encoder. They are moved to the device, as by `fit`.
    train : ImageDataset, EventDataset, tuple of torch.Tensor, or iterable of such tuples
        Training data, as in `fit`; 64 samples of a dataset or of tensors are used, or the first
        batch of an iterable.
    config : TrainConfig, default TrainConfig()
        Settings of the run: optimiser, learning rate, loss, clipping, weight decay, truncation and
        initial rate count.
    device : str or torch.device, default "auto"
        Device to compute on: see `select_device`.

    Returns
    -------
    Summary
        The table of the layers, with the findings below.

    Raises
    ------
    TypeError, ValueError
        If the network is no `spikemnist.models.SpikingNetwork`, or the data do not fit.
    FloatingPointError
        If loss or gradient become NaN or infinite, with the likely cause.

    Warns
    -----
    TrainingWarning
        As `fit`, if a layer cannot fire at ``initial_rate``.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> classifier = Classifier(LeakyMLP(hidden=100, threshold=0.3), "latency")
    >>> diagnosis = diagnose(classifier, load_digits()[0])
    >>> diagnosis.findings, diagnosis.learned
    ((), 1.0)
    """
    network = check_network(classifier, "diagnose")
    if not isinstance(config, TrainConfig | None):
        raise must_be("config", "a TrainConfig", config, TypeError)
    config = replace(config or TrainConfig(), schedule="constant", batch_size=SAMPLES, augment=())
    metrics, right, asleep = RunningMetrics(), 0, 0
    steps: list[tuple[float, float]] = []
    with _loaded(network, network.state_dict()):
        training = new_training(classifier, as_dataset(train), None, config, device)
        training.start()
        training.join(find_team())
        feed, initial = training.feed, copy.deepcopy(network.state_dict())
        network.train()
        with seeded(config.seed, feed.device) as generator:
            if (batch := next(feed.batches(config.seed), None)) is None:
                raise ValueError("train has no batch: pass a dataset, tensors or a DataLoader")
            images, labels = batch
            spikes = classifier.encode(images, generator=generator)
            table = examine(network, spikes, labels, training.loss, config.seed)
            while right < len(labels) and len(steps) < MOST_STEPS_TO_LEARN:
                before = metrics.sums.get("correct", 0)
                steps.append(training.team.share(train_step, training, spikes, labels, metrics))
                right = int(metrics.sums["correct"] - before)
                asleep += bool(metrics.silent)
        texts = training_findings(metrics, steps, config, network, initial, table.layers)
    if right < LEARNED * len(labels) or asleep > WAKE_STEPS:
        slow = asleep > WAKE_STEPS / 2  # silence is no cause if it is over sooner
        causes = {x.name for x in table.layers if slow or x.spikes or not x.macs + x.acs}
        texts = texts or [*layer_findings(table.layers, metrics.needed & causes)]
    texts += image_findings(feed.data) if isinstance(feed.data, ImageDataset) else ()
    if len(labels) >= ENOUGH and bool((labels == labels[0]).all()):
        texts.append("all labels are equal: give samples of each class, in random order")
    else:
        texts += output_findings(classifier.classes, metrics.classes, feed.classes, len(labels))
    woken = [x.name for x in table.layers if not x.spikes and metrics.sums[f"spikes of {x.name}"]]
    learned = right / len(labels)
    words = conclusion(texts, learned, len(steps), woken)
    return replace(table, findings=tuple(texts), learned=learned, conclusion=words)


def examine(
    network: SpikingNetwork, spikes: Tensor, labels: Tensor, loss: Loss, seed: int
) -> Summary:
    """Summarise a network in training mode by the spikes and labels of a batch.

    Its weights, statistics, modes and gradients stay as they are.
    """
    with _loaded(network, network.state_dict()), seeded(seed, labels.device):
        network.train().zero_grad()
        record = network(spikes, record="all")
        torch.autograd.backward(compute_loss(loss, record, labels))
        return summarise(network.eval(), record, backward=True)


def layer_findings(layers: Sequence[LayerSummary], needed: Container[str]) -> Iterator[str]:
    """Yield a finding for each layer that is saturated in a batch, or is ``needed`` but silent.

    A layer behind a silent one gets no input, and has no finding of its own.
    """
    for before, layer in zip((None, *layers), layers, strict=False):
        rate = [] if layer.surrogate_share is None else ["initial_rate=0.1"]
        remedies = rate + [f"threshold={layer.mean_threshold * layer.reach:.3g}"] * (
            layer.reach > 0
        )
        in_question = layer.name in needed and (not before or before.spikes)
        if layer.saturated > 0.5:
            state = f"{layer.saturated:.0%} of the neurons of {layer.name} fire at every timestep"
            remedies.append("a tenth of the lr")
        elif in_question and layer.spikes and is_flat(layer):
            state = f"{layer.name} has almost no surrogate gradient"
            remedies = [*WIDER, *rate]
        elif not in_question or layer.spikes:
            continue
        elif layer.macs == layer.acs == 0:
            state, remedies = f"{layer.name} has no input", ["brighter images", "new weights"]
        else:
            state = f"{layer.name} is silent"
            if is_flat(layer) and layer.mean_threshold * (1 - layer.reach) < WIDE:
                state += ", and its surrogate reaches hardly a neuron"
                remedies = [*WIDER, *remedies]
        yield (
            f"{state}: its membranes reach {layer.reach:.3g} of the threshold; start with "
            f"{', or '.join(remedies or ['a code of more spikes'])}"
        )


def training_findings(
    metrics: RunningMetrics,
    steps: Sequence[tuple[float, float]],
    config: TrainConfig,
    network: nn.Module,
    initial: Mapping[str, Tensor],
    layers: Sequence[LayerSummary],
) -> list[str]:
    """Return the cause, if some steps did not teach the network what they could.

    ``steps`` are the loss and the norm of the gradient of each, ``initial`` the weights before the
    first. If one of the ``layers`` has no surrogate gradient, no learning rate is the cause.
    """
    lr, decay, penalty = config.lr, config.weight_decay or 0.0, config.spike_penalty
    clip = math.inf if config.clip_norm is None else config.clip_norm
    best = 0.1 if config.optimizer == "sgd" else TrainConfig.lr
    guess = math.log(max(metrics.classes, 2))
    gradient = statistics.mean(length for _, length in steps)
    loss, accuracy = metrics.mean("loss"), metrics.mean("correct")
    far = max(guess * (1 + FAR * accuracy), steps[0][0])
    stuck = bool(metrics.silent) or accuracy < 0.1 + 0.9 / metrics.classes
    new = dict(network.named_parameters())
    before = norm([initial[name] for name in new]) or math.nan  # of zeros there is no share
    share = norm([*new.values()]) / before
    moved = norm([last - initial[name] for name, last in new.items()]) / before
    flat = any(layer.name in metrics.needed and is_flat(layer) for layer in layers)
    causes = {
        f"the mean loss is {loss:.3g}, and {guess:.2g} for a guess: the learning rate {lr:g} is "
        f"too high; start with lr={min(best, lr / 10):g}": (
            config.loss == "cross_entropy" and not penalty and loss > far
        ),
        f"with spike_penalty {penalty:g} spikes cost more than right answers are worth; start with "
        "spike_penalty=0.001": stuck and penalty > COSTLY,
        f"weight_decay {decay:g} has shrunk the weights to {share:.1%} of their norm; start with "
        "weight_decay=0.0001": stuck and decay > 0 and share < SHRUNK,
        f"clip_norm {clip:g} has cut gradients of norm {gradient:.2g}; start with "
        f"clip_norm={max(1.0, gradient):.2g}": stuck and gradient > CLIPPED * clip,
        f"training has moved the weights by {moved:.1%} of their norm: the learning rate {lr:g} is "
        f"too low; start with lr={best:g}": (
            stuck and moved < STILL * len(steps) and lr < best and not flat
        ),
    }
    return [text for text, applies in causes.items() if applies][:1]


def is_flat(layer: LayerSummary) -> bool:
    """Return whether a layer has no surrogate gradient that could change it."""
    return layer.surrogate_share is not None and layer.surrogate_share < FLAT


def conclusion(findings: Sequence[str], learned: float, steps: int, woken: Sequence[str]) -> str:
    """Return what the training steps have shown; they have ``woken`` layers by these names."""
    text = f"In {steps} training steps it learned {learned:.0%} of these images by heart"
    if findings or learned < LEARNED:
        return text + ("." if findings else ", and no cause was found.")
    if woken:
        text = (
            f"{', '.join(woken)}: silent before training, awake after it; the surrogate gradient "
            f"reaches silent neurons, too.\n{text}"
        )
    return f"{text}, as it should: nothing is wrong."


@contextmanager
def _loaded(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Load weights into a model within the context; then restore state, modes and gradients.

    No copy of the model would do: that of a pruned one, or of neurons that keep a graph, fails.
    """
    latest = copy.deepcopy(model.state_dict())
    modes = [(module, module.training) for module in model.modules()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    model.load_state_dict(weights)
    try:
        yield
    finally:
        model.load_state_dict(latest)
        for module, training in modes:
            module.training = training
        for parameter, gradient in gradients:
            parameter.grad = gradient
