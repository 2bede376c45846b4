"""A classifier with convolutional features learned by STDP and a linear readout.

Shapes: ``B`` images, ``H`` and ``W`` pixels, ``N`` features, ``C`` channels, ``K`` side of a
kernel, ``Q`` pooling cells.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist import _splitmix as splitmix
from spikemnist._arguments import check_number, must_be, named
from spikemnist._interrupt import between, check_interrupt, interruptible
from spikemnist._tensor_files import Format, check_tensors
from spikemnist._tensors import Array
from spikemnist.data import ImageDataset
from spikemnist.encoding import LatencyEncoder
from spikemnist.plasticity.assignment import Votes
from spikemnist.plasticity.estimator import FIT_AGAIN, Count, Estimator, Positive, Whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spikemnist.plasticity.conv_kernels import ConvFeatures


CHANNELS = 2
"""Contrasts: bright on dark, and dark on bright."""

IMAGES_AT_A_TIME = 256
"""Number of images encoded at a time."""

LARGEST_SUM = np.iinfo(np.int16).max
"""Largest sum of how early a feature appears in a cell."""


def contrast(images: Tensor) -> Tensor:
    r"""Return how much brighter, and how much darker, each pixel is than its surroundings.

    The filter is the difference of two Gaussians with :math:`\sigma` of 1 and 2 pixels, as in
    ganglion cells of the retina. The result is divided by its largest value in the image.

    Parameters
    ----------
    images : torch.Tensor
        Images ``[B, H, W]``, uint8, or floating in [0, 1].

    Returns
    -------
    torch.Tensor
        float32 ``[B, 2, H, W]`` in [0, 1].
    """
    distance = torch.arange(-3.0, 4.0)
    square = distance[:, None] ** 2 + distance**2
    centre, surround = (torch.exp(-square / (2 * sigma**2)) for sigma in (1.0, 2.0))
    difference = centre / centre.sum() - surround / surround.sum()
    kernels = torch.stack([difference, -difference])[:, None]
    responses = functional.conv2d(images.float()[:, None], kernels, padding=3).clamp_min(0)
    largest = responses.amax((1, 2, 3), keepdim=True)
    return responses / torch.where(largest > 0, largest, 1)


@named()
@dataclass(eq=False)
class ConvSTDPClassifier(Estimator):
    r"""Classifier with STDP features learned without labels and a linear readout trained on labels.

    Contrasts become spikes, the strongest first. Integrate-and-fire neurons look at all places for
    features of ``kernel_size`` pixels a side. The neurons compete: the first ``n_winners`` of an
    image to exceed the threshold learn,

    .. math:: \Delta w = \begin{cases}
        \eta\, w (1 - w) & \text{if the input has fired} \\
        -d\, \eta\, w (1 - w) & \text{if it has not}
        \end{cases}

    A winner silences its own feature everywhere and every feature near it, so that the features
    become different. After learning, only the first feature at a place fires, and in a timestep
    the strongest. An image is described by how often and how early each feature appears in each
    pooling cell: with T timesteps and cells of P x P places, a feature that fires at the timesteps
    t of a cell, counted from 0, has

    .. math:: x = \sqrt{\frac{1}{T P^2} \sum_t (T - t)}

    A linear readout, trained by logistic regression, predicts the class from these. `transform`
    returns them, for a readout of your own.

    Parameters
    ----------
    n_features : int, default 64
        Number of features ``N``.
    kernel_size, pool_size : int, default 5 and 4
        Side of a kernel in pixels, and side of a pooling cell in places of a kernel.
    num_steps : int, default 15
        Number of timesteps of an image.
    min_contrast : float, default 0.05
        Share of the largest contrast of an image below which a pixel does not fire.
    threshold : float, default 8.0
        Threshold of the neurons. Weights lie between 0 and 1.
    n_winners, inhibition_radius : int, default 5 and 3
        Number of neurons that learn from an image, and radius around each in which no other learns.
    feature_images : int, default 5,000
        Largest number of images that the features learn from.
    learning_rate, max_learning_rate, doubling : float, float and int, default 0.004, 0.15 and 500
        :math:`\eta`, which doubles every ``doubling`` images up to ``max_learning_rate``.
    depression : float, default 0.75
        Factor d of the depression.
    epochs, batch_size, lr : int, int and float, default 10, 100 and 0.01
        Passes of the readout over the images, images per step, and peak of Adam's learning rate,
        which rises and falls along one cycle.
    random_state : int, default 0
        Seed of the initial weights and the order of images.

    Attributes
    ----------
    classes_
        Sorted labels.
    weights_
        Weights of the features, float32 ``[N, 2, K, K]``.
    wins_
        Number of images from which each feature has learned, int64 ``[N]``.
    n_features_in_
        Number of pixels of an image.

    Notes
    -----
    The features are bit-identical for any number of threads. The readout uses matrix products of
    torch, whose rounding may depend on that number.

    Kheradpisheh, Ganjtabesh, Thorpe, Masquelier, *STDP-based spiking deep convolutional neural
    networks for object recognition*, Neural Networks 99, 2018. The network there has two layers of
    features and a support vector machine; here one layer is read out by when features appear.

    Examples
    --------
    >>> from spikemnist import load_digits
    >>> train, test = load_digits()
    >>> classifier = ConvSTDPClassifier(n_features=16, epochs=3, batch_size=25)
    >>> classifier = classifier.fit(train.images[:2000], train.labels[:2000])
    >>> classifier.evaluate(test).accuracy > 0.8
    True
    """

    n_features: Count = 64
    _: KW_ONLY
    kernel_size: Count = 5
    pool_size: Count = 4
    num_steps: Count = 15
    min_contrast: Positive = 0.05
    threshold: Positive = 8.0
    n_winners: Count = 5
    inhibition_radius: Whole = 3
    feature_images: Count = 5000
    learning_rate: Positive = 0.004
    max_learning_rate: Positive = 0.15
    doubling: Count = 500
    depression: Positive = 0.75
    epochs: Count = 10
    batch_size: Count = 100
    lr: Positive = 1e-2
    random_state: Whole = 0

    file_format: ClassVar[Format] = Format(
        "spikemnist-conv-stdp-1", "convolutional STDP classifier", FIT_AGAIN
    )

    def fit(
        self,
        X: ArrayLike | ImageDataset,
        y: ArrayLike | None = None,
        *,
        run: str | os.PathLike[str] | None = None,
    ) -> ConvSTDPClassifier:
        """Learn the features from images, and the readout from images and labels.

        Parameters
        ----------
        X : array_like or ImageDataset
            Images ``[B, H, W]``, uint8, or floating in [0, 1]; ``[B, F]`` if they are square. Or a
            dataset of images and labels.
        y : array_like, default None
            Labels ``[B]``: whole numbers or strings. None with a dataset.
        run : path, default None
            Folder of the run, which must not hold one yet. The classifier is written to it at the
            end, with its parameters and the data.

        Returns
        -------
        ConvSTDPClassifier

        Raises
        ------
        ImportError
            If Numba is not installed.
        ValueError
            For invalid parameters, ``X`` or ``y``.
        FileExistsError
            If the folder holds a run already.
        """
        pixels, classes, targets = self._training_set(X, y)
        shape = X.sample_shape if isinstance(X, ImageDataset) else np.shape(X)[1:]
        pictures = _pictures(pixels, shape)
        self._check_numba()
        self._shape = self._pixels(pictures.shape[1:])
        self.classes_: Array = classes
        with interruptible(), self._run(run, X, pixels, targets):
            self._learn_features(pictures)
            earliness = np.concatenate(list(between(self._see(pictures))))
            self._learn_readout(earliness, torch.from_numpy(targets))
            self.n_features_in_: int = math.prod(self._shape)
            check_interrupt()
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Return how often and how early each feature appears in each pooling cell.

        Parameters
        ----------
        X : array_like
            Images ``[B, ...]``, as for `fit`, of the fitted size.

        Returns
        -------
        numpy.ndarray
            float32 ``[B, Q * N]`` in [0, 1], 0 where a feature does not appear.
        """
        flat = self._fitted_pixels(X)
        blocks = self._see(flat.reshape(len(flat), *self._shape))
        return np.concatenate([self._scale(block) for block in blocks])

    def fit_transform(self, X: ArrayLike, y: ArrayLike) -> Array:
        """Return ``fit(X, y).transform(X)``, as a pipeline of scikit-learn asks for.

        Parameters
        ----------
        X, y : array_like
            Images ``[B, H, W]`` and labels ``[B]``, as for `fit`.

        Returns
        -------
        numpy.ndarray
            float32 ``[B, Q * N]``, as of `transform`.
        """
        return self.fit(X, y).transform(X)

    def _pixels(self, shape: Sequence[int]) -> tuple[int, int]:
        """Return height and width of images; raise if the kernel does not fit."""
        height, width = shape
        if min(height, width) < self.kernel_size:
            raise ValueError(
                f"images of {height} x {width} pixels are smaller than kernel_size "
                f"{self.kernel_size}"
            )
        return height, width

    def votes(self, X: ArrayLike) -> Votes:  # noqa: D102 - inherited
        inputs = self.transform(X)
        scores = functional.linear(torch.from_numpy(inputs), *self._readout).numpy()
        appearances = np.count_nonzero(inputs, axis=1)
        return Votes({"readout": scores}, "readout", {"features": appearances})

    def _contents(self) -> tuple[dict[str, Array], dict[str, Any]]:
        weight, bias = self._fitted()._readout
        arrays = {
            "weights": self.weights_,
            "wins": self.wins_,
            "readout.weight": weight.numpy(),
            "readout.bias": bias.numpy(),
        }
        return arrays, {"shape": list(self._shape)}

    def _restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        self._shape = self._pixels(metadata["shape"])
        self.n_features_in_ = math.prod(self._shape)
        size, side, classes = self.n_features, self.kernel_size, len(self.classes_)
        cells = math.prod(-(-(s - side + 1) // self.pool_size) for s in self._shape)
        expected = {
            "weights": torch.empty(size, CHANNELS, side, side, device="meta"),
            "wins": torch.empty(size, dtype=torch.int64, device="meta"),
            "readout.weight": torch.empty(classes, cells * size, device="meta"),
            "readout.bias": torch.empty(classes, device="meta"),
        }
        check_tensors(tensors, expected)
        self.weights_: Array = tensors["weights"].numpy()
        self.wins_: Array = tensors["wins"].numpy()
        self._readout = tensors["readout.weight"], tensors["readout.bias"]

    def _features(self, weights: Array) -> ConvFeatures:
        from spikemnist.plasticity.conv_kernels import ConvFeatures  # loads Numba

        return ConvFeatures(self.get_params(), weights, self._shape)

    def _learn_features(self, pictures: Tensor) -> None:
        generator = np.random.default_rng(splitmix.word(int(self.random_state), 0))
        shape = (self.n_features, CHANNELS, self.kernel_size, self.kernel_size)
        first = generator.normal(0.8, 0.05, shape).clip(0.01, 0.99)
        order = torch.from_numpy(generator.permutation(len(pictures))[: self.feature_images])
        features, count = self._features(first.astype(np.float32)), 0
        for block in between(torch.split(order, IMAGES_AT_A_TIME)):
            features.learn(self._encode(pictures[block]), count)
            count += len(block)
        self.weights_, self.wins_ = features.weights, features.wins

    def _see(self, pictures: Tensor) -> Iterator[Array]:
        """Yield how early features appear, int16 ``[B, Q * N]``, one block of images at a time."""
        features = self._features(self.weights_)
        for part in torch.split(pictures, IMAGES_AT_A_TIME):
            yield features.see(self._encode(part)).reshape(len(part), -1)

    def _scale(self, earliness: Array) -> Array:
        """Return the square roots of shares of the largest sum, float32."""
        scaled: Array = np.sqrt(earliness / np.float32(self.num_steps * self.pool_size**2))
        return scaled

    def _encode(self, pictures: Tensor) -> Tensor:
        """Return spikes, uint8 ``[T, B, 2 * H * W]``."""
        encoder = LatencyEncoder(num_steps=self.num_steps, threshold=self.min_contrast)
        return encoder(contrast(pictures).flatten(1), dtype=torch.uint8)

    def _learn_readout(self, earliness: Array, labels: Tensor) -> None:
        weight = torch.zeros((len(self.classes_), earliness.shape[1]), requires_grad=True)
        bias = torch.zeros(len(self.classes_), requires_grad=True)
        optimizer = torch.optim.Adam([weight, bias], self.lr, fused=True)
        steps = self.epochs * -(-len(labels) // self.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=steps)
        for batch in between(self._batches(len(labels))):
            inputs = torch.from_numpy(self._scale(earliness[batch.numpy()]))
            loss = functional.cross_entropy(functional.linear(inputs, weight, bias), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        self._readout = weight.detach(), bias.detach()

    def _batches(self, images: int) -> Iterator[Tensor]:
        """Yield the image indices of each step of the readout."""
        generator = torch.Generator().manual_seed(splitmix.word(int(self.random_state), 1) >> 1)
        for _ in range(self.epochs):
            order = torch.randperm(images, generator=generator)
            yield from torch.split(order, self.batch_size)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("min_contrast", self.min_contrast, "[0, 1)")
        if (product := self.num_steps * self.pool_size**2) > LARGEST_SUM:
            raise must_be("num_steps * pool_size**2", f"at most {LARGEST_SUM}", product)
        check_number("max_learning_rate", self.max_learning_rate, f"[{self.learning_rate}, 1]")


def _pictures(flat: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return images ``[B, H, W]`` that came in a shape; flat images must be square."""
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    side = math.isqrt(flat.shape[1])
    if len(shape) == 1 and side * side == flat.shape[1]:
        shape = (side, side)
    if len(shape) != 2:
        raise must_be("X", "[B, H, W], or [B, F] of squares", flat)
    return flat.reshape(len(flat), *shape)
