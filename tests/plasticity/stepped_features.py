"""Features that compete, as their docstring says it: one image, one timestep after the other.

Shapes: ``T`` timesteps, ``N`` features, ``C`` channels, ``K`` side of a kernel, ``H`` and ``W``.
"""

from __future__ import annotations

import numpy as np

from spikemnist.plasticity import ConvSTDPClassifier


class SteppedFeatures:
    """Features in double precision; ``closest`` is the least distance of what decided anything."""

    def __init__(self, parameters: ConvSTDPClassifier, weights: np.ndarray) -> None:
        self.parameters, self.weights = parameters, weights.astype(np.float64)
        self.wins, self.seen, self.closest = np.zeros(len(weights), int), 0, np.inf

    def _potentials(self, arrived: np.ndarray) -> np.ndarray:
        """Return ``[H', W', N]``, each the weights of what has arrived in its square."""
        side = self.parameters.kernel_size
        squares = np.lib.stride_tricks.sliding_window_view(arrived, (side, side), axis=(1, 2))
        return np.einsum("cyxij,ncij->yxn", squares.astype(np.float64), self.weights)

    def learn(self, spikes: np.ndarray) -> None:
        """Learn from an image ``[T, C, H, W]``."""
        options = self.parameters
        rate = options.learning_rate * 2 ** (self.seen // options.doubling)
        rate = min(rate, options.max_learning_rate)
        self.seen += 1
        arrived, won = np.zeros(spikes.shape[1:], bool), 0
        potentials = 0.0
        free: np.ndarray | None = None
        for now in spikes.astype(bool):
            # What arrives is weighed when it does: later changes of a weight do not change it.
            potentials = potentials + self._potentials(now)
            if free is None:
                free = np.ones(potentials.shape, bool)
            arrived |= now
            while now.any() and won < options.n_winners:
                candidates = np.where(free, potentials, -np.inf)
                self._note(candidates)
                if candidates.max() <= options.threshold:
                    break
                y, x, n = np.unravel_index(candidates.argmax(), candidates.shape)
                won += 1
                self.wins[n] += 1
                radius = options.inhibition_radius
                free[:, :, n] = False
                free[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = (
                    False
                )
                side = options.kernel_size
                here = arrived[:, y : y + side, x : x + side]
                change = rate * self.weights[n] * (1 - self.weights[n])
                self.weights[n] += np.where(here, change, -options.depression * change)
            if won == options.n_winners:
                break

    def see(self, spikes: np.ndarray) -> np.ndarray:
        """Return how often and how early each feature appears in each cell, ``[Q, N]``."""
        cell, steps, potentials, earliness = self.parameters.pool_size, len(spikes), 0.0, None
        fired: set[tuple[int, int]] = set()
        for t, now in enumerate(spikes.astype(bool)):
            potentials = potentials + self._potentials(now)
            rows, columns, features = potentials.shape
            self._note(potentials)
            if earliness is None:
                earliness = np.zeros((-(-rows // cell), -(-columns // cell), features), int)
            above = (potentials > self.parameters.threshold).any(2)
            for y, x in set(zip(*np.nonzero(above), strict=True)) - fired:
                self._note(potentials[y, x])
                earliness[y // cell, x // cell, potentials[y, x].argmax()] += steps - t
                fired.add((y, x))
        assert earliness is not None
        return earliness.reshape(-1, earliness.shape[2])

    def _note(self, values: np.ndarray) -> None:
        finite = values[np.isfinite(values)]
        if len(finite):
            self.closest = min(self.closest, np.abs(finite - self.parameters.threshold).min())
        if len(finite) > 1:
            first, second = np.sort(finite)[[-1, -2]]
            if first > self.parameters.threshold and first > 0:
                self.closest = min(self.closest, first - second)
