"""Ctrl-C at any instruction ends a run cleanly: where Python discards exceptions, too."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch

from spikemnist import _interrupt, cli
from spikemnist._interrupt import interruptible, repeated
from spikemnist.cli import info
from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder
from spikemnist.models import LeakyConvNet, LeakyMLP
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier, training_loop
from spikemnist.plasticity.competitive_layer import CompetitiveLayer
from spikemnist.training import evaluate, fit
from spikemnist.training.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SEED = 5
INTERRUPTS = 10
"""For each kind of training: a thousand take minutes."""

FOREVER = 10**6
"""Epochs, unless the interrupt is lost: see `deadline`."""

ENCODER = LatencyEncoder(num_steps=5)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


class Pressing:
    """Ctrl-C is pressed while such an object is destroyed."""

    def __del__(self) -> None:
        press()
        sum(range(1000))  # by now the handler has run


def press_unseen() -> None:
    """Press Ctrl-C where Python discards a KeyboardInterrupt."""
    Pressing()


def wait() -> None:
    """Wait in one system call, which Ctrl-C ends at once."""
    started = time.monotonic()
    try:
        time.sleep(30)
    finally:
        assert time.monotonic() - started < 20 or sys.platform == "win32"


@pytest.fixture(autouse=True)
def discarded() -> Iterator[list[Any]]:
    """Collect exceptions that Python discards; none is ever left, nor another handler."""
    found: list[Any] = []
    former, sys.unraisablehook = sys.unraisablehook, found.append
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    yield found
    sys.unraisablehook = former
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # Ctrl-C between the opening of a file and its `with` leaves it to the collector, which closes
    # it and warns; a program does not show that warning.
    assert [each for each in found if not issubclass(each.exc_type, ResourceWarning)] == []


def images(count: int) -> Any:
    return load_digits()[0][:count]


def of_kind(kind: str) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "mlp":
            return LeakyMLP(hidden=(30,), backend="event_driven")
        return LeakyConvNet("4C5-P4-10", backend="event_driven")


def train(model: torch.nn.Module, **options: Any) -> Any:
    settings = {"encoder": ENCODER, "epochs": 4, "batch_size": 40, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return fit(model, images(120), progress=False, **settings)


class PressingEncoder:
    """Presses Ctrl-C unseen at one of its calls."""

    num_steps = ENCODER.num_steps

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, images: torch.Tensor, *, generator: Any = None) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            press_unseen()
        return ENCODER(images, generator=generator)


@pytest.mark.parametrize(("call", "epochs"), [(1, 0), (2, 0), (3, 1), (4, 1)])
def test_training_ends_after_the_batch(tmp_path: Path, call: int, epochs: int) -> None:
    """The last batch of an epoch is part of a finished one."""
    file = tmp_path / "checkpoint.pt"
    history = train(of_kind("mlp"), encoder=PressingEncoder(call), checkpoint=file)
    assert history.interrupted
    assert len(history) == len(load_checkpoint(file).history) == epochs


def test_training_ends_during_validation() -> None:
    """Batches of 256 are validated."""
    encoder = PressingEncoder(4)
    assert train(of_kind("mlp"), encoder=encoder, validation=images(600)).interrupted
    assert encoder.left == 0


def test_an_interrupt_in_the_last_callback_is_told_although_all_is_done() -> None:
    history = train(of_kind("mlp"), epochs=1, callbacks=[lambda *_: press_unseen()])
    assert history.interrupted
    assert len(history) == 1


def test_evaluation_ends_after_the_batch() -> None:
    for call in (1, 2, 3):  # the third is the last one
        encoder = PressingEncoder(call)
        with pytest.raises(KeyboardInterrupt):
            evaluate(of_kind("mlp"), images(120), encoder=encoder, batch_size=40)
        assert encoder.left == 0


def stdp(passes: int) -> STDPClassifier:
    return STDPClassifier(20, passes=passes, duration=30.0, min_spikes=0, theta_plus=0.5)


def learn(classifier: STDPClassifier, **options: Any) -> STDPClassifier:
    data = images(130)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return classifier.fit(data.images, data.labels, progress=False, **options)


def pressing_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """Press Ctrl-C unseen at the first call of a method."""
    method = getattr(owner, name)

    def wrapped(*arguments: Any) -> Any:
        monkeypatch.setattr(owner, name, method)
        press_unseen()
        return method(*arguments)

    monkeypatch.setattr(owner, name, wrapped)


def test_stdp_ends_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    pressing_before(monkeypatch, CompetitiveLayer, "learn")
    stopped = learn(stdp(passes=2))
    assert stopped.interrupted_
    assert stopped.n_images_seen_ == training_loop.BLOCK


@pytest.mark.parametrize("method", ["_encode", "_batches"])
def test_convolutional_stdp_ends_after_the_block(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressing_before(monkeypatch, ConvSTDPClassifier, method)
    classifier, data = ConvSTDPClassifier(8, epochs=2), images(120)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(data.images, data.labels)


def until_stopped(run: Callable[[], bool], draw: random.Random, *, within: float) -> bool:
    """Press Ctrl-C at a random instant of a run; return what it says of having been stopped."""
    timer = threading.Timer(draw.uniform(0, within), press)
    try:
        timer.start()
        return run()
    except KeyboardInterrupt:  # before the run has taken over
        return True
    finally:
        timer.cancel()
        timer.join()


def deadline(seconds: float = 60.0) -> Callable[..., None]:
    """Return a callback of `fit` that fails when a run goes on for too long."""
    end = time.monotonic() + seconds

    def check(*_: object) -> None:
        assert time.monotonic() < end, "the interrupt was lost"

    return check


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_training_that_is_interrupted_at_random_instants_loses_nothing(
    kind: str, tmp_path: Path
) -> None:
    draw, file = random.Random(SEED), tmp_path / "checkpoint.pt"
    train(of_kind(kind), epochs=1)  # what is to be compiled is

    def run() -> bool:
        options = {"epochs": FOREVER, "callbacks": [deadline()]}
        history = train(of_kind(kind), checkpoint=file, resume=file.exists(), **options)
        return bool(history.interrupted)

    for _ in range(INTERRUPTS):
        assert until_stopped(run, draw, within=0.15)
    saved = load_checkpoint(file)
    undisturbed = of_kind(kind)
    train(undisturbed, epochs=max(len(saved.history), 1))
    expected = undisturbed.state_dict() if len(saved.history) else of_kind(kind).state_dict()
    assert list(saved.model) == list(expected)
    assert all(torch.equal(saved.model[name], value) for name, value in expected.items())


def test_stdp_that_is_interrupted_at_random_instants_loses_nothing(tmp_path: Path) -> None:
    draw, file = random.Random(SEED), tmp_path / "checkpoint.safetensors"
    learn(stdp(passes=1))
    seen = [0]
    for _ in range(INTERRUPTS):
        classifier = stdp(passes=1000)

        def run(classifier: STDPClassifier = classifier) -> bool:
            interrupted = learn(classifier, checkpoint=file, resume=file.exists()).interrupted_
            seen.append(STDPClassifier.load(file).n_images_seen_ if file.exists() else 0)
            return interrupted

        assert until_stopped(run, draw, within=0.3)
    assert seen == sorted(seen)
    assert seen[-1] > 0


def test_a_second_interrupt_is_not_put_off() -> None:
    with interruptible() as interruption:
        press()
        assert interruption.pressed
        with pytest.raises(KeyboardInterrupt):
            press()
    with pytest.raises(KeyboardInterrupt):
        interruption.check()


def test_in_a_step_that_takes_long_the_first_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_interrupt, "PATIENCE", 0.05)
    with interruptible() as interruption:
        time.sleep(0.1)
        assert not interruption.asked()
        press()
        assert interruption.pressed
    with interruptible() as interruption:
        time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            press()
        assert interruption.asked(), "what is raised may be discarded"


def test_a_handler_of_the_users_own_stays() -> None:
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        handler = signal.getsignal(signal.SIGINT)
        with interruptible() as interruption:
            assert signal.getsignal(signal.SIGINT) is handler
            press()
            assert not interruption.asked()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert pressed == [signal.SIGINT]


def test_in_another_thread_nothing_changes() -> None:
    found: list[Any] = []

    def look() -> None:
        with interruptible() as interruption:
            found.append((signal.getsignal(signal.SIGINT), interruption.asked()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [(signal.default_int_handler, False)]


def test_what_is_discarded_in_a_program_is_repeated() -> None:
    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt), repeated():  # noqa: PT012
        press_unseen()
        wait()
    with pytest.raises(KeyboardInterrupt), repeated():
        press_unseen()  # and the program ends before it is
    assert sys.unraisablehook is hook


def test_another_exception_that_is_discarded_is_still_shown(discarded: list[Any]) -> None:
    class Failing:
        def __del__(self) -> None:
            raise OSError("the disk is gone")

    with repeated():
        Failing()
    assert [shown.exc_type for shown in discarded] == [OSError]
    discarded.clear()


@pytest.mark.parametrize("press_it", [press, press_unseen])
def test_a_command_ends_with_130_and_one_line(
    press_it: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(command: object) -> int:
        press_it()
        wait()
        return 0

    monkeypatch.setattr(info, "run", run)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr() == ("", "spikemnist: interrupted\n")
