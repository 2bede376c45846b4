"""A competitive layer: neurons that learn from images and respond to them.

Shapes: ``B`` images, ``F`` pixels, ``N`` neurons, ``M`` blocks of `WIDTH` neurons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist import _splitmix as splitmix
from spikemnist._tensors import Array
from spikemnist.encoding import RateEncoder
from spikemnist.encoding.pixels import code_pixels
from spikemnist.kernels import spike_lists
from spikemnist.kernels.blocks import blocks_of, join_weight_blocks, weight_blocks
from spikemnist.kernels.codes import bernoulli_words
from spikemnist.kernels.registers import WIDTH
from spikemnist.kernels.scheduler import parallel
from spikemnist.kernels.spike_lists import ByTimestep
from spikemnist.plasticity import competitive_kernels
from spikemnist.plasticity.competitive_kernels import CompetitiveNeurons, Constants


class CompetitiveLayer:
    """Neurons that compete for images.

    An image that causes fewer than ``min_spikes`` spikes is presented again with rates raised by
    ``rate_step``, until a pixel of 1 fires at every timestep.

    Parameters
    ----------
    parameters : mapping
        Parameters of `STDPClassifier` by name, with numbers for ``theta_plus`` and
        ``learning_rate``.
    weights : numpy.ndarray
        Weights, float32 ``[N, F]``.
    theta : numpy.ndarray
        Adaptation of the thresholds in mV, float32 ``[N]``.
    """

    def __init__(self, parameters: Mapping[str, Any], weights: Array, theta: Array) -> None:
        self.parameters: Mapping[str, Any] = parameters
        self.num_steps: int = round(parameters["duration"] / parameters["timestep"])
        self.attempts: int = _attempts(parameters)
        self.size: int = weights.shape[0]
        self.features: int = weights.shape[1]
        blocks, constants = blocks_of(self.size), _constants(parameters)
        least = int(parameters["min_spikes"])
        # torch aligns memory to 64 bytes and NumPy does not: a row then takes fewer cache lines.
        laid_out = weight_blocks(functional.pad(torch.from_numpy(weights), (0, 1)))
        offsets = np.full((blocks, WIDTH), np.inf, np.float32)
        offsets.reshape(-1)[: self.size] = theta
        self.neurons: CompetitiveNeurons = CompetitiveNeurons(
            constants, least, laid_out, offsets, constants.threshold + offsets
        )

    def learn(self, images: Tensor, seed: int, first: int, factor: float = 1.0) -> Array:
        """Learn from images ``[B, F]`` in order.

        Parameters
        ----------
        images : torch.Tensor
            Images, uint8, or floating in [0, 1].
        seed, first : int
            Seed, and number of the first image: image i uses the random numbers of ``first + i``.
        factor : float, default 1.0
            Factor of ``learning_rate``, of ``theta_plus``, and of the rate of decay of thresholds.

        Returns
        -------
        numpy.ndarray
            Spikes of each neuron, int32 ``[B, N]``.
        """
        numbers = torch.arange(first, first + len(images))
        counts, done = self._counts(len(images)), np.zeros(1, np.int64)
        neurons, events = self._with_steps(factor), self._events(images, seed, numbers, 0)
        while done[0] < len(images):
            _learn(neurons, events, counts, done)
            last = slice(int(done[0]) - 1, int(done[0]))
            for attempt in range(1, self.attempts):
                if counts[last].sum() >= self.parameters["min_spikes"] or not images[last].any():
                    break  # enough spikes, or a blank image, which no rate helps
                alone = self._events(images[last], seed, numbers[last], attempt)
                _learn(neurons, alone, counts[last], np.zeros(1, np.int64))
        return counts[:, : self.size]

    def respond(self, images: Tensor, seed: int) -> Array:
        """Return the spikes of each neuron for images ``[B, F]``, int32 ``[B, N]``.

        The random numbers of an image do not depend on the other images.
        """
        counts, waiting = self._counts(len(images)), np.arange(len(images))
        lit = images.bool().any(1).numpy()  # no rate helps a blank image
        for attempt in range(self.attempts):
            numbers = torch.zeros(len(waiting), dtype=torch.int64)
            events = self._events(images[torch.from_numpy(waiting)], seed, numbers, attempt)
            responses = self._counts(len(waiting))
            arguments = (self.neurons, events, responses)
            work = responses.size * self.num_steps
            parallel(competitive_kernels.respond, len(waiting), *arguments, work=work)
            counts[waiting] = responses
            waiting = waiting[(responses.sum(1) < self.parameters["min_spikes"]) & lit[waiting]]
            if not len(waiting):
                break
        return counts[:, : self.size]

    def _with_steps(self, factor: float) -> CompetitiveNeurons:
        """Return the neurons, with steps of weights and thresholds that are shorter or longer."""
        constants = self.neurons.constants
        constants = constants._replace(
            learning_rate=np.float32(constants.learning_rate * factor),
            theta_plus=np.float32(constants.theta_plus * factor),
            decay_theta=np.float32(float(constants.decay_theta) ** factor),
        )
        return self.neurons._replace(constants=constants)

    def _events(self, images: Tensor, seed: int, numbers: Tensor, attempt: int) -> ByTimestep:
        """Return the Poisson spikes of images at an attempt, counted from 0."""
        rate = self.parameters["max_rate"] + attempt * self.parameters["rate_step"]
        gain = rate * self.parameters["timestep"] / 1000
        encoder = RateEncoder(num_steps=self.num_steps, gain=gain)
        seeds = splitmix.words(seed, numbers * self.attempts + attempt)
        words = bernoulli_words(code_pixels(encoder, images), seeds, encoder.num_steps)
        return spike_lists.by_timestep(words, spike_lists.count(words))

    def _counts(self, images: int) -> Array:
        return np.zeros((images, self.neurons.theta.size), np.int32)

    @property
    def weights(self) -> Array:
        """Copy of the weights, float32 ``[N, F]``."""
        return join_weight_blocks(self.neurons.weights[:, :-1], self.size)

    @property
    def theta(self) -> Array:
        """Copy of the adaptation of the thresholds in mV, float32 ``[N]``."""
        return np.array(self.neurons.theta.reshape(-1)[: self.size])


def new_layer(parameters: Mapping[str, Any], features: int) -> CompetitiveLayer:
    """Return an untrained layer: weights are drawn uniformly and scaled to their total."""
    generator = np.random.default_rng(parameters["random_state"])
    weights = generator.random((parameters["n_neurons"], features), np.float32)
    scale = parameters["total_weight"] / weights.sum(1, keepdims=True, dtype=np.float64)
    theta = np.zeros(len(weights), np.float32)
    return CompetitiveLayer(parameters, (weights * scale).astype(np.float32), theta)


def _learn(neurons: CompetitiveNeurons, events: ByTimestep, counts: Array, done: Array) -> None:
    # Each image needs the weights learned from the image before: one unit of work.
    parallel(competitive_kernels.learn, 1, neurons, events, counts, done)


def _constants(parameters: Mapping[str, Any]) -> Constants:
    step, presentation = parameters["timestep"], parameters["duration"] + parameters["rest"]
    derived = {
        "step": step / parameters["tau_membrane"],
        "decay_excitation": math.exp(-step / parameters["tau_excitation"]),
        "decay_inhibition": math.exp(-step / parameters["tau_inhibition"]),
        "decay_trace": math.exp(-step / parameters["tau_trace"]),
        "decay_theta": math.exp(-presentation / parameters["tau_theta"]),
        "refractory_steps": round(parameters["refractory"] / step),
    }
    numbers = {**parameters, **derived}
    return Constants(*(np.float32(numbers[name]) for name in Constants._fields))


def _attempts(parameters: Mapping[str, Any]) -> int:
    """Return the largest number of presentations of an image."""
    if not parameters["rate_step"] or not parameters["min_spikes"]:
        return 1
    certain = 1000 / parameters["timestep"]
    rising: float = (certain - parameters["max_rate"]) / parameters["rate_step"]
    return 1 + max(0, math.ceil(rising))
