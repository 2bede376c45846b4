"""What is wrong with a network or its training, in sentences with the value to try.

`diagnose` and the warnings of `fit` share them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from spikemnist.data import ImageDataset
from spikemnist.models.layer_table import norm
from spikemnist.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence, Sized

    from torch import Tensor, nn

    from spikemnist.models import LayerSummary
    from spikemnist.training.monitor import EpochMonitor

FAR = 5.0
"""Factor of the accuracy ``a``: a loss is far too high above ``1 + FAR * a`` times ln C, the loss
of a guess. A network that learns may have begun with a high loss; one that guesses has learned
nothing from it."""

STILL = 0.002
"""Relative change of all weights per step below which training has hardly moved them."""

FEW = 50
"""Steps after which no more change is expected, as the steps point into different directions."""

CLIPPED = 100.0
"""Ratio of the gradient's norm to ``clip_norm`` above which clipping stops the training."""

SHRUNK = 0.5
"""Share of the initial norm of the weights below which weight decay has taken them."""

COSTLY = 0.003
"""Largest ``spike_penalty`` with which networks of digits learn: a right answer is worth more."""

FLAT = 0.01
"""Share of neurons and timesteps with a surrogate gradient below which a layer cannot wake."""

ENOUGH = 32
"""Samples that show the number of classes: labels are all in the lower half once in 2**32."""

WIDE = 3.0
"""Distance from the threshold at which the default surrogate still has 1 % of its maximum."""

WIDER = ('spike_grad="atan"', "a smaller slope of the surrogate")
"""Remedies for a surrogate that is too narrow."""

GAP = 0.05
"""Largest lead of the training accuracy over the validation accuracy without a warning."""

DARK = 64
"""Grey value, of 255, that no pixel of dark images reaches: images of 16 grey values, or of two."""


class TrainingWarning(UserWarning):
    """Warning of `fit` that the network does not learn as it could, with the likely cause.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", TrainingWarning)  # `fit` stops at the first one
    """


def of_images(data: object) -> Iterator[str]:
    """Yield a finding if all uint8 images of a dataset are dark: their spikes are late or rare."""
    if isinstance(data, ImageDataset) and data.images.dtype == torch.uint8 and data.images.numel():
        highest = int(data.images.max())
        if 0 < highest < DARK:
            yield f"the images are dark, up to {highest} of 255: multiply them by {255 // highest}"


def of_layers(
    layers: Sequence[LayerSummary], needed: Container[str], fired: Container[str] = ()
) -> Iterator[str]:
    """Yield a finding for each layer that is saturated in a batch, or is ``needed`` but silent.

    A layer behind a silent one gets no input, and has no finding of its own. Layers that have
    ``fired`` before were silenced by the training.
    """
    for before, layer in zip((None, *layers), layers, strict=False):
        rate = [] if layer.surrogate is None else ["initial_rate=0.1"]
        remedies = rate + [f"threshold={layer.threshold * layer.reach:.3g}"] * (layer.reach > 0)
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
        elif layer.name in fired:
            state, remedies = f"training has silenced {layer.name}", ["a tenth of the lr", *rate]
        else:
            state = f"{layer.name} is silent"
            if is_flat(layer) and layer.threshold * (1 - layer.reach) < WIDE:
                state += ", and its surrogate reaches hardly a neuron"
                remedies = [*WIDER, *remedies]
        yield (
            f"{state}: its membranes reach {layer.reach:.3g} of the threshold; start with "
            f"{', or '.join(remedies or ['a code of more spikes'])}"
        )


def of_training(
    monitor: EpochMonitor,
    config: TrainConfig,
    network: nn.Module,
    initial: Mapping[str, Tensor],
    layers: Sequence[LayerSummary],
) -> Iterator[str]:
    """Yield the cause, if the steps of an epoch did not teach the network what they could.

    ``initial`` are the weights before the first step. If one of the ``layers`` has no surrogate
    gradient, no learning rate is the cause.
    """
    lr, decay, clip = config.lr, config.weight_decay, config.clip_norm
    best = 0.1 if config.optimizer == "sgd" else TrainConfig.lr
    guess = math.log(max(monitor.classes, 2))
    far = guess * (1 + FAR * monitor.accuracy)
    pure = config.loss == "cross_entropy" and not config.spike_penalty
    if pure and monitor.loss > max(far, monitor.first_loss):
        yield (
            f"the mean loss is {monitor.loss:.3g}, and {guess:.2g} for a guess: the learning rate "
            f"{lr:g} is too high; start with lr={min(best, lr / 10):g}"
        )
    elif monitor.silent or monitor.guesses:
        new = dict(network.named_parameters())
        before, after = norm([initial[name] for name in new]), norm([*new.values()])
        moved = norm([last - initial[name] for name, last in new.items()])
        # A schedule may begin with a low learning rate, so that the first epoch moves little.
        still = STILL * min(monitor.batches, FEW) * (1 if config.schedule == "constant" else 0.2)
        flat = any(layer.name in monitor.needed and is_flat(layer) for layer in layers)
        if config.spike_penalty > COSTLY:
            yield (
                f"with spike_penalty {config.spike_penalty:g} spikes cost more than right answers "
                "are worth; start with spike_penalty=0.001"
            )
        elif decay and after < SHRUNK * before:
            yield (
                f"weight_decay {decay:g} has shrunk the weights to {after / before:.1%} of their "
                "norm; start with weight_decay=0.0001"
            )
        elif clip is not None and monitor.gradient > CLIPPED * clip:
            yield (
                f"clip_norm {clip:g} has cut gradients of norm {monitor.gradient:.2g}; start with "
                f"clip_norm={max(1.0, monitor.gradient):.2g}"
            )
        elif moved < still * before and lr < best and not flat:
            yield (
                f"training has moved the weights by {moved / before:.1%} of their norm: the "
                f"learning rate {lr:g} is too low; start with lr={best:g}"
            )


def is_flat(layer: LayerSummary) -> bool:
    """Return whether a layer has no surrogate gradient that could change it."""
    return layer.surrogate is not None and layer.surrogate < FLAT


def of_outputs(named: Sized, outputs: int, classes: int, samples: int) -> Iterator[str]:
    """Yield a finding if a network has twice as many outputs as classes, without names."""
    if classes and outputs >= 2 * classes and samples >= ENOUGH and not named:
        yield (
            f"the network has {outputs} outputs, the data have {classes} classes, and outputs do "
            "not vote together: use one for each class, or name all: Classifier(..., classes=names)"
        )


def of_validation(accuracy: float, validation: float, samples: int, classes: int) -> Iterator[str]:
    """Yield a finding if the training accuracy is far above that of some validation samples."""
    # Agresti and Coull add two right and two wrong answers. Else 0 right of 10 would have no error.
    share = (validation * samples + 2) / (samples + 4)
    error = math.sqrt(share * (1 - share) / (samples + 4))
    if accuracy - validation > GAP + 3 * error:
        cause = "overfits. Remedies: augment=, dropout, weight_decay=, fewer epochs or more images"
        if validation < 0.1 + 0.9 / classes:
            cause = "guesses. Do labels and grey values of the validation data mean the same?"
        accuracies = f"training accuracy {accuracy:.1%}, validation accuracy {validation:.1%}"
        yield f"{accuracies}: the network {cause}"
