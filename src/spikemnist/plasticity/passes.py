"""All passes of a fit: their order, their checkpoints, their bar.

Shapes: ``B`` images, ``F`` pixels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spikemnist import _tensor_files
from spikemnist._progress import progress_bar
from spikemnist._settings import check_settings
from spikemnist.plasticity import files
from spikemnist.plasticity.assignment import Responses
from spikemnist.plasticity.homeostasis import THETA_PLUS
from spikemnist.plasticity.learning import BEFORE, NOW, learn_blocks, respond

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor
    from tqdm import tqdm

    from spikemnist._interrupt import Interruption
    from spikemnist.plasticity.learning import Progress
    from spikemnist.plasticity.network import Layer

    Array = NDArray[Any]

SAVED_EVERY = 10_000
"""Images between two checkpoints: whole blocks of them need not fit in."""


@dataclass
class Run:
    """What a fit does to a layer.

    Attributes
    ----------
    layer, progress
        What learns, and what is known of it.
    images, labels
        ``[B, F]``, and positions of classes ``[B]``.
    parameters
        Of the classifier, as plain values.
    seeds
        Of learning and of responding.
    """

    layer: Layer
    progress: Progress
    images: Tensor
    labels: Array
    parameters: Mapping[str, Any]
    seeds: tuple[int, int]

    @property
    def total(self) -> int:
        """Presentations of all passes, repeated ones not counted."""
        return int(self.parameters["passes"]) * len(self.images)

    def learn(self, file: Path | None, interruption: Interruption, *, progress: bool) -> None:
        """Do what is left of the passes, or as much as there is before an interruption."""
        with self._bar(self.total, progress=progress) as bar:
            bar.update(self.progress.seen)
            while self.progress.seen < self.total and not interruption.asked():
                self._pass(file, interruption, bar)
        if file:
            self.save(file)

    def _pass(self, file: Path | None, interruption: Interruption, bar: tqdm[Any]) -> None:
        """Do what is left of one pass."""
        number, begin = divmod(self.progress.seen, len(self.images))
        generator = np.random.default_rng([int(self.parameters["random_state"]), number])
        order = generator.permutation(len(self.images))[begin:]
        learned = learn_blocks(
            self.layer, self.progress, self.images, self.labels, order, self.seeds[0]
        )
        for block in learned:
            if self.progress.history:
                bar.set_postfix_str(f"accuracy {self.progress.history[-1][1]:.1%}", refresh=False)
            bar.update(block)
            if file and self.progress.seen % SAVED_EVERY < block:
                self.save(file)
            if interruption.asked():
                return

    def respond(self, interruption: Interruption, *, progress: bool) -> Responses | None:
        """Return the responses to all images, or None if that is interrupted."""
        responses, begin = Responses(*self.progress.now.spikes.shape), 0
        with self._bar(len(self.images), progress=progress) as bar:
            bar.set_description_str("assigning", refresh=False)
            for counts in respond(self.layer, self.images, self.seeds[1]):
                responses.add(counts, self.labels[begin : begin + len(counts)])
                begin += len(counts)
                bar.update(len(counts))
                if interruption.asked():
                    return None
        return responses

    def _bar(self, total: int, *, progress: bool) -> tqdm[Any]:
        return progress_bar(progress=progress, total=total, unit="image")

    def save(self, file: Path) -> None:
        """Write all that the rest of the run depends on."""
        arrays, numbers = self.progress.state()
        arrays |= {"weights": self.layer.weights, "theta": self.layer.theta}
        files.write(file, files.CHECKPOINT, arrays, {"run": self._description, "progress": numbers})

    def restore(self, file: Path) -> None:
        """Become what was saved; raise when that was another run."""
        tensors, metadata = _tensor_files.read(file, files.CHECKPOINT)
        with _tensor_files.described(file, files.CHECKPOINT):
            found, wanted = {**metadata["run"]}, self._description
            if found["theta_plus"] is None:  # version 0.1.0, whose step followed the neurons alone
                found["theta_plus"] = THETA_PLUS * found["n_neurons"]
        check_settings({name: found.get(name) for name in wanted}, wanted, file)
        with _tensor_files.described(file, files.CHECKPOINT):
            classes, neurons = self.progress.now.spikes.shape
            arrays = files.layer_arrays(tensors, neurons, classes, (BEFORE, NOW))
            if arrays["weights"].shape[1] != self.layer.features:
                raise ValueError(f"weights are of {arrays['weights'].shape[1]} pixels")
            self.progress.restore(arrays, metadata["progress"])
            self.layer.set(arrays["weights"], arrays["theta"])

    @functools.cached_property
    def _description(self) -> dict[str, Any]:
        return {**self.parameters, "data": files.fingerprint(self.images, self.labels)}
