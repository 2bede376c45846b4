"""What happens after each epoch, and the bar that shows the way there."""

from __future__ import annotations

import functools
import io
import re
import sys

import pytest
import torch

from spikemnist._progress import progress_bar
from spikemnist.training import History
from spikemnist.training.checkpoint import load_checkpoint
from tests.training.small_runs import DIRECT, digits, fit_with, new_classifier, run, same, weights


def test_callbacks_are_called_in_order_after_the_files(tmp_path):
    calls = []

    def first(history, classifier):
        assert (tmp_path / "metrics.csv").read_text(encoding="utf-8") == history.to_csv()
        checkpoint = load_checkpoint(tmp_path / "checkpoint.pt")
        assert checkpoint["history"].to_csv() == history.to_csv()
        assert same(checkpoint["model"], weights(classifier))
        calls.append(("first", len(history)))

    def second(history, classifier):
        assert isinstance(history, History)
        calls.append(("second", len(history)))

    settings = {"run": tmp_path, "callbacks": (first, second), "epochs": 3}
    fit_with(new_classifier(DIRECT), digits(40), **settings)
    assert calls == [(name, epoch) for epoch in (1, 2, 3) for name in ("first", "second")]
    # A resumed run makes up for the callbacks that a kill may have come before.
    calls.clear()
    fit_with(new_classifier(DIRECT), digits(40), resume=True, **settings)
    assert calls == [("first", 3), ("second", 3)]


def end_after(epochs, true=True):
    return lambda history, classifier: true if len(history) == epochs else None


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
    true = torch.tensor(True)
    history = run(tmp_path, new_classifier(), callbacks=[end_after(3, true)], resume=True)
    assert history.stopped_early
    assert history.to_csv().splitlines() == undisturbed.to_csv().splitlines()[:4]
    history = run(tmp_path, new_classifier(), callbacks=[lambda *_: 1], resume=True)
    assert not history.stopped_early  # 1 is not True
    assert history.to_csv() == undisturbed.to_csv()


def test_a_callback_that_raises_stop_iteration(tmp_path):
    def stop(history, classifier):
        raise StopIteration

    with pytest.raises(RuntimeError, match="a callback ends the run by `return True`"):
        run(tmp_path, new_classifier(), callbacks=[stop])


def test_a_table_open_in_another_program_is_written_later(tmp_path, monkeypatch):
    """As by a spreadsheet on Windows: the training goes on."""
    save_csv, refused = History.save_csv, []

    def held(self, path):
        if len(refused) < 2:
            refused.append(path)
            raise PermissionError(13, "Permission denied", str(path))
        save_csv(self, path)

    monkeypatch.setattr(History, "save_csv", held)
    with pytest.warns(UserWarning, match=r"metrics.csv was not written .*close it") as caught:
        history = run(tmp_path, new_classifier())
    assert sum("metrics.csv" in str(warning.message) for warning in caught) == 2
    assert len(history) == 4
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8") == history.to_csv()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def fit_output(monkeypatch, stream, train=None, **settings):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", stream)
    data = digits(60) if train is None else train
    settings = {"epochs": 2, "batch_size": 20, **settings}
    history = fit_with(new_classifier(DIRECT), data, **settings)
    return stream.getvalue(), history


def lines(history, first=1):
    """The line of each epoch."""
    return "".join(
        f"epoch {row.epoch}/2  loss {row.loss:.4f}  accuracy {row.accuracy:7.2%}  "
        f"spikes {row.spikes_per_sample:,.0f}  {seconds:.1f} s\n"
        for row, seconds in zip(history.epochs, history.seconds, strict=True)
        if row.epoch >= first
    )


def visible(text):
    """What stays on a terminal: a bar begins with a return of the cursor."""
    return "\n".join(line.rsplit("\r", 1)[-1] for line in text.split("\n"))


def test_on_a_terminal_the_epochs_are_above_a_bar(monkeypatch):
    """A bar for each epoch, which fits the terminal and leaves nothing."""
    every_batch = functools.partial(progress_bar, mininterval=0.0)
    monkeypatch.setattr("spikemnist.training.loop.progress_bar", every_batch)
    text, history = fit_output(monkeypatch, Terminal())
    assert visible(text) == lines(history)
    bars = [part.strip() for part in re.split(r"[\r\n]", text) if "|" in part]
    assert [bar for bar in bars if re.match(r"epoch 2/2: +\d+%\|.*\| \d/3, .* left", bar)]
    assert max(map(len, bars)) <= 80


def test_elsewhere_there_are_lines_alone_or_nothing(monkeypatch, capsys):
    text, history = fit_output(monkeypatch, io.StringIO())
    assert text == lines(history)
    assert fit_output(monkeypatch, Terminal(), progress=False)[0] == ""
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    fit_with(new_classifier(DIRECT), digits(40), epochs=1)
    assert capsys.readouterr().out == ""


def test_bar_of_data_of_unknown_length(monkeypatch):
    class Batches:
        def __iter__(self):
            return digits(60).batches(20)

    text, history = fit_output(monkeypatch, Terminal(), Batches())
    assert visible(text) == lines(history)
    assert re.search(r"epoch 1/2:   0%\| *\| 0/\?, ", text)


def test_a_resumed_run_shows_the_epochs_that_are_left(monkeypatch, tmp_path):
    settings = {"schedule": "constant", "run": tmp_path}
    fit_output(monkeypatch, Terminal(), epochs=1, **settings)
    text, history = fit_output(monkeypatch, Terminal(), resume=True, **settings)
    assert visible(text) == lines(history, first=2)
    assert "epoch 1" not in text
    text, _ = fit_output(monkeypatch, Terminal(), resume=True, **settings)
    assert visible(text) == ""
