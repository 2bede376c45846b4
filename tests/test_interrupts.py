"""Ctrl-C is recorded and ends a loop between two batches, wherever Python is at that instant."""

from __future__ import annotations

import signal
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spikemnist import _interrupt
from spikemnist._interrupt import check_interrupt, interrupted, interruptible
from spikemnist.encoding import Encoder, LatencyEncoder
from spikemnist.training import History, evaluate
from spikemnist.training.checkpoint import load_checkpoint
from tests.rooms import of_rooms
from tests.training.small_runs import Watched, digits, fit_with, new_classifier

ENCODER = LatencyEncoder(num_steps=5)


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def press() -> None:
    signal.raise_signal(signal.SIGINT)


class Pressing:
    """Presses Ctrl-C while it is destroyed, where Python discards exceptions."""

    def __del__(self) -> None:
        press()


def pressing(at: int, calls: list[int]) -> Watched:
    """Return an encoder that presses Ctrl-C at a call, and counts its calls."""

    def look(_: object) -> None:
        calls.append(1)
        if len(calls) == at:
            Pressing()

    return Watched(look, ENCODER)


def train(encoder: Encoder = ENCODER, **options: Any) -> History:
    """Train for four epochs of three batches."""
    settings = {"epochs": 4, "batch_size": 40, "progress": False, **options}
    return fit_with(new_classifier(encoder), digits(120), **settings)


@pytest.mark.parametrize(
    ("call", "validated", "epochs"), [(1, 0, 0), (2, 0, 0), (3, 0, 1), (4, 0, 1), (4, 600, 0)]
)
def test_training_ends_after_the_batch(
    tmp_path: Path, call: int, validated: int, epochs: int
) -> None:
    """The last batch of an epoch completes it. Validation has batches of 256."""
    calls: list[int] = []
    validation = digits(validated) if validated else None
    history = train(pressing(call, calls), run=tmp_path, validation=validation)
    assert len(calls) == call
    assert history.interrupted
    assert len(history) == len(load_checkpoint(tmp_path / "checkpoint.pt")["history"]) == epochs


def test_ctrl_c_in_the_last_callback() -> None:
    history = train(epochs=1, callbacks=[lambda *_: press()])
    assert history.interrupted
    assert len(history) == 1


@pytest.mark.parametrize("measure", [evaluate, *of_rooms("OF_CLASSIFIERS")])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_evaluation_ends_after_the_batch(measure: Any, call: int) -> None:
    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        measure(new_classifier(pressing(call, calls)), digits(120), batch_size=40)
    assert len(calls) == call


def test_the_second_ctrl_c() -> None:
    with interruptible():
        press()
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            check_interrupt()


def test_ctrl_c_in_a_long_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """It acts at once, and is recorded all the same: the exception may be discarded."""
    monkeypatch.setattr(_interrupt, "DELAY", 0.05)
    with interruptible():
        assert not interrupted()
        time.sleep(0.1)
        with pytest.raises(KeyboardInterrupt):
            press()
        assert interrupted()


def test_nested_loops_share_one_record() -> None:
    with interruptible():
        with interruptible():
            press()
        assert interrupted()
    assert not interrupted()


def test_ctrl_c_between_two_loops() -> None:
    with interruptible():
        with interruptible():
            check_interrupt()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_ctrl_c_in_a_callback_of_the_compiler() -> None:
    def _raw_object_cache_notify() -> None:
        press()

    with interruptible():
        with interruptible():  # outside loops Ctrl-C acts at once
            pass
        _raw_object_cache_notify()
        with pytest.raises(KeyboardInterrupt):
            check_interrupt()


def test_files_of_weak_references_are_those_of_their_frames() -> None:
    """A frozen library has other paths in its modules than in its code."""
    frames = (weakref.WeakValueDictionary(), weakref.WeakSet())
    callbacks = {kind._remove.__code__.co_filename for kind in frames}
    assert callbacks == {*_interrupt.WEAK_REFERENCES}


def test_ctrl_c_while_a_weak_reference_is_removed() -> None:
    class Value:
        pass

    values, value = weakref.WeakValueDictionary[int, Value](), Value()
    values[1] = value
    with interruptible():
        with interruptible():  # outside loops Ctrl-C acts at once
            pass
        values._iterating.add(1)  # so that a removal waits in a list
        values._pending_removals = SimpleNamespace(append=lambda _: press())
        del value
        assert interrupted()


def test_a_handler_of_the_users_own() -> None:
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        with interruptible():
            press()
            assert not interrupted()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert pressed == [signal.SIGINT]


def test_loops_in_another_thread() -> None:
    def look() -> tuple[Any, bool]:
        with interruptible():
            return signal.getsignal(signal.SIGINT), interrupted()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result() == (signal.default_int_handler, False)
