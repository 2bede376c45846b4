"""A run that was killed and resumed ends with the bits of one that was not."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from functools import partial

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from spikemnist.data import ImageDataset
from spikemnist.encoding import RateEncoder
from spikemnist.models import LeakyMLP
from spikemnist.training import fit
from spikemnist.training.checkpoint import load_checkpoint
from tests.training import stoppable_run
from tests.training.small_runs import (
    BATCHES,
    PROCESSES,
    RANDOM,
    digits,
    new_model,
    run,
    same,
    watched,
    weights,
)

pytestmark = pytest.mark.slow

KILLS = {
    "first batch": ("batch", 1),
    "second epoch": ("batch", BATCHES + 3),
    "half a checkpoint": ("write", 3),
    "checkpoint not renamed": ("rename", 4),
    "before the last callback": ("callback", 4),
}


def start(folder, event, count):
    folder.mkdir(parents=True, exist_ok=True)
    pipe, theirs = PROCESSES.Pipe()
    moment = (folder, torch.get_num_threads(), event, count)
    process = PROCESSES.Process(target=stoppable_run.main, args=(*moment, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, pipe


def kill(process):
    process.kill()
    process.join()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    model = new_model(dropout=0.1)
    history = run(folder, model)
    return folder, model, history


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folders of runs that were killed, by when; they start together to save time."""
    root = tmp_path_factory.mktemp("killed")
    moments = {**KILLS, "first checkpoint": ("write", 1)}
    processes = {name: start(root / name, *moment) for name, moment in moments.items()}
    for process, pipe in processes.values():
        assert pipe.poll(120), "the run hangs"
        assert pipe.recv() == "here"
        kill(process)
    return {name: root / name for name in moments}


def expect_same_run(folder, model, history, undisturbed):
    reference, other, wanted = undisturbed
    assert same(weights(model), weights(other))
    assert history.to_csv() == wanted.to_csv()
    assert history.best_epoch == wanted.best_epoch
    assert not history.interrupted
    csv = (folder / "metrics.csv").read_bytes()
    assert csv == (reference / "metrics.csv").read_bytes()
    a, b = (load_checkpoint(f / "checkpoint.pt") for f in (folder, reference))
    assert same(a.model, b.model)
    assert same(a.optimizer, b.optimizer)
    assert same(a.best, b.best)
    assert same(a.average, b.average)
    assert a.averaged_steps == b.averaged_steps
    assert a.settings == b.settings


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_run_resumes_to_the_same_bits(moment, killed, undisturbed):
    folder = killed[moment]
    # The weights that the resumed model starts with do not matter: they come from the file.
    model = new_model(seed=123, dropout=0.1)
    history = run(folder, model, resume=True)
    expect_same_run(folder, model, history, undisturbed)


def test_a_run_killed_before_its_first_checkpoint_has_none_to_resume(killed, undisturbed):
    folder = killed["first checkpoint"]
    assert not (folder / "checkpoint.pt").exists()
    model = new_model(dropout=0.1)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint to resume from at .*ckpoint.pt"):
        run(folder, model, resume=True)
    # ... and what the kill left lying there does not keep it from starting again.
    expect_same_run(folder, model, run(folder, model), undisturbed)


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process without its console"
)
def test_a_real_interrupt_ends_cleanly_and_resumes_to_the_same_bits(tmp_path, undisturbed):
    process, pipe = start(tmp_path, "interrupt", 2 * BATCHES + 2)
    assert pipe.poll(120), "the run hangs"
    assert pipe.recv() == "here"
    # The batch never ends, so it takes a second Ctrl-C to stop it.
    os.kill(process.pid, signal.SIGINT)
    process.join(timeout=0.5)
    assert process.is_alive()
    os.kill(process.pid, signal.SIGINT)
    assert pipe.poll(60)
    assert pipe.recv() == {"interrupted": True, "epochs": 2}
    process.join(60)
    assert process.exitcode == 0
    model = new_model(dropout=0.1)
    history = run(tmp_path, model, resume=True)
    expect_same_run(tmp_path, model, history, undisturbed)


