"""Accuracy of a trained network on disturbed images and spikes.

Shapes: ``T`` timesteps, ``B`` batch, ``H`` and ``W`` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemnist._arguments import named
from spikemnist._progress import progress_bar
from spikemnist._splitmix import draw_seeds
from spikemnist._tables import Result, Table
from spikemnist.data.augmentation import affine_grid, resample, uniform
from spikemnist.data.feed import Data
from spikemnist.models import Classifier
from spikemnist.models.classifier import check_classifier
from spikemnist.training.evaluation import evaluate

Change = Callable[[Tensor, float, torch.Generator], Tensor]

LEVELS: dict[str, tuple[float, ...]] = {
    "noise": (0.1, 0.2, 0.3, 0.4, 0.5),
    "shift": (1, 2, 3, 4, 5),
    "rotation": (10, 20, 30, 45, 60),
    "dropped spikes": (0.1, 0.25, 0.5, 0.75, 0.9),
}
"""Levels of each disturbance, from weak to strong."""

UNITS = {"shift": "pixels", "rotation": "degrees"}
"""Units of levels that have one."""


@dataclass(frozen=True, repr=False)
class Robustness(Result):
    """Accuracies of a network under disturbances.

    Attributes
    ----------
    undisturbed : float
        Accuracy on the samples as they are.
    accuracy : dict of str to dict of float to float
        Accuracy at each level of each disturbance. ``"noise"``: standard deviation of the noise on
        intensities in [0, 1]. ``"shift"``: pixels. ``"rotation"``: degrees. ``"dropped spikes"``:
        probability of dropping an input spike.
    samples : int
        Number of samples at each level.

    Examples
    --------
    >>> found = Robustness(0.98, {"shift": {1: 0.97, 2: 0.90}}, 1000)
    >>> found.accuracy["shift"][2]
    0.9
    """

    undisturbed: float
    accuracy: dict[str, dict[float, float]]
    samples: int

    def table(self) -> Table:
        """Return the accuracies at the levels of each disturbance, as ``repr`` shows."""
        rows = [
            (
                f"{name}, {UNITS[name]}" if name in UNITS else name,
                "  ".join(f"{level:g}: {share:.1%}" for level, share in accuracies.items()),
            )
            for name, accuracies in self.accuracy.items()
        ]
        title = f"Robustness on {self.samples:,} samples, {self.undisturbed:.2%} undisturbed"
        return Table(title, ("disturbance", "level: accuracy"), rows)


@named()
def measure_robustness(
    classifier: Classifier,
    data: Data,
    *,
    batch_size: int = 256,
    device: str | torch.device = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Robustness:
    r"""Measure the accuracy of a classifier on disturbed images and spikes.

    Each disturbance is applied alone, at five levels :math:`\ell`, drawn anew for each sample:

    ==================  ===========================================================================
    ``noise``           Gaussian noise of standard deviation :math:`\ell` on intensities in [0, 1],
                        clipped there: 0.1 to 0.5
    ``shift``           :math:`\ell` pixels in a random direction, interpolated: 1 to 5
    ``rotation``        :math:`\ell` degrees to the left or to the right: 10 to 60
    ``dropped spikes``  each input spike left out with probability :math:`\ell`: 0.1 to 0.9; with
                        the direct code, the input of a pixel at a timestep
    ==================  ===========================================================================

    Parameters
    ----------
    classifier : Classifier
        Network and encoder.
    data : ImageDataset, tuple of torch.Tensor, or iterable of such tuples
        Images ``[B, H, W]``, uint8 or floating in [0, 1], and labels ``[B]``.
    batch_size : int, default 256
        Number of samples per batch, for datasets and tensors.
    device : str or torch.device, default "auto"
        Device to compute on: see `select_device`. The classifier stays there.
    seed : int, default 0
        Seed for the disturbances, and for encoders that draw random numbers. A sample is disturbed
        in the same way in a batch of any size, and its noise is the same on every processor.
    progress : bool, default True
        Whether to show a bar after two seconds, if standard error is a terminal.

    Returns
    -------
    Robustness

    Raises
    ------
    TypeError
        If ``classifier`` or ``data`` is of the wrong kind, or if ``data`` holds recordings of an
        event camera, which have no intensities.
    ValueError
        If there is no sample, or labels and classes do not fit.
    KeyboardInterrupt
        After the batch during which Ctrl-C was pressed.

    Warns
    -----
    UserWarning
        If a parameter holds NaN or infinity: the accuracies are then meaningless.

    Examples
    --------
    >>> from spikemnist import Classifier, LeakyMLP, load_digits
    >>> _, test = load_digits()
    >>> robustness = measure_robustness(Classifier(LeakyMLP(hidden=20), "latency"), test[:50])
    >>> list(robustness.accuracy["rotation"])
    [10, 20, 30, 45, 60]
    """
    check_classifier(classifier, "measure_robustness")
    options: dict[str, Any] = {"batch_size": batch_size, "device": device, "seed": seed}
    trials = [(name, level) for name, levels in LEVELS.items() for level in levels]
    accuracy: dict[str, dict[float, float]] = {name: {} for name in LEVELS}
    total = 1 + len(trials)
    with progress_bar(progress=progress, total=total, desc="disturbing", unit="level") as bar:
        plain = evaluate(classifier, data, progress=False, **options)
        bar.update()
        for name, level in trials:
            # Codes have a generator of their own: in one for both, the order depends on the batch.
            codes = torch.Generator().manual_seed(int(seed))
            disturbance = _Disturbance(classifier, name, level, codes)
            disturbed = Classifier(classifier.network, disturbance, classifier.classes)
            accuracy[name][level] = evaluate(disturbed, data, progress=False, **options).accuracy
            bar.update()
    return Robustness(plain.accuracy, accuracy, plain.samples)


@dataclass(frozen=True)
class _Disturbance:
    """An encoder that disturbs its images or its spikes."""

    classifier: Classifier
    disturbance: str
    level: float
    codes: torch.Generator

    @property
    def num_steps(self) -> int:
        return self.classifier.encoder.num_steps

    def __call__(self, images: Any, /, *, generator: torch.Generator | None = None) -> Tensor:
        assert generator is not None  # `evaluate` passes one
        if not isinstance(images, torch.Tensor):
            raise TypeError(
                "robustness is measured on images in tensors; got a batch of "
                f"{type(images).__name__}"
            )
        if self.disturbance in OF_IMAGES:
            images = OF_IMAGES[self.disturbance](images, self.level, generator)
            return self.classifier.encode(images, generator=self.codes)
        return drop(self.classifier.encode(images, generator=self.codes), self.level, generator)


def add_noise(images: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise to images, and clip them to their range."""
    most = 255 if images.dtype == torch.uint8 else 1
    noise = _draw("standard_normal", images.shape, generator).float().to(images.device)
    noisy = (images + noise * (level * most)).clamp_(0, most)
    return (noisy.round_() if most == 255 else noisy).to(images.dtype)


