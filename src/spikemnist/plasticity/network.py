"""A competitive layer in memory: it learns from images, and responds to them.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``M`` tiles of `WIDTH` neurons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.encoding import RateEncoder, splitmix
from spikemnist.encoding.kernels import bernoulli_words
from spikemnist.encoding.pixels import code_pixels
from spikemnist.kernels import events
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.threads import parallel
from spikemnist.kernels.tiles import tile_weights, tiles_of, untile_weights
from spikemnist.plasticity import competition
from spikemnist.plasticity.competition import Neurons, Physics, Plasticity

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.kernels.events import ByTimestep
    from spikemnist.plasticity.classifier import STDPClassifier
    from spikemnist.plasticity.homeostasis import Pace

    Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """How an image becomes input: rates in Hz, times in ms.

    One that makes fewer than ``min_spikes`` spikes is presented again, its rates ``rate_step``
    higher, until no rate can rise.
    """

    duration: float
    timestep: float
    max_rate: float
    rate_step: float
    min_spikes: int

    @property
    def num_steps(self) -> int:
        """Timesteps of a presentation."""
        return round(self.duration / self.timestep)

    def encoder(self, attempt: int) -> RateEncoder:
        """Return the Poisson code of an attempt, counted from 0."""
        rate = self.max_rate + attempt * self.rate_step
        return RateEncoder(num_steps=self.num_steps, gain=rate * self.timestep / 1000)

    @property
    def attempts(self) -> int:
        """How often an image is presented at most."""
        certain = 1000 / self.timestep
        if not self.rate_step or not self.min_spikes:
            return 1
        return 1 + max(0, math.ceil((certain - self.max_rate) / self.rate_step))


def build(parameters: STDPClassifier, weights: Array, theta: Array, pace: Pace) -> Layer:
    """Return the layer of a classifier with these weights ``[N, F]`` and adaptations ``[N]``."""
    single, step = np.float32, parameters.timestep
    physics = Physics(
        step=single(step / parameters.tau_membrane),
        rest=single(parameters.rest_potential),
        reset=single(parameters.reset_potential),
        threshold=single(parameters.threshold),
        excitatory=single(parameters.excitatory_potential),
        inhibitory=single(parameters.inhibitory_potential),
        decay_excitation=single(math.exp(-step / parameters.tau_excitation)),
        decay_inhibition=single(math.exp(-step / parameters.tau_inhibition)),
        inhibition=single(parameters.inhibition),
        refractory=single(round(parameters.refractory / step)),
    )
    whole = parameters.duration + parameters.rest
    plasticity = Plasticity(
        rate=single(pace.learning_rate),
        target=single(parameters.target_trace),
        exponent=single(parameters.weight_dependence),
        largest=single(parameters.max_weight),
        total=single(parameters.total_weight),
        trace_decay=single(math.exp(-step / parameters.tau_trace)),
        theta_plus=single(pace.theta_plus),
        theta_decay=single(math.exp(-whole / parameters.tau_theta)),
    )
    presentation = Presentation(
        duration=parameters.duration,
        timestep=step,
        max_rate=parameters.max_rate,
        rate_step=parameters.rate_step,
        min_spikes=parameters.min_spikes,
    )
    return Layer(weights, theta, pace, physics, plasticity, presentation)


def first_weights(parameters: STDPClassifier, features: int) -> Array:
    """Draw weights ``[N, F]``, evenly, and scale those of each neuron to their total."""
    generator = np.random.default_rng(parameters.random_state)
    weights = generator.random((parameters.n_neurons, features), np.float32)
    scale = parameters.total_weight / weights.sum(1, keepdims=True, dtype=np.float64)
    first: Array = (weights * scale).astype(np.float32)
    return first


class Layer:
    """Neurons that compete for images.

    Parameters
    ----------
    weights
        float32 ``[N, F]``.
    theta
        Adaptation of the thresholds in mV, float32 ``[N]``.
    pace, physics, plasticity, presentation
        The constants.
    """

    def __init__(
        self,
        weights: Array,
        theta: Array,
        pace: Pace,
        physics: Physics,
        plasticity: Plasticity,
        presentation: Presentation,
    ) -> None:
        self.pace = pace
        self.physics, self.plasticity, self.presentation = physics, plasticity, presentation
        self.set(weights, theta)

    def set(self, weights: Array, theta: Array) -> None:
        """Give the neurons other weights and adaptations."""
        _check(weights, theta)
        self.size, self.features = weights.shape
        tiles = tiles_of(self.size)
        tiled = np.zeros((tiles, self.features + 1, WIDTH), np.float32)
        tiled[:, :-1] = tile_weights(torch.from_numpy(weights))
        padded = np.full((tiles, WIDTH), np.inf, np.float32)
        padded.reshape(-1)[: self.size] = theta
        self.neurons = Neurons(tiled, padded, self.physics.threshold + padded)

    def learn(self, images: Tensor, seed: int, first: int) -> Array:
        """Learn from images ``[B, F]``, one after the other.

        Parameters
        ----------
        images
            uint8, or floating in [0, 1].
        seed, first
            The random numbers of image i are those of number ``first + i`` of the seed.

        Returns
        -------
        numpy.ndarray
            int32 ``[B, N]``: how often each neuron fired.
        """
        numbers = torch.arange(first, first + len(images))
        counts, done = self._counts(len(images)), np.zeros(1, np.int64)
        listed = self._events(images, seed, numbers, 0)
        while done[0] < len(images):
            self._learn(listed, counts, done)
            last = slice(int(done[0]) - 1, int(done[0]))
            for attempt in range(1, self.presentation.attempts):
                if counts[last].sum() >= self.presentation.min_spikes or not images[last].any():
                    break  # enough, or a blank image, which no rate helps
                alone = self._events(images[last], seed, numbers[last], attempt)
                self._learn(alone, counts[last], np.zeros(1, np.int64))
        return counts[:, : self.size]

    def respond(self, images: Tensor, seed: int) -> Array:
        """Return how often each neuron fires for images ``[B, F]``, int32 ``[B, N]``.

        An image has the same random numbers whichever others there are.
        """
        counts, waiting = self._counts(len(images)), np.arange(len(images))
        lit = images.bool().any(1).numpy()  # no rate helps a blank image
        for attempt in range(self.presentation.attempts):
            numbers = torch.zeros(len(waiting), dtype=torch.int64)
            listed = self._events(images[torch.from_numpy(waiting)], seed, numbers, attempt)
            found = self._counts(len(waiting))
            arguments = (self.physics, self.neurons, listed, found)
            work = found.size * self.presentation.num_steps
            parallel(competition.respond, len(waiting), *arguments, work=work)
            counts[waiting] = found
            waiting = waiting[(found.sum(1) < self.presentation.min_spikes) & lit[waiting]]
            if not len(waiting):
                break
        return counts[:, : self.size]

    def _learn(self, listed: ByTimestep, counts: Array, done: Array) -> None:
        arguments = (self.physics, self.plasticity, self.neurons, listed)
        # Each image learns with what the one before has left: one unit of work.
        parallel(competition.learn, 1, *arguments, self.presentation.min_spikes, counts, done)

    def _events(self, images: Tensor, seed: int, numbers: Tensor, attempt: int) -> ByTimestep:
        if images.dim() != 2 or images.shape[1] != self.features:
            raise ValueError(
                f"images must be [B, {self.features}], for as many weights of each neuron; "
                f"got {tuple(images.shape)}"
            )
        encoder = self.presentation.encoder(attempt)
        seeds = splitmix.words(seed, numbers * self.presentation.attempts + attempt)
        words = bernoulli_words(code_pixels(encoder, images), seeds, encoder.num_steps)
        return events.by_timestep(words, events.count(words))

    def _counts(self, images: int) -> Array:
        return np.zeros((images, self.neurons.theta.size), np.int32)

    @property
    def weights(self) -> Array:
        """float32 ``[N, F]``, a copy."""
        return untile_weights(self.neurons.weights[:, :-1], self.size)

    @property
    def theta(self) -> Array:
        """Adaptation of the thresholds in mV, float32 ``[N]``, a copy."""
        theta: Array = self.neurons.theta.reshape(-1)[: self.size].copy()
        return theta


def _check(weights: Array, theta: Array) -> None:
    """Raise an error unless kernels, which do not check bounds, can take these."""
    if weights.ndim != 2 or not weights.size or theta.shape != weights.shape[:1]:
        raise ValueError(
            f"weights must be [N, F] and theta [N]; got {weights.shape} and {theta.shape}"
        )
    if weights.dtype != np.float32 or theta.dtype != np.float32:
        raise TypeError(f"weights and theta must be float32; got {weights.dtype} and {theta.dtype}")
