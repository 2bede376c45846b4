"""Ctrl-C at random instants during training must always end the run, and print nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.attacks.attack import Attack
from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import LeakyConvNet, LeakyMLP
from spikemnist.plasticity import STDPClassifier
from spikemnist.training import fit

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

EPOCHS = 10**6
PATIENCE = 3.0
"""Seconds after an interrupt in which a run may finish its current work."""


class LostError(Exception):
    """A run continued after an interrupt."""


class Interrupt:
    """One SIGINT at a random instant, and a check that it takes effect."""

    def __init__(self, draw: random.Random) -> None:
        self.sent: float | None = None
        self.ignored: list[str] = []
        self._timer = threading.Timer(draw.uniform(0.01, 0.6), self._send)

    def _send(self) -> None:
        self.sent = time.monotonic()
        if sys.platform == "win32":
            signal.raise_signal(signal.SIGINT)
        else:
            os.kill(os.getpid(), signal.SIGINT)

    def check(self, *_: object) -> None:
        """Raise if a run continues long after the interrupt; a callback of `fit`."""
        if self.sent is not None and time.monotonic() - self.sent > PATIENCE:
            raise LostError

    def verdict(self, run: Callable[[], bool]) -> str | None:
        """Call ``run``, and return a failure unless it was interrupted and nothing swallowed.

        ``run`` returns whether it was interrupted.
        """
        before, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._timer.start()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                interrupted = run()
        except KeyboardInterrupt:
            interrupted = True  # before the first epoch there is no history to return
        except LostError:
            return f"the run went on for {PATIENCE:.0f} s after the interrupt; {self.ignored}"
        finally:
            self._timer.cancel()
            self._timer.join()
            sys.unraisablehook = before
        if not interrupted:
            return "the run ended as if it had not been interrupted"
        return f"swallowed: {self.ignored[0]}" if self.ignored else None

    def _unraisable(self, message: Any) -> None:
        self.ignored.append(f"{message.exc_type.__name__} in {message.object!r}")


def warm(folder: Path) -> dict[str, Any]:
    """Load the data, and compile the kernels of each kind of training."""
    del folder
    train, _ = load_digits()
    material = {"train": train[:120]}
    for name in ("mlp", "conv"):
        fit(_model(name), material["train"], **_options(1))
    _stdp(1).fit(train.images[:20], train.labels[:20], progress=False)
    return material


def _model(name: str) -> Any:
    torch.manual_seed(0)
    return LeakyMLP(hidden=(30,)) if name == "mlp" else LeakyConvNet("4C5-P4-10")


def _options(epochs: int) -> dict[str, Any]:
    encoder = LatencyEncoder(num_steps=5)
    return {"encoder": encoder, "epochs": epochs, "batch_size": 40, "progress": False}


def _stdp(passes: int) -> STDPClassifier:
    return STDPClassifier(20, passes=passes, duration=30.0, theta_plus=0.5)


def fit_case(name: str, material: dict[str, Any], draw: random.Random) -> str | None:
    """Interrupt the training of a network."""
    interrupt, model = Interrupt(draw), _model(name)

    def run() -> bool:
        options = {**_options(EPOCHS), "callbacks": [interrupt.check]}
        return bool(fit(model, material["train"], **options).interrupted)

    return interrupt.verdict(run)


def mlp_case(material: dict[str, Any], draw: random.Random, folder: Path) -> str | None:
    """Interrupt the training of a multilayer perceptron."""
    del folder
    return fit_case("mlp", material, draw)


def conv_case(material: dict[str, Any], draw: random.Random, folder: Path) -> str | None:
    """Interrupt the training of a convolutional network."""
    del folder
    return fit_case("conv", material, draw)


def stdp_case(material: dict[str, Any], draw: random.Random, folder: Path) -> str | None:
    """Interrupt STDP training; a lost interrupt makes it last some seconds longer."""
    del folder
    train, classifier, interrupt = material["train"], _stdp(200), Interrupt(draw)

    def run() -> bool:
        classifier.fit(train.images, train.labels, progress=False)
        return bool(classifier.interrupted_)

    return interrupt.verdict(run)


EXPECTATION = "Ctrl-C ends the training of {}, with `interrupted` set and nothing swallowed."

ATTACKS = (
    Attack(
        name="interrupt-mlp",
        expectation=EXPECTATION.format("an MLP"),
        prepare=warm,
        case=mlp_case,
    ),
    Attack(
        name="interrupt-conv",
        expectation=EXPECTATION.format("a convolutional network"),
        prepare=warm,
        case=conv_case,
    ),
    Attack(
        name="interrupt-stdp",
        expectation=EXPECTATION.format("STDP"),
        prepare=warm,
        case=stdp_case,
        limit=120.0,
    ),
)