def shift(images: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Shift each image by ``level`` pixels in a random direction."""
    towards = uniform((len(images),), generator) * (2 * math.pi)
    height, width = images.shape[-2:]
    share = torch.stack((towards.cos() / width, towards.sin() / height)) * level
    return _move(images, torch.zeros(len(images)), share)


def rotate(images: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Rotate each image by ``level`` degrees, to the left or to the right."""
    side = (uniform((len(images),), generator) < 0.5) * 2.0 - 1
    return _move(images, side * math.radians(level), torch.zeros(2, len(images)))


def _move(images: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Rotate images by angles ``[B]``, and shift them by fractions of their size ``[2, B]``."""
    still = torch.zeros(len(images))
    grid = affine_grid(images, angle=angle, slant=still, scale=still + 1, shift=shift)
    return resample(images, grid)


def drop(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Drop each spike with probability ``level``."""
    shape = (spikes.shape[1], len(spikes), *spikes.shape[2:])
    mask = _draw("random", shape, generator).transpose(0, 1) >= level
    return spikes * mask.to(spikes.device)


def _draw(method: str, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw numbers ``[B, ...]`` on the CPU, for each sample the same in a batch of any size.

    Torch's normal numbers, and NumPy's in single precision, have other bits on other processors.
    """
    numbers = np.empty(shape)
    for seed, sample in zip(draw_seeds(generator, len(numbers)).tolist(), numbers, strict=True):
        getattr(np.random.default_rng(seed), method)(out=sample)
    return torch.from_numpy(numbers)


OF_IMAGES: dict[str, Change] = {"noise": add_noise, "shift": shift, "rotation": rotate}
"""Disturbances of images. The remaining one disturbs spikes."""
