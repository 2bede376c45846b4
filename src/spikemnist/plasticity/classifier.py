"""Unsupervised digits: a competitive layer that learns by STDP, as an ordinary estimator.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``C`` classes.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist import _tensor_files
from spikemnist._interrupt import interruptible
from spikemnist.plasticity import files
from spikemnist.plasticity.checks import (
    check_images,
    check_labels,
    check_numba,
    check_parameters,
    check_size,
    encode_labels,
)
from spikemnist.plasticity.homeostasis import Pace, pace, warn_of_idle
from spikemnist.plasticity.learned import LEARNING, RESPONDING, Learned
from spikemnist.plasticity.learning import BEFORE, NOW, Progress, learn_blocks
from spikemnist.plasticity.passes import Run

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, NDArray

    from spikemnist.plasticity.assignment import Voting
    from spikemnist.plasticity.network import Layer

    Array = NDArray[Any]


@dataclass(eq=False)
class STDPClassifier(Learned):
    r"""Digits learned without labels by spike-timing-dependent plasticity.

    Images become Poisson spikes, which excite neurons with adaptive thresholds. A neuron that
    fires inhibits all the others, its threshold rises, and its weights come closer to what it saw:

    .. math:: \Delta w_f = \eta\, (x_f - x_{tar}) (w_{max} - w_f)^\mu

    for the trace :math:`x_f` of its input f, which grows by 1 with each spike there and decays with
    ``tau_trace``. After an image, the weights of a neuron that learned are scaled to their total.
    Labels serve only afterwards, to assign neurons to the classes that they respond to.

    Parameters
    ----------
    n_neurons
        ``N``.
    passes
        How often `fit` shows all the images, each time in another order.
    duration, timestep
        Of a presentation, in ms.
    rest
        Time after an image, in ms, in which everything but the thresholds returns to rest.
    max_rate
        Of a pixel of 1, in Hz.
    min_spikes, rate_step
        An image for which the neurons fire less often than this is presented again, its rates
        ``rate_step`` Hz times its pixels higher.
    tau_membrane
        Time constant of the membrane, in ms.
    rest_potential, reset_potential, threshold
        In mV.
    refractory
        Time after a spike in which a neuron does not fire, in ms.
    excitatory_potential, inhibitory_potential
        Reversal potentials, in mV.
    tau_excitation, tau_inhibition
        Time constants of the conductances, in ms.
    inhibition
        Conductance, in units of the leak, that a spike adds in all other neurons.
    theta_plus : float, default None
        Step of the threshold at a spike, in mV. None follows the number of neurons and of images
        ``B`` in all passes, as fewer spikes of a neuron call for longer steps:

        .. math::

            \theta_+ = 0.05\,\mathrm{mV} \cdot \frac{N}{400} \cdot \frac{20000}{B}

        with ``B`` between 1,000 and 20,000; it is 20,000 in `partial_fit`, which does not know how
        many images will follow.
    tau_theta
        Time constant with which thresholds fall, in ms.
    learning_rate : float, default None
        :math:`\eta`. None follows the number of images, ``B`` as above:
        :math:`\eta = 0.005 \cdot 20000 / B`.
    target_trace, weight_dependence
        :math:`x_{tar}` and :math:`\mu`.
    tau_trace
        Time constant of the traces, in ms.
    max_weight, total_weight
        :math:`w_{max}`, and the sum of the weights of a neuron.
    voting
        How spikes vote for a class: see `class_scores`.
    random_state
        Seed of the first weights, of the order of the images and of all spikes.

    Attributes
    ----------
    classes_
        The labels, sorted.
    n_features_in_
        ``F``.
    theta_plus_, learning_rate_
        The values with which it learned.
    interrupted_
        Whether Ctrl-C ended `fit`.

    Notes
    -----
    The network is that of Diehl and Cook. What differs, and why:

    - The inhibitory neurons, which fire a timestep after theirs do, are left out: a spike raises
      the inhibitory conductance of the others in the timestep after it.
    - The membrane equation takes its conductances at the end of a timestep (backward Euler), and
      so is stable for any inhibition, also with a ``timestep`` of 1 ms in place of 0.5 ms.
    - ``inhibition`` is 50 in place of 17, and ``learning_rate``, ``target_trace`` and
      ``weight_dependence``, of which the paper gives no values, are what did best on 10,000
      training images that were held out.
    - ``theta_plus`` follows the number of neurons, and with ``learning_rate`` that of images.
    - ``voting="proportional"``: spikes count for all the classes that a neuron responds to. The
      vote of the paper is ``"assigned"``.

    Random numbers are functions of ``random_state``, of the number of the image and of the
    timestep. So the weights are the same, bit for bit, for any number of threads; and the response
    to an image is the same whichever others there are.

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
    0.050 mV, learning rate 0.020
    """

    n_neurons: int = 400
    _: KW_ONLY
    passes: int = 1
    duration: float = 350.0
    timestep: float = 1.0
    rest: float = 150.0
    max_rate: float = 63.75
    min_spikes: int = 5
    rate_step: float = 32.0
    tau_membrane: float = 100.0
    rest_potential: float = -65.0
    reset_potential: float = -65.0
    threshold: float = -52.0
    refractory: float = 5.0
    excitatory_potential: float = 0.0
    inhibitory_potential: float = -100.0
    tau_excitation: float = 1.0
    tau_inhibition: float = 2.0
    inhibition: float = 50.0
    theta_plus: float | None = None
    tau_theta: float = 1e7
    learning_rate: float | None = None
    target_trace: float = 0.3
    weight_dependence: float = 1.0
    tau_trace: float = 20.0
    max_weight: float = 1.0
    total_weight: float = 78.4
    voting: Voting = "proportional"
    random_state: int = 0

    def fit(
        self,
        images: ArrayLike,
        labels: ArrayLike,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> STDPClassifier:
        """Forget everything, learn from images, and assign the neurons to classes.

        Ctrl-C ends it after the images at hand, with ``interrupted_`` set and the neurons
        assigned by their latest responses.

        Parameters
        ----------
        images
            ``[B, ...]``, uint8, or floating in [0, 1].
        labels
            ``[B]``: whole numbers or strings.
        checkpoint
            File to which everything is written every 10,000 images, and when Ctrl-C is pressed.
        resume
            Go on where the checkpoint ends, to the same bits as without an interruption.
        progress
            Show a bar with the running accuracy, if standard error is a terminal.

        Returns
        -------
        STDPClassifier

        Raises
        ------
        ValueError
            For parameters, images or labels that cannot be used, and for a checkpoint of others.
        FileExistsError
            When the checkpoint exists and is not to be resumed.

        Warns
        -----
        UserWarning
            When neurons never fire, or one makes a quarter of all spikes.
        """
        check_parameters(self)
        pixels = check_images(images)
        classes, encoded = check_labels(labels, len(pixels))
        file = files.new_or_resumed(checkpoint, resume=resume)
        total = self.passes * len(pixels)
        layer, estimates = self._new(pixels.shape[1], len(classes), pace(self, total), total)
        run = Run(
            layer,
            estimates,
            pixels,
            encoded,
            {**self.plain_params(), **layer.pace._asdict()},
            (self._seed(LEARNING), self._seed(RESPONDING)),
        )
        with interruptible() as interruption:
            if file and resume:
                run.restore(file)
            elif file:
                run.save(file)  # a run killed at once can be resumed as well
            self._begin(layer, estimates, classes)
            run.learn(file, interruption, progress=progress)
            responses = run.respond(interruption, progress=progress)
        self.interrupted_ = interruption.asked()
        self._responses = responses or self._progress.recent
        reach = self.excitatory_potential - self.threshold
        warn_of_idle(self._responses.spikes.sum(0), layer.theta, self.theta_plus_, reach)
        return self

    def partial_fit(
        self, images: ArrayLike, labels: ArrayLike, classes: ArrayLike | None = None
    ) -> STDPClassifier:
        """Learn from images once, in their order, and assign the neurons by what they just did.

        Parameters
        ----------
        images, labels
            ``[B, ...]`` and ``[B]``, as `fit` takes them.
        classes
            All classes that there will be; at the first call only, where it may be left out if
            all of them are among ``labels``.

        Returns
        -------
        STDPClassifier

        Raises
        ------
        ValueError
            For images or labels that cannot be used, and labels of no class.
        """
        check_parameters(self)
        fitted = hasattr(self, "_layer")
        pixels = check_images(images)
        if fitted:
            check_size(self, pixels)
            known = self.classes_
        else:
            known, _ = check_labels(labels if classes is None else classes, None)
        encoded = encode_labels(labels, len(pixels), known)
        if not fitted:
            # How many images will follow is not known.
            self._begin(*self._new(pixels.shape[1], len(known), pace(self)), known)
        order, seed = np.arange(len(pixels)), self._seed(LEARNING)
        for _ in learn_blocks(self._layer, self._progress, pixels, encoded, order, seed):
            pass
        self._responses = self._progress.recent
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> STDPClassifier:
        """Read the classifier that `save` wrote.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        STDPClassifier
            It predicts the same.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When it is damaged, holds no such classifier, or NaN or infinity.

        Warns
        -----
        UserWarning
            When the file is of version 0.1.0, which stored no digest: damage in its numbers cannot
            be noticed.
        """
        tensors, metadata = _tensor_files.read(path, files.CLASSIFIER)
        with _tensor_files.described(path, files.CLASSIFIER):
            loaded = cls(**metadata["parameters"])
            check_parameters(loaded)
            check_numba(loaded)
            classes, names = files.classes_of(metadata["classes"]), (BEFORE, NOW, "responses")
            arrays = files.layer_arrays(tensors, loaded.n_neurons, len(classes), names)
            from spikemnist.plasticity import network  # which loads Numba

            found = Pace(**metadata.get("pace", pace(loaded)._asdict()))
            check_parameters(replace(loaded, **found._asdict()))
            layer = network.build(loaded, arrays["weights"], arrays["theta"], found)
            progress = Progress(len(classes), loaded.n_neurons, loaded.voting)
            loaded._begin(layer, progress, classes)
            loaded._progress.restore(arrays, metadata["progress"])
            loaded._responses.restore("responses", arrays)
        return loaded

    def _new(
        self, features: int, num_classes: int, pace: Pace, total: int | None = None
    ) -> tuple[Layer, Progress]:
        """Return neurons that have learned nothing, and that this is so."""
        check_numba(self)
        from spikemnist.plasticity import network  # which loads Numba

        weights = network.first_weights(self, features)
        layer = network.build(self, weights, np.zeros(self.n_neurons, np.float32), pace)
        return layer, Progress(num_classes, self.n_neurons, self.voting, total)
