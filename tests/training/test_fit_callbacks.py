"""What happens after each epoch, and the bar that shows the way there."""

from __future__ import annotations

import io
import sys

import pytest

from spikemnist.encoding import DirectEncoder
from spikemnist.training import History, csv_logger, tensorboard
from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import digits, fit_with, new_classifier, run, same, weights

DIRECT = DirectEncoder(num_steps=3)


def test_callbacks_are_called_in_order_after_the_checkpoint(tmp_path):
    file, calls = tmp_path / "checkpoint.pt", []

    def first(history, classifier):
        checkpoint = load_checkpoint(file)
        assert checkpoint.history.to_csv() == history.to_csv()
        assert same(checkpoint.model, weights(classifier))
        calls.append(("first", len(history)))

    def second(history, classifier):
        assert isinstance(history, History)
        calls.append(("second", len(history)))

    settings = {"checkpoint": file, "callbacks": (first, second), "epochs": 3}
    fit_with(new_classifier(DIRECT), digits(40), **settings)
    assert calls == [(name, epoch) for epoch in (1, 2, 3) for name in ("first", "second")]
    # A resumed run makes up for the callbacks that a kill may have come before.
    calls.clear()
    fit_with(new_classifier(DIRECT), digits(40), resume=True, **settings)
    assert calls == [("first", 3), ("second", 3)]


def end_after(epochs):
    return lambda history, classifier: len(history) == epochs


def test_a_callback_ends_the_run(tmp_path):
    """After the other callbacks of its epoch, and again where it is resumed."""
    undisturbed, seen = run(tmp_path / "whole", new_classifier()), []
    note = lambda history, classifier: seen.append(len(history))  # noqa: E731
    classifier = new_classifier()
    history = run(tmp_path, classifier, callbacks=[end_after(2), note])
    assert history.stopped_early
    assert not history.interrupted
    assert seen == [1, 2]
    assert history.to_csv().splitlines() == undisturbed.to_csv().splitlines()[:3]
    again = new_classifier()
    history = run(tmp_path, again, callbacks=[end_after(2), note], resume=True)
    assert history.stopped_early
    assert seen == [1, 2, 2]
    assert same(weights(again), weights(classifier))
    # Another callback lets it go on, and ends it in its turn.
    history = run(tmp_path, new_classifier(), callbacks=[end_after(3)], resume=True)
    assert history.stopped_early
    assert history.to_csv().splitlines() == undisturbed.to_csv().splitlines()[:4]
    history = run(tmp_path, new_classifier(), callbacks=[lambda *_: 1], resume=True)
    assert not history.stopped_early  # 1 is not True
    assert history.to_csv() == undisturbed.to_csv()


def test_a_table_open_in_another_program_is_written_later(tmp_path, monkeypatch):
    """As by a spreadsheet on Windows: the training goes on."""
    file, save_csv, refused = tmp_path / "metrics.csv", History.save_csv, []

    def held(self, path):
        if len(refused) < 2:
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        save_csv(self, path)

    monkeypatch.setattr(History, "save_csv", held)
    with pytest.warns(UserWarning, match=r"metrics.csv was not written .*close it") as caught:
        history = run(tmp_path, new_classifier(), callbacks=[csv_logger(file)])
    assert len(caught) == 2
    assert len(history) == 4
    assert file.read_text(encoding="utf-8") == history.to_csv()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_tensorboard_shows_the_metrics(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "events"
    settings = {"epochs": 2, "validation": None}
    history = run(tmp_path, new_classifier(), callbacks=[tensorboard(folder)], **settings)
    events = EventAccumulator(str(folder)).Reload()
    names = {"loss", "accuracy", "lr", "spikes_per_sample"}  # what was measured
    assert set(events.Tags()["scalars"]) == names
    for name in names:
        scalars = events.Scalars(name)
        assert [scalar.step for scalar in scalars] == [1, 2]
        # Event files hold float32.
        assert [s.value for s in scalars] == pytest.approx(history.column(name), rel=1e-6)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit_output(monkeypatch, stream, train=None, **settings):
    monkeypatch.setenv("COLUMNS", "200")  # a narrow bar is cut where the batches are quick
    monkeypatch.setattr(sys, "stderr", stream)
    data = digits(60) if train is None else train
    settings = {"epochs": 2, "batch_size": 20, **settings}
    history = fit_with(new_classifier(DIRECT), data, **settings)
    return stream.getvalue(), history


def test_the_bar_shows_epoch_loss_and_accuracy_on_a_terminal(monkeypatch):
    text, history = fit_output(monkeypatch, Terminal())
    assert "epoch 2/2" in text
    assert "6/6" in text
    last = history.epochs[-1]
    assert f"loss {last.loss:.4f}, accuracy {last.accuracy:.4f}" in text
    assert text.endswith("\n")


def test_the_bar_is_silent_elsewhere(monkeypatch, capsys):
    assert fit_output(monkeypatch, io.StringIO())[0] == ""
    assert fit_output(monkeypatch, Terminal(), progress=False)[0] == ""
    assert capsys.readouterr().out == ""


def test_the_bar_of_data_of_unknown_length(monkeypatch):
    class Batches:
        def __iter__(self):
            return digits(60).batches(20)

    text, _ = fit_output(monkeypatch, Terminal(), Batches())
    assert "6batch" in text
    assert "6/6" not in text


def test_the_bar_of_a_resumed_run(monkeypatch, tmp_path):
    settings = {"checkpoint": tmp_path / "checkpoint.pt"}
    fit_output(monkeypatch, Terminal(), **settings)
    text, _ = fit_output(monkeypatch, Terminal(), resume=True, **settings)
    assert "6/6" in text
    assert "0/6" not in text