def test_stopping_at_every_epoch_in_turn_changes_nothing(tmp_path, undisturbed):
    for epoch in range(1, 4):

        def stop(history, model, epoch=epoch):
            if len(history) == epoch:
                raise ConnectionError

        with pytest.raises(ConnectionError):
            run(tmp_path, new_model(dropout=0.1), callbacks=[stop], resume=epoch > 1)
        assert len(load_checkpoint(tmp_path / "checkpoint.pt").history) == epoch
    model = new_model(dropout=0.1)
    history = run(tmp_path, model, resume=True)
    expect_same_run(tmp_path, model, history, undisturbed)
    assert len(history.seconds) == 4


def test_resuming_a_finished_run_changes_nothing(tmp_path, undisturbed):
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    model = new_model(seed=5, dropout=0.1)
    history = run(tmp_path, model, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    expect_same_run(tmp_path, model, history, undisturbed)


def test_an_existing_checkpoint_is_never_overwritten(tmp_path, undisturbed):
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    model = new_model()
    untouched = weights(model)
    with pytest.raises(FileExistsError, match=r"checkpoint.pt holds an earlier run.*resume=True"):
        run(tmp_path, model)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert same(weights(model), untouched)


def test_resume_needs_a_checkpoint_file():
    with pytest.raises(ValueError, match=r"resume=True needs the checkpoint= file"):
        fit(new_model(), digits(), encoder=RateEncoder(num_steps=5), resume=True)


def brighter(data):
    images = data.images.clone()
    images[0, 0, 0] += 1
    return ImageDataset(images, data.labels, data.classes)


OTHER = {
    "several": ({"epochs": 5, "seed": 8}, r"epochs was 4, is 5; seed was 7, is 8"),
    "encoder": (
        {"encoder": RateEncoder(num_steps=6)},
        r"encoder was 'RateEncoder\(num_steps=5.*is 'RateEncoder\(num_steps=6",
    ),
    "optimizer factory": (
        {"optimizer": torch.optim.RMSprop},
        r"optimizer was 'adam', is 'torch.optim.rmsprop.RMSprop'",
    ),
    "loss": ({"loss": lambda record, labels: watched(record, labels)}, r"loss was .*lambda"),
    "validation share": ({"validation": 0.25}, r"validation was 0.2, is 0.25"),
    "validation data": (
        {"validation": digits(20)},
        r"validation was 0.2, is '\(20, 28, 28\) torch.uint8 sha256:",
    ),
}


@pytest.mark.parametrize("what", OTHER)
def test_resuming_with_another_setting_names_it(what, undisturbed):
    changes, message = OTHER[what]
    folder = undisturbed[0]
    before = (folder / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError, match="cannot resume .* with another configuration: " + message):
        run(folder, new_model(dropout=0.1), resume=True, **changes)
    assert (folder / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": (17,)}, r"model.hidden was \[16\], is \[17\]"),
        ({"spike_grad": "sigmoid"}, r"model.spike_grad was 'ATan\(alpha=2.0\)', is 'Sigmoid"),
        ({"learn_beta": True}, r"model.learn_beta was False, is True"),
    ],
)
def test_resuming_another_model_is_refused(undisturbed, options, message):
    model = new_model(**{"dropout": 0.1, **options})
    untouched = weights(model)
    with pytest.raises(ValueError, match=message):
        run(undisturbed[0], model, resume=True)
    assert same(weights(model), untouched)


def test_the_dtype_of_spikes_is_no_setting(tmp_path):
    settings = {"epochs": 1, "checkpoint": tmp_path / "c.pt"}
    fit(new_model(), digits(40), encoder=RateEncoder(num_steps=3), **settings)
    encoder = RateEncoder(num_steps=3, dtype=torch.bool)
    assert len(fit(new_model(), digits(40), encoder=encoder, resume=True, **settings)) == 1


def test_resuming_on_other_data_is_refused(tmp_path):
    settings = {"encoder": RateEncoder(num_steps=3), "epochs": 1, "checkpoint": tmp_path / "c.pt"}
    fit(new_model(), digits(50), **settings)
    for other in (brighter(digits(50)), digits(60)[10:], digits(40)):
        with pytest.raises(ValueError, match=r"train was '\(50, 28, 28\) torch.uint8 sha256"):
            fit(new_model(), other, resume=True, **settings)
    fit(new_model(), (digits(50).images, digits(50).labels), resume=True, **settings)


