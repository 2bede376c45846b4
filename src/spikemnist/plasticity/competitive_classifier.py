"""An unsupervised classifier: a competitive layer that learns by STDP, as an estimator.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist._arguments import check_choice, check_number, must_be, named
from spikemnist._atomic import write_atomically
from spikemnist._descriptions import plain
from spikemnist._interrupt import interrupted, interruptible
from spikemnist._names import Voting
from spikemnist._progress import progress_bar
from spikemnist._run_folder import METRICS, MODEL
from spikemnist._tensor_files import Format, check_tensors
from spikemnist._tensors import Array
from spikemnist.data import ImageDataset
from spikemnist.plasticity.assignment import (
    BLOCK,
    VOTINGS,
    Progress,
    Responses,
    Votes,
    assign_classes,
    class_scores,
)
from spikemnist.plasticity.estimator import (
    FIT_AGAIN,
    Count,
    Estimator,
    Finite,
    NotNegative,
    Positive,
    Whole,
)
from spikemnist.plasticity.homeostasis import LONG, step_factor, step_sizes, warn_of_idle

RESPONDING = 256
"""Images presented at a time for their responses; the threads share them."""


@named()
@dataclass(eq=False)
class STDPClassifier(Estimator):
    r"""Classifier that learns digits without labels by spike-timing-dependent plasticity.

    Images become Poisson spikes, which excite neurons with adaptive thresholds. A neuron that fires
    inhibits all the others, its threshold rises, and its weights move towards its input:

    .. math:: \Delta w_f = \eta\, (x_f - x_{tar}) (w_{max} - w_f)^\mu

    The trace :math:`x_f` of input f grows by 1 with each spike of that input and decays with
    ``tau_trace``. After an image, the weights of each neuron that learned are scaled to
    ``total_weight``. Labels serve only afterwards, to assign neurons to the classes that they
    respond to.

    Parameters
    ----------
    n_neurons : int, default 400
        Number of neurons ``N``.
    passes : int, default 1
        Number of times that `fit` shows all the images, each time in a different order.
    duration, timestep : float, default 350.0 and 1.0
        Duration of a presentation and of a timestep, in ms.
    rest : float, default 150.0
        Time after an image, in ms, in which all state but the thresholds returns to rest.
    max_rate : float, default 63.75
        Firing rate of a pixel of 1, in Hz.
    min_spikes, rate_step : int and float, default 5 and 32.0
        An image that causes fewer than ``min_spikes`` spikes is presented again, with rates that
        are higher by ``rate_step`` Hz times its pixels.
    tau_membrane : float, default 100.0
        Time constant of the membrane, in ms.
    rest_potential, reset_potential, threshold : float, default -65.0, -65.0 and -52.0
        Resting potential, reset potential and threshold of the membrane, in mV.
    refractory : float, default 5.0
        Time after a spike in which a neuron does not fire, in ms.
    excitatory_potential, inhibitory_potential : float, default 0.0 and -100.0
        Reversal potentials, in mV.
    tau_excitation, tau_inhibition : float, default 1.0 and 2.0
        Time constants of the conductances, in ms.
    inhibition : float, default 50.0
        Conductance that a spike adds in every other neuron, in units of the leak.
    theta_plus : float, default None
        Step of the threshold at a spike, in mV. None derives it from the number of neurons and the
        number of images ``B`` in all passes, since a neuron with fewer spikes needs longer steps:

        .. math::

            \theta_+ = 0.05\,\mathrm{mV}\,
            \max\left(n \frac{20000}{B}, n^{3/4}\right), \quad n = \frac{N}{400}

        with ``B`` of at least 1,000. `partial_fit` uses 20,000, since it does not know how many
        images will follow. `fit` begins with twice this step and ends with 0: after a share s of
        all images, the step is :math:`2 (1 - s)\, \theta_+`.
    tau_theta : float, default 1e7
        Time constant with which thresholds decay, in ms. In `fit` the decay becomes slower as the
        steps become shorter.
    learning_rate : float, default None
        :math:`\eta`, in `fit` :math:`2 (1 - s)\, \eta`. None derives it from the numbers of neurons
        and images, with ``B`` and n as above:
        :math:`\eta = 0.005\,\max(1, \sqrt{\min(n, 4)}\, \max(1, 20000 / B))`.
    target_trace, weight_dependence : float, default 0.3 and 1.0
        :math:`x_{tar}` and :math:`\mu`.
    tau_trace : float, default 20.0
        Time constant of the traces, in ms.
    max_weight, total_weight : float, default 1.0 and 78.4
        :math:`w_{max}`, and the sum of the weights of a neuron.
    voting : str, default "proportional"
        Rule by which spikes vote for a class: see `class_scores`.
    random_state : int, default 0
        Seed of the initial weights, the order of the images and all input spikes.

    Attributes
    ----------
    classes_
        Sorted labels.
    n_features_in_
        Number of pixels ``F``.
    theta_plus_, learning_rate_
        Mean step of a threshold, and learning rate, as used in training.
    interrupted_
        Whether Ctrl-C ended `fit`.

    Notes
    -----
    The network follows Diehl and Cook, with these differences:

    - The inhibitory neurons, which fire one timestep after their excitatory neurons, are left out:
      a spike raises the inhibitory conductance of the others in the next timestep.
    - The membrane equation uses the conductances at the end of a timestep (backward Euler). It is
      therefore stable for any inhibition, even with a ``timestep`` of 1 ms instead of 0.5 ms.
    - ``inhibition`` is 50 instead of 17. ``learning_rate``, ``target_trace`` and
      ``weight_dependence``, for which the paper gives no values, are the best on 10,000 held-out
      training images.
    - ``theta_plus`` and ``learning_rate`` depend on the numbers of neurons and images, and in `fit`
      all steps become shorter, so that in the end each threshold fits the weights of its neuron.
    - ``voting="proportional"``: a spike counts for all classes that its neuron responds to. The
      paper's rule is ``"assigned"``.

    Random numbers depend only on ``random_state``, the index of the image and the timestep. So the
    weights are the same, bit for bit, for any number of threads, and the response to an image does
    not depend on other images.

    P. Diehl, M. Cook, *Unsupervised learning of digit recognition using spike-timing-dependent
    plasticity*, Frontiers in Computational Neuroscience 9:99, 2015.

    Examples
    --------
    >>> from spikemnist.data import load_digits
    >>> train, test = load_digits()
    >>> classifier = STDPClassifier(n_neurons=100)
    >>> classifier = classifier.fit(train.images, train.labels, progress=False)
    >>> classifier.score(test.images, test.labels) > 0.8
    True
    >>> print(f"{classifier.theta_plus_:.3f} mV, learning rate {classifier.learning_rate_:.3f}")
    0.050 mV, learning rate 0.010
    """

    n_neurons: Count = 400
    _: KW_ONLY
    passes: Count = 1
    duration: Positive = 350.0
    timestep: Positive = 1.0
    rest: NotNegative = 150.0
    max_rate: Positive = 63.75
    min_spikes: Whole = 5
    rate_step: NotNegative = 32.0
    tau_membrane: Positive = 100.0
    rest_potential: Finite = -65.0
    reset_potential: Finite = -65.0
    threshold: Finite = -52.0
    refractory: NotNegative = 5.0
    excitatory_potential: Finite = 0.0
    inhibitory_potential: Finite = -100.0
    tau_excitation: Positive = 1.0
    tau_inhibition: Positive = 2.0
    inhibition: NotNegative = 50.0
    theta_plus: NotNegative | None = None
    tau_theta: Positive = 1e7
    learning_rate: Positive | None = None
    target_trace: NotNegative = 0.3
    weight_dependence: NotNegative = 1.0
    tau_trace: Positive = 20.0
    max_weight: Positive = 1.0
    total_weight: Positive = 78.4
    voting: Voting = "proportional"
    random_state: Whole = 0

    file_format: ClassVar[Format] = Format("spikemnist-stdp-1", "STDP classifier", FIT_AGAIN)

    def fit(
        self,
        X: ArrayLike | ImageDataset,
        y: ArrayLike | None = None,
        *,
        run: str | os.PathLike[str] | None = None,
        progress: bool = True,
    ) -> STDPClassifier:
        """Learn from images, forgetting any earlier fit, and assign the neurons to classes.

        Ctrl-C ends training after the current block of images. It sets ``interrupted_``, and the
        neurons are assigned by their latest responses.

        Parameters
        ----------
        X : array_like or ImageDataset
            Images ``[B, ...]``, uint8, or floating in [0, 1]; or a dataset of images and labels.
        y : array_like, default None
            Labels ``[B]``: whole numbers or strings. None with a dataset.
        run : path, default None
            Folder of the run, which must not hold one yet. The classifier is written to it after
            each pass, with its parameters, the data and the running accuracy. A process that is
            killed leaves the classifier of the last whole pass.
        progress : bool, default True
            Show a bar with the running accuracy, if standard error is a terminal.

        Returns
        -------
        STDPClassifier

        Raises
        ------
        ValueError
            For invalid parameters, ``X`` or ``y``.
        FileExistsError
            If the folder holds a run already.

        Warns
        -----
        UserWarning
            If over 5 % of the neurons never fire, or one makes over a quarter of all spikes.
        """
        pixels, classes, targets = self._training_set(X, y)
        self._begin(pixels, classes, int(self.passes) * len(pixels))
        with interruptible(), self._run(run, X, pixels, targets) as folder:
            for _ in self._passes(pixels, targets, show_bar=progress):
                if folder:
                    self.save(folder.file(MODEL))
            responses = self._respond(pixels, targets, show_bar=progress)
            self.interrupted_: bool = interrupted()
            self._progress.responses = responses or self._progress.responses
            if folder:
                self._save_metrics(folder.file(METRICS))
        warn_of_idle(self._progress.responses.spikes.sum(0), self.theta_plus_)
        return self

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None
    ) -> STDPClassifier:
        """Learn from images once, in the given order, and assign neurons by their latest responses.

        Parameters
        ----------
        X, y : array_like
            Images ``[B, ...]`` and labels ``[B]``, as for `fit`.
        classes : array_like, default None
            All classes, at the first call only. May be left out if ``y`` contains all of them.

        Returns
        -------
        STDPClassifier

        Raises
        ------
        ValueError
            For invalid parameters, ``X`` or ``y``, and for labels of no known class.
        """
        fitted = hasattr(self, "n_features_in_")
        pixels, known, targets = self._training_set(X, y, classes, fitted=fitted)
        if not fitted:
            self._begin(pixels, known)
        for first in range(0, len(pixels), BLOCK):
            self._learn(pixels[first : first + BLOCK], targets[first : first + BLOCK])
        return self

    def count_spikes(self, X: ArrayLike) -> Array:
        """Return the number of spikes of each neuron for each image.

        Parameters
        ----------
        X : array_like
            Images ``[B, ...]``, as for `fit`, of the fitted size.

        Returns
        -------
        numpy.ndarray
            int32 ``[B, N]``.

        Raises
        ------
        ValueError
            If ``X`` is invalid or the classifier is not fitted.
        """
        parts = torch.split(self._fitted_pixels(X), RESPONDING)
        return np.concatenate([self._layer.respond(part, self._seeds[1]) for part in parts])

    @property
    def weights_(self) -> Array:
        """Weights, float32 ``[N, F]``."""
        return self._fitted()._layer.weights

    @property
    def theta_(self) -> Array:
        """Adaptation of the thresholds in mV, float32 ``[N]``."""
        return self._fitted()._layer.theta

    @property
    def theta_plus_(self) -> float:
        """Mean step of the threshold at a spike, as used in training, in mV."""
        return float(self._fitted()._layer.parameters["theta_plus"])

    @property
    def learning_rate_(self) -> float:
        """Learning rate, as used in training."""
        return float(self._fitted()._layer.parameters["learning_rate"])

    @property
    def responses_(self) -> Array:
        """Mean spikes of each neuron per image of each class, float64 ``[C, N]``."""
        return self._fitted()._progress.responses.mean

    @property
    def assignments_(self) -> Array:
        """Index in ``classes_`` of each neuron's class, ``[N]``; -1 if it never fired."""
        return assign_classes(self.responses_)

    @property
    def accuracy_history_(self) -> Array:
        """Images seen and running accuracy at the end of W windows, float64 ``[W, 2]``.

        A window has a sixteenth of all images, at most 2,000. Each image is classified by the
        responses to the images before it.
        """
        return self._fitted()._progress.history

    @property
    def n_images_seen_(self) -> int:
        """Number of images learned from, over all passes."""
        return self._fitted()._progress.size

    def votes(self, X: ArrayLike) -> Votes:  # noqa: D102 - inherited
        counts, responses = self.count_spikes(X), self.responses_
        scores = {name: class_scores(counts, responses, name) for name in sorted(VOTINGS)}
        return Votes(scores, self.voting, {"neurons": counts.sum(1)})

    def _contents(self) -> tuple[dict[str, Array], dict[str, Any]]:
        layer, progress = self._fitted()._layer, self._progress
        arrays = {
            "weights": layer.weights,
            "theta": layer.theta,
            "responses.spikes": progress.responses.spikes,
            "responses.images": progress.responses.images,
            "blocks": np.array(progress.blocks, np.int64),
        }
        return arrays, {"steps": [self.theta_plus_, self.learning_rate_]}

    def _restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        self._check_numba()
        from spikemnist.plasticity.competitive_layer import CompetitiveLayer

        classes, neurons, weights = len(self.classes_), self.n_neurons, tensors["weights"]
        expected = {
            "weights": torch.empty(neurons, weights.shape[-1], device="meta"),
            "theta": torch.empty(neurons, device="meta"),
            "responses.spikes": torch.empty(classes, neurons, dtype=torch.float64, device="meta"),
            "responses.images": torch.empty(classes, dtype=torch.float64, device="meta"),
            "blocks": torch.empty(len(tensors["blocks"]), 2, dtype=torch.int64, device="meta"),
        }
        check_tensors(tensors, expected)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        theta_plus, learning_rate = map(float, metadata["steps"])
        steps = {"theta_plus": theta_plus, "learning_rate": learning_rate}
        parameters = self.get_params() | steps
        self._layer = CompetitiveLayer(parameters, arrays["weights"], arrays["theta"])
        responses = Responses(classes, neurons)
        responses.spikes, responses.images = arrays["responses.spikes"], arrays["responses.images"]
        self._progress = Progress(responses, self.voting, map(tuple, arrays["blocks"].tolist()))
        self.n_features_in_: int = self._layer.features

    def _begin(self, pixels: Tensor, classes: Array, total: int = LONG) -> None:
        """Begin with an untrained layer; ``total`` is the number of images in all passes."""
        self._check_numba()
        from spikemnist.plasticity.competitive_layer import new_layer  # loads Numba

        parameters = plain(self.get_params())
        parameters |= step_sizes(parameters, total)
        self._layer = new_layer(parameters, pixels.shape[1])
        self.classes_: Array = classes
        self._progress = Progress(Responses(len(classes), self.n_neurons), self.voting)
        self.n_features_in_ = self._layer.features

    def _learn(self, images: Tensor, labels: Array, factor: float = 1.0) -> None:
        """Learn from a block of images ``[B, F]`` with class indices ``[B]``."""
        counts = self._layer.learn(images, self._seeds[0], self._progress.size, factor)
        self._progress.add(counts, labels)

    def _passes(self, pixels: Tensor, targets: Array, *, show_bar: bool) -> Iterator[None]:
        """Run the passes, up to an interruption; yield after each of them."""
        progress, total = self._progress, int(self.passes) * len(pixels)
        with progress_bar(progress=show_bar, total=total, unit="image", delay=0, leave=True) as bar:
            for number in range(self.passes):
                generator = np.random.default_rng([self.random_state, number])
                order = torch.from_numpy(generator.permutation(len(pixels)))
                for block in torch.split(order, BLOCK):
                    if interrupted() and progress.size:  # at least one block assigns the neurons
                        return
                    factor = step_factor(progress.size / total)
                    self._learn(pixels[block], targets[block.numpy()], factor)
                    bar.set_postfix_str(f"accuracy {progress.accuracy:.1%}", refresh=False)
                    bar.update(len(block))
                yield

    def _respond(self, pixels: Tensor, targets: Array, *, show_bar: bool) -> Responses | None:
        """Return the responses to all images, or None if interrupted."""
        responses = Responses(len(self.classes_), self.n_neurons)
        options: dict[str, Any] = {"desc": "assigning", "unit": "image", "delay": 0, "leave": True}
        with progress_bar(progress=show_bar, total=len(pixels), **options) as bar:
            for images in torch.split(pixels, RESPONDING):
                responses.add(self._layer.respond(images, self._seeds[1]), targets[: len(images)])
                targets = targets[len(images) :]
                bar.update(len(images))
                if interrupted():
                    return None
        return responses

    def _save_metrics(self, file: Path) -> None:
        """Write the running accuracies to a CSV file."""
        rows = [f"{int(images)},{share}\n" for images, share in self.accuracy_history_]
        text = "".join(["images,accuracy\n", *rows])
        write_atomically(file, lambda path: path.write_text(text, encoding="utf-8", newline="\n"))

    @property
    def _seeds(self) -> tuple[int, int]:
        """Seeds of learning and of responding."""
        seed = int(self.random_state)
        return splitmix.word(seed, 0), splitmix.word(seed, 1)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if round(self.duration / self.timestep) < 1:
            raise must_be("duration", f"at least a timestep of {self.timestep} ms", self.duration)
        if self.max_rate * self.timestep > 1000:
            expected = f"at most one spike per timestep of {self.timestep} ms"
            raise must_be("max_rate in Hz", expected, self.max_rate)
        check_number("threshold", self.threshold, f"({self.reset_potential}, inf)")
        check_choice("voting", self.voting, VOTINGS)
