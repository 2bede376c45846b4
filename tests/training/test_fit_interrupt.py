"""Ctrl-C: a clean end, saved and resumable. The real signal is sent in test_fit_resume.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import RANDOM, new_model, on_batch, run, same, weights


class Interrupting:
    """An encoder during whose ``at``-th call Ctrl-C is pressed."""

    num_steps = RANDOM.num_steps

    def __init__(self, at=None):
        self.at = at
        self.calls = 0

    def __call__(self, images, *, generator=None):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return RANDOM(images, generator=generator)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    model = new_model()
    return model, run(tmp_path_factory.mktemp("run"), model, encoder=Interrupting())


# Five training batches and two of validation in each epoch.
@pytest.mark.parametrize(("call", "finished"), [(1, 0), (4, 0), (6, 0), (9, 1), (14, 1), (28, 3)])
def test_ctrl_c_in_the_encoder(tmp_path, undisturbed, call, finished):
    model = new_model()
    history = run(tmp_path, model, encoder=Interrupting(at=call))
    assert history.interrupted
    assert not history.stopped_early
    assert len(history) == len(history.seconds) == finished
    kept = load_checkpoint(tmp_path / "checkpoint.pt").history
    assert kept.to_csv() == history.to_csv()
    assert not kept.interrupted
    resumed = new_model()
    history = run(tmp_path, resumed, encoder=Interrupting(), resume=True)
    assert not history.interrupted
    assert same(weights(resumed), weights(undisturbed[0]))
    assert history.to_csv() == undisturbed[1].to_csv()


def test_ctrl_c_leaves_the_weights_of_the_best_epoch(tmp_path):
    model = new_model()
    history = run(tmp_path, model, encoder=Interrupting(at=18))
    assert history.best_epoch == 2
    assert same(weights(model), load_checkpoint(tmp_path / "checkpoint.pt").best)


def test_ctrl_c_in_a_callback(tmp_path):
    def press(history, model):
        raise KeyboardInterrupt

    history = run(tmp_path, new_model(), callbacks=[press])
    assert history.interrupted
    assert len(history) == len(load_checkpoint(tmp_path / "checkpoint.pt").history) == 1


def test_ctrl_c_during_a_write_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    write_bytes, calls = Path.write_bytes, []

    def press(self, content):
        calls.append(self)
        if len(calls) == 3:
            write_bytes(self, content[: len(content) // 2])
            raise KeyboardInterrupt
        return write_bytes(self, content)

    monkeypatch.setattr(Path, "write_bytes", press)
    undisturbed, model = new_model(), new_model()
    assert run(tmp_path, new_model()).interrupted
    monkeypatch.undo()
    assert len(load_checkpoint(tmp_path / "checkpoint.pt").history) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint.pt", "metrics.csv"]
    history = run(tmp_path, model, resume=True)
    whole = run(tmp_path / "undisturbed", undisturbed)
    assert same(weights(model), weights(undisturbed))
    assert history.to_csv() == whole.to_csv()


def test_ctrl_c_without_a_checkpoint_still_ends_cleanly(tmp_path):
    history = run(tmp_path, new_model(), encoder=Interrupting(at=9), checkpoint=None, callbacks=())
    assert history.interrupted
    assert list(tmp_path.iterdir()) == []


def test_another_error_is_not_swallowed(tmp_path):
    def fail():
        raise ConnectionError("the network file system is gone")

    on_batch.append(fail)
    try:
        with pytest.raises(ConnectionError, match="network file system"):
            run(tmp_path, new_model())
    finally:
        on_batch.clear()
    assert len(load_checkpoint(tmp_path / "checkpoint.pt").history) == 0
