"""What a classifier knows after it has learned, and what can be asked of it.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist.encoding import splitmix
from spikemnist.plasticity import evaluation, files
from spikemnist.plasticity.assignment import Responses, assign_classes, class_scores
from spikemnist.plasticity.checks import check_images, check_size, not_fitted
from spikemnist.plasticity.estimator import Estimator, of_two
from spikemnist.plasticity.learning import respond

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from spikemnist.plasticity.assignment import Voting
    from spikemnist.plasticity.evaluation import STDPEvaluation
    from spikemnist.plasticity.learning import Progress
    from spikemnist.plasticity.network import Layer

    Array = NDArray[Any]

LEARNING, RESPONDING = 0, 1
"""Which word of ``random_state`` is the seed of what."""


class Learned(Estimator):
    """Neurons, what they respond to, and what that says of images."""

    n_neurons: int
    voting: Voting
    random_state: int
    _layer: Layer
    _progress: Progress
    _responses: Responses

    def count_spikes(self, images: ArrayLike) -> Array:
        """Return how often each neuron fires for images.

        Parameters
        ----------
        images
            ``[B, ...]``, as `fit` takes them, of the size that was fitted.

        Returns
        -------
        numpy.ndarray
            int32 ``[B, N]``.

        Raises
        ------
        ValueError
            For images that cannot be used, and before `fit`.
        """
        layer = self._fitted_layer()
        pixels = check_size(self, check_images(images))
        return np.concatenate(list(respond(layer, pixels, self._seed(RESPONDING))))

    def decision_function(self, images: ArrayLike) -> Array:
        """Return the votes for each class: see `class_scores`.

        Parameters
        ----------
        images
            As `count_spikes` takes them.

        Returns
        -------
        numpy.ndarray
            float64 ``[B, C]``; of two classes, the votes for the second less those for the first,
            ``[B]``.

        Raises
        ------
        ValueError
            For images that cannot be used, and before `fit`.
        """
        return of_two(class_scores(self.count_spikes(images), self.responses_, self.voting))

    def evaluate(self, images: ArrayLike, labels: ArrayLike) -> STDPEvaluation:
        """Return accuracy, confusion matrix and spikes.

        Parameters
        ----------
        images, labels
            ``[B, ...]`` and ``[B]``, as `fit` takes them.

        Returns
        -------
        STDPEvaluation
            What `spikemnist.viz.confusion` draws.

        Raises
        ------
        ValueError
            For images or labels that cannot be used, and before `fit`.
        """
        return evaluation.evaluate(self, images, labels)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write parameters, weights, thresholds and assignments to a safetensors file, atomically.

        Parameters
        ----------
        path
            The file, usually ``*.safetensors``.

        Returns
        -------
        pathlib.Path
            ``path``.

        Raises
        ------
        ValueError
            Before `fit`, and when a weight or threshold is NaN or infinite.
        OSError
            When the file cannot be written.
        """
        layer = self._fitted_layer()
        arrays, numbers = self._progress.state()
        arrays |= self._responses.state("responses")
        arrays |= {"weights": layer.weights, "theta": layer.theta}
        metadata = {
            "parameters": self.plain_params(),
            "classes": self.classes_.tolist(),
            "pace": layer.pace._asdict(),
            "progress": numbers,
        }
        return files.write(path, files.CLASSIFIER, arrays, metadata)

    @property
    def weights_(self) -> Array:
        """Weights, float32 ``[N, F]``."""
        return self._fitted_layer().weights

    @property
    def theta_(self) -> Array:
        """Adaptation of the thresholds in mV, float32 ``[N]``."""
        return self._fitted_layer().theta

    @property
    def theta_plus_(self) -> float:
        """Step of the threshold at a spike with which it learned, in mV."""
        return self._fitted_layer().pace.theta_plus

    @property
    def learning_rate_(self) -> float:
        """Learning rate with which it learned."""
        return self._fitted_layer().pace.learning_rate

    @property
    def responses_(self) -> Array:
        """Spikes of each neuron for an image of each class, float64 ``[C, N]``."""
        self._fitted_layer()
        return self._responses.mean

    @property
    def assignments_(self) -> Array:
        """Position in ``classes_`` of the class of each neuron, -1 if it never fired, ``[N]``."""
        return assign_classes(self.responses_)

    @property
    def accuracy_history_(self) -> Array:
        """Images seen and the running accuracy there, float64 ``[W, 2]`` of W windows."""
        self._fitted_layer()
        return np.array(self._progress.history, np.float64).reshape(-1, 2)

    @property
    def n_images_seen_(self) -> int:
        """How many images have been learned from, those of all passes."""
        self._fitted_layer()
        return self._progress.seen

    def _begin(self, layer: Layer, progress: Progress, classes: Array) -> None:
        self._layer, self._progress, self.classes_ = layer, progress, classes
        self.n_features_in_ = layer.features
        self._responses = Responses(len(classes), self.n_neurons)

    def _fitted_layer(self) -> Layer:
        layer: Layer | None = vars(self).get("_layer")
        if layer is None:
            raise not_fitted(self)
        return layer

    def _seed(self, use: int) -> int:
        return splitmix.word(int(self.random_state), use)
