"""Ctrl-C that acts at once: a clean end, saved and resumable."""

from __future__ import annotations

import pytest

from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import RANDOM, new_classifier, on_batch, run, same, weights


class Interrupting:
    """An encoder that is interrupted in its call number ``at``."""

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
    classifier = new_classifier(Interrupting())
    return classifier, run(tmp_path_factory.mktemp("run"), classifier)


# Five training batches and two of validation in each epoch.
@pytest.mark.parametrize(("call", "finished"), [(1, 0), (6, 0), (18, 2)])
def test_a_run_is_resumed_to_the_same_bits(tmp_path, undisturbed, call, finished):
    classifier = new_classifier(Interrupting(at=call))
    history = run(tmp_path, classifier)
    assert history.interrupted
    assert not history.stopped_early
    assert len(history) == len(history.seconds) == finished
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    assert saved.history.to_csv() == history.to_csv()
    assert not saved.history.interrupted
    if finished:
        assert history.best_epoch == finished
        assert same(weights(classifier), saved.best)
    resumed = new_classifier(Interrupting())
    history = run(tmp_path, resumed, resume=True)
    assert not history.interrupted
    assert same(weights(resumed), weights(undisturbed[0]))
    assert history.to_csv() == undisturbed[1].to_csv()


def test_a_run_without_a_folder(tmp_path):
    history = run(tmp_path, new_classifier(Interrupting(at=9)), run=None)
    assert history.interrupted
    assert list(tmp_path.iterdir()) == []


def test_a_lost_connection_is_raised_and_leaves_a_run_to_resume(tmp_path):
    def fail():
        raise ConnectionError("the network file system is gone")

    on_batch.append(fail)
    try:
        with pytest.raises(ConnectionError, match="network file system"):
            run(tmp_path, new_classifier())
    finally:
        on_batch.clear()
    assert len(load_checkpoint(tmp_path / "checkpoint.pt").history) == 0
