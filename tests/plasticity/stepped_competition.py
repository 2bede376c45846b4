"""The competitive layer as its equations say, a timestep of one neuron population at a time.

In double precision and NumPy alone. Of the package it takes the random numbers, whose bits
test_bernoulli_words.py checks.

Shapes: ``T`` timesteps, ``F`` pixels, ``N`` neurons.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from spikemnist import _splitmix as splitmix
from spikemnist.encoding import RateEncoder
from spikemnist.encoding.pixels import code_pixels
from spikemnist.encoding.spikes import bernoulli
from spikemnist.plasticity import STDPClassifier


class Stepped:
    """Neurons that compete for images.

    Parameters
    ----------
    parameters
        A classifier, of which only the parameters are read.
    weights, theta
        ``[N, F]`` and ``[N]``.

    Attributes
    ----------
    closest
        How close any membrane came to its threshold since it was set to infinity, in mV.
    attempts
        How often the latest image was presented.
    """

    def __init__(self, parameters: STDPClassifier, weights: np.ndarray, theta: np.ndarray) -> None:
        self.p = parameters
        self.weights, self.theta = weights.astype(np.float64), theta.astype(np.float64)
        self.closest, self.attempts, self.factor = math.inf, 0, 1.0

    def learn(self, image: Tensor, seed: int, number: int, factor: float = 1.0) -> np.ndarray:
        """Learn from an image ``[F]``, whose random numbers are those of a number; ``[N]``.

        ``factor`` is that of the learning rate, and of the step and rate of decay of thresholds.
        """
        self.factor = factor
        return self._show(image, seed, number, learning=True)

    def respond(self, image: Tensor, seed: int) -> np.ndarray:
        """Return how often each neuron fires for an image ``[F]``, ``[N]``."""
        return self._show(image, seed, 0, learning=False)

    def _show(self, image: Tensor, seed: int, number: int, *, learning: bool) -> np.ndarray:
        """Present an image, more and more strongly, until it makes enough spikes."""
        rates = self._rates()
        self.attempts = 0
        for attempt, rate in enumerate(rates):
            steps = round(self.p.duration / self.p.timestep)
            encoder = RateEncoder(num_steps=steps, gain=rate * self.p.timestep / 1000)
            spikes = bernoulli(
                code_pixels(encoder, image[None]),
                seeds=splitmix.words(seed, torch.tensor([number * len(rates) + attempt])),
                num_steps=steps,
                first_spike_time=0,
                dtype=torch.float64,
            )[:, 0].numpy()
            if attempt and not image.any():
                break  # a blank image, which no rate helps
            self.attempts += 1
            counts = self._present(spikes, learning=learning)
            if learning:
                self._after(counts)
            if counts.sum() >= self.p.min_spikes:
                break
        return counts

    def _rates(self) -> list[float]:
        """Return the rates of a white pixel at each attempt, in Hz."""
        rates = [self.p.max_rate]
        if self.p.min_spikes and self.p.rate_step:
            while rates[-1] < 1000 / self.p.timestep:
                rates.append(rates[-1] + self.p.rate_step)
        return rates

    def _present(self, spikes: np.ndarray, *, learning: bool) -> np.ndarray:
        """Present spikes ``[T, F]`` to neurons at rest; return how often each fires, ``[N]``."""
        p, size = self.p, len(self.weights)
        step = p.timestep / p.tau_membrane
        membrane = np.full(size, p.rest_potential)
        excitation, inhibition = np.zeros(size), np.zeros(size)
        refractory, counts = np.zeros(size, int), np.zeros(size, int)
        trace = np.zeros(spikes.shape[1])
        for now in spikes:
            trace = trace * math.exp(-p.timestep / p.tau_trace) + now
            excitation = excitation * math.exp(-p.timestep / p.tau_excitation) + self.weights @ now
            drive = (
                p.rest_potential
                + excitation * p.excitatory_potential
                + inhibition * p.inhibitory_potential
            )
            membrane = (membrane + step * drive) / (1 + step * (1 + excitation + inhibition))
            inhibition = inhibition * math.exp(-p.timestep / p.tau_inhibition)
            held = refractory > 0
            membrane[held] = np.minimum(membrane[held], p.reset_potential)
            refractory[held] -= 1
            above = membrane - (p.threshold + self.theta)
            self.closest = min(self.closest, np.abs(above).min())
            fired = np.flatnonzero(above > 0)
            for n in fired:
                membrane[n] = p.reset_potential
                refractory[n] = round(p.refractory / p.timestep)
                counts[n] += 1
                inhibition[np.arange(size) != n] += p.inhibition  # felt a timestep later
                if learning:
                    self._spike(n, trace)
        return counts

    def _spike(self, n: int, trace: np.ndarray) -> None:
        """Change the weights of a neuron that fired, and raise its threshold."""
        p = self.p
        room = (p.max_weight - self.weights[n]) ** p.weight_dependence
        changed = self.weights[n] + self.factor * p.learning_rate * (trace - p.target_trace) * room
        self.weights[n] = changed.clip(0, p.max_weight)
        self.theta[n] += self.factor * p.theta_plus

    def _after(self, counts: np.ndarray) -> None:
        """Scale the weights of neurons that fired to their total, and let thresholds fall."""
        for n in np.flatnonzero(counts):
            if self.weights[n].sum() > 0:
                self.weights[n] *= self.p.total_weight / self.weights[n].sum()
        presentation = self.p.duration + self.p.rest
        self.theta *= math.exp(-self.factor * presentation / self.p.tau_theta)