def test_a_data_loader_that_shuffles_resumes_to_the_same_bits(tmp_path):
    data = digits(100)
    loader = DataLoader(TensorDataset(data.images, data.labels), batch_size=20, shuffle=True)
    settings = {"encoder": RateEncoder(num_steps=3), "epochs": 3, "validation": data[:20]}

    def stop(history, model):
        raise ConnectionError

    undisturbed, model = new_model(dropout=0.2), new_model(dropout=0.2)
    whole = fit(undisturbed, loader, **settings)
    settings["checkpoint"] = tmp_path / "checkpoint.pt"
    with pytest.raises(ConnectionError):
        fit(new_model(dropout=0.2), loader, callbacks=[stop], **settings)
    history = fit(model, loader, resume=True, **settings)
    assert same(weights(model), weights(undisturbed))
    assert history.to_csv() == whole.to_csv()
    with pytest.raises(ValueError, match=r"train was 'torch.*DataLoader', is '\(100, 28, 28\) "):
        fit(model, data, resume=True, **settings)


def test_a_model_that_learned_its_neurons_resumes(tmp_path):
    """Resumed with the very model that was trained so far, as after Ctrl-C in a notebook."""
    options = {"learn_beta": True, "learn_threshold": True, "dropout": 0.1}
    undisturbed, model = new_model(**options), new_model(**options)
    run(tmp_path / "a", undisturbed, epochs=2)

    def interrupt(history, model):
        if len(history) == 1:
            raise KeyboardInterrupt

    assert run(tmp_path / "b", model, epochs=2, callbacks=[interrupt]).interrupted
    assert not same(model.layers[0].leaky.beta, torch.tensor(0.9))
    run(tmp_path / "b", model, epochs=2, resume=True)
    assert same(weights(model), weights(undisturbed))


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_a_surrogate_of_the_users_own_resumes(tmp_path):
    """Two functions of the same name are the same, wherever they lie in memory."""

    def surrogate():
        return lambda x: Straight.apply(x)

    run(tmp_path, LeakyMLP(hidden=(8,), threshold=0.2, spike_grad=surrogate()), epochs=1)
    other = LeakyMLP(hidden=(8,), threshold=0.2, spike_grad=surrogate())
    assert len(run(tmp_path, other, epochs=1, resume=True)) == 1


def test_numbers_of_numpy_do_not_spoil_the_checkpoint(tmp_path):
    import numpy as np

    changes = {
        "lr": np.float64(5e-3),
        "clip_norm": np.float32(1.0),
        "seed": np.int64(7),
        "validation": np.float64(0.2),
        "schedule": lambda progress: np.cos(progress),
        "epochs": 1,
    }
    run(tmp_path / "numpy", new_model(), **changes)
    checkpoint = load_checkpoint(tmp_path / "numpy/checkpoint.pt")
    assert checkpoint.settings["lr"] == 5e-3
    assert checkpoint.settings["clip_norm"] == 1.0
    assert checkpoint.settings["seed"] == 7
    assert type(checkpoint.history.epochs[0].lr) is float


@pytest.mark.parametrize("optimizer", ["sgd", partial(torch.optim.RMSprop, momentum=0.5)])
def test_every_optimiser_resumes_to_the_same_bits(tmp_path, optimizer):
    undisturbed, model = new_model(), new_model()
    settings = {"optimizer": optimizer, "epochs": 2, "validation": None}
    run(tmp_path / "a", undisturbed, **settings)

    def interrupt(history, model):
        if len(history) == 1:
            raise KeyboardInterrupt

    run(tmp_path / "b", new_model(), callbacks=[interrupt], **settings)
    assert run(tmp_path / "b", model, resume=True, **settings).best_epoch is None
    assert same(weights(model), weights(undisturbed))


def test_a_call_that_fails_at_once_leaves_no_checkpoint(tmp_path):
    train, file = digits(64), tmp_path / "checkpoint.pt"
    few_classes = new_model(out_features=5)
    with pytest.raises(ValueError, match="labels must lie in"):
        fit(few_classes, train, encoder=RANDOM, epochs=1, checkpoint=file)
    assert list(tmp_path.iterdir()) == []
    fit(new_model(), train, encoder=RANDOM, epochs=1, checkpoint=file)
    with pytest.raises(ValueError, match="another configuration"):
        fit(new_model(), train, encoder=RANDOM, epochs=2, checkpoint=file, resume=True)
    assert file.exists()
