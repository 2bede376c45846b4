"""A run that was killed and resumed ends with the bits of one that was not."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import warnings
from functools import partial

import pytest
import snntorch
import torch
from snntorch import surrogate
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spikemnist.data import ImageDataset
from spikemnist.encoding import RateEncoder
from spikemnist.models import Classifier, accelerate
from spikemnist.training import fit
from spikemnist.training.checkpoint import load_checkpoint
from tests.training import stoppable_run
from tests.training.small_runs import (
    BATCHES,
    PROCESSES,
    RANDOM,
    digits,
    fit_with,
    new_classifier,
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
    classifier = new_classifier(dropout=0.1)
    history = run(folder, classifier)
    return folder, classifier, history


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Folders of runs that were killed, by when; they start together to save time."""
    root = tmp_path_factory.mktemp("killed")
    moments = {**KILLS, "first checkpoint": ("write", 1)}
    processes = {name: start(root / name, *moment) for name, moment in moments.items()}
    for name, (process, pipe) in processes.items():
        assert pipe.poll(120), "the run hangs"
        assert pipe.recv() == "here"
        if sys.platform != "win32":  # the lock is free again once the process is killed
            with pytest.raises(FileExistsError, match="another process is training in"):
                run(root / name, new_classifier(dropout=0.1), resume=True)
        kill(process)
    return {name: root / name for name in moments}


def expect_same_run(folder, classifier, history, undisturbed):
    reference, other, wanted = undisturbed
    assert same(weights(classifier), weights(other))
    assert history.to_csv() == wanted.to_csv()
    assert history.best_epoch == wanted.best_epoch
    assert not history.interrupted
    assert not [*folder.glob(".spikemnist-*")]
    for name in ("config.json", "metrics.csv", "model.safetensors"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    a, b = (load_checkpoint(f / "checkpoint.pt") for f in (folder, reference))
    assert same(a.model, b.model)
    assert same(a.optimizer, b.optimizer)
    assert same(a.best, b.best)
    assert same(a.average, b.average)
    assert a.averaged_steps == b.averaged_steps


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_run_resumes_to_the_same_bits(moment, killed, undisturbed):
    folder = killed[moment]
    # The weights that the resumed network starts with do not matter: they come from the file.
    classifier = new_classifier(seed=123, dropout=0.1)
    history = run(folder, classifier, resume=True)
    expect_same_run(folder, classifier, history, undisturbed)


def test_a_run_killed_before_its_first_checkpoint_starts_anew(killed, undisturbed, capsys):
    folder = killed["first checkpoint"]
    assert not (folder / "checkpoint.pt").exists()
    classifier = new_classifier(dropout=0.1)
    history = run(folder, classifier, resume=True)
    line = f"spikemnist: no checkpoint.pt in {folder}: starting at the first epoch"
    assert line in capsys.readouterr().err.splitlines()
    expect_same_run(folder, classifier, history, undisturbed)


@pytest.mark.skipif(
    sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process without its console"
)
def test_a_real_interrupt_resumes_to_the_same_bits(tmp_path, undisturbed):
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
    classifier = new_classifier(dropout=0.1)
    history = run(tmp_path, classifier, resume=True)
    expect_same_run(tmp_path, classifier, history, undisturbed)


def test_stopping_at_every_epoch_in_turn_changes_nothing(tmp_path, undisturbed):
    for epoch in range(1, 4):

        def stop(history, classifier, epoch=epoch):
            if len(history) == epoch:
                raise ConnectionError

        with pytest.raises(ConnectionError):
            run(tmp_path, new_classifier(dropout=0.1), callbacks=[stop], resume=epoch > 1)
        assert len(load_checkpoint(tmp_path / "checkpoint.pt").history) == epoch
    classifier = new_classifier(dropout=0.1)
    history = run(tmp_path, classifier, resume=True)
    expect_same_run(tmp_path, classifier, history, undisturbed)
    assert len(history.seconds) == 4


def test_resuming_a_finished_run_changes_nothing(tmp_path, undisturbed):
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    classifier = new_classifier(seed=5, dropout=0.1)
    history = run(tmp_path, classifier, resume=True)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    expect_same_run(tmp_path, classifier, history, undisturbed)


def test_more_epochs_at_a_constant_rate(tmp_path):
    longer, classifier = new_classifier(dropout=0.1), new_classifier(dropout=0.1)
    constant = {"schedule": "constant"}
    wanted = run(tmp_path / "longer", longer, epochs=4, **constant)
    run(tmp_path / "more", classifier, epochs=2, **constant)
    history = run(tmp_path / "more", classifier, epochs=4, resume=True, **constant)
    expect_same_run(tmp_path / "more", classifier, history, (tmp_path / "longer", longer, wanted))
    run(tmp_path / "cycle", classifier, epochs=2, schedule="one_cycle")
    with pytest.raises(ValueError, match=r"another configuration: epochs was 2, is 4\. Resume"):
        run(tmp_path / "cycle", classifier, epochs=4, schedule="one_cycle", resume=True)


def test_an_existing_run_is_never_overwritten(tmp_path, undisturbed):
    shutil.copytree(undisturbed[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    classifier = new_classifier()
    untouched = weights(classifier)
    with pytest.raises(FileExistsError, match=r"holds a run already: pass resume=True"):
        run(tmp_path, classifier)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert same(weights(classifier), untouched)


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume=True needs run=, the folder of the run"):
        fit(new_classifier(), digits(), resume=True)
    with pytest.raises(ValueError, match="resume must be True, False or 'auto'; got 'yes'"):
        fit(new_classifier(), digits(), resume="yes")


def test_auto_begins_a_run_and_resumes_it(tmp_path):
    """The second call has more epochs, as the learning rate is constant."""
    for epochs in (1, 2):
        classifier = new_classifier()
        history = run(tmp_path / "a", classifier, epochs=epochs, resume="auto", schedule="constant")
        assert len(history) == epochs
    other = new_classifier()
    run(tmp_path / "b", other, epochs=2, schedule="constant")
    assert same(weights(classifier), weights(other))


def brighter(data):
    images = data.images.clone()
    images[0, 0, 0] += 1
    return ImageDataset(images, data.labels, data.classes)


OTHER = {
    "several": ({"epochs": 5, "seed": 8}, r"epochs was 4, is 5; seed was 7, is 8"),
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
        run(folder, new_classifier(dropout=0.1), resume=True, **changes)
    assert (folder / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": RateEncoder(num_steps=6)},
            r"encoder was 'RateEncoder\(num_steps=5.*is 'RateEncoder\(num_steps=6",
        ),
        ({"hidden": (17,)}, r"hidden was \[16\], is \[17\]"),
        ({"spike_grad": "sigmoid"}, r"spike_grad was 'ATan\(alpha=2.0\)', is 'Sigmoid"),
        ({"learn_beta": True}, r"learn_beta was False, is True"),
    ],
)
def test_resuming_another_classifier_is_refused(undisturbed, options, message):
    classifier = new_classifier(**{"dropout": 0.1, **options})
    untouched = weights(classifier)
    with pytest.raises(ValueError, match="with another configuration: .*" + message):
        run(undisturbed[0], classifier, resume=True)
    assert same(weights(classifier), untouched)


def of_snntorch(hidden=None, **options):
    """A network of snnTorch's modules, whose hidden neurons have their own options."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # inhibition is unstable; snnTorch steps it
        torch.manual_seed(0)
        first = snntorch.Leaky(**{"beta": 0.9, "threshold": 0.3, **options})
        modules = nn.Linear(784, 16), hidden or first, nn.Linear(16, 10), snntorch.Leaky(beta=0.9)
        return Classifier(accelerate(nn.Sequential(nn.Flatten(), *modules)), RANDOM)


@pytest.mark.usefixtures("neurons")
@pytest.mark.filterwarnings("ignore:.* will hold no model")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reset_mechanism": "zero"}, "_reset_mechanism=subtract.*_reset_mechanism=zero"),
        ({"spike_grad": surrogate.fast_sigmoid()}, r"spike_grad=ATan\(alpha=2.0\).*FastSigmoid"),
        ({"inhibition": True}, "inhibition=False.*inhibition=True"),
        ({"beta": 0.8}, "beta=0.8999.*beta=0.800"),
        ({"threshold": 0.5}, "threshold=0.3.*threshold=0.5"),
        ({"beta": torch.full((16,), 0.8)}, "beta=0.8999.*beta=[0-9a-f]{16}"),
        ({"reset_delay": False}, "reset_delay=True.*reset_delay=False"),
        ({"learn_beta": True}, "beta=0.8999.*"),
        ({"hidden": snntorch.Lapicque(beta=0.9)}, "is 'Lapicque"),
    ],
)
def test_resuming_other_neurons_is_refused(tmp_path, options, message):
    settings = {"epochs": 1, "schedule": "constant", "run": tmp_path}
    fit_with(of_snntorch(), digits(50), **settings)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    settings["epochs"] = 2
    with pytest.raises(ValueError, match=rf"configuration: network\.network\.2 was '.*{message}"):
        fit_with(of_snntorch(**options), digits(50), resume=True, **settings)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


@pytest.mark.usefixtures("neurons")
@pytest.mark.filterwarnings("ignore:.* will hold no model")
def test_learned_betas_do_not_describe_a_run(tmp_path):
    settings = {"epochs": 1, "run": tmp_path}
    classifier = of_snntorch(learn_beta=True)
    fit_with(classifier, digits(50), **settings)
    assert float(classifier.network.network[2].beta.detach()) != pytest.approx(0.9, abs=1e-6)
    fit_with(classifier, digits(50), resume=True, **settings)
    fit_with(of_snntorch(learn_beta=True, beta=0.5), digits(50), resume=True, **settings)


def test_resuming_on_other_data_is_refused(tmp_path):
    settings = {"epochs": 1, "run": tmp_path}
    fit_with(new_classifier(), digits(50), **settings)
    for other in (brighter(digits(50)), digits(60)[10:], digits(40)):
        with pytest.raises(ValueError, match=r"train was '\(50, 28, 28\) torch.uint8 sha256"):
            fit_with(new_classifier(), other, resume=True, **settings)
    fit_with(new_classifier(), (digits(50).images, digits(50).labels), resume=True, **settings)


def test_a_data_loader_that_shuffles_resumes_to_the_same_bits(tmp_path):
    data = digits(100)
    loader = DataLoader(TensorDataset(data.images, data.labels), batch_size=20, shuffle=True)
    settings = {"epochs": 3, "validation": data[:20]}

    def stop(history, classifier):
        raise ConnectionError

    undisturbed, stopped, resumed = (new_classifier(dropout=0.2) for _ in range(3))
    reference = fit_with(undisturbed, loader, **settings)
    settings["run"] = tmp_path
    with pytest.raises(ConnectionError):
        fit_with(stopped, loader, callbacks=[stop], **settings)
    history = fit_with(resumed, loader, resume=True, **settings)
    assert same(weights(resumed), weights(undisturbed))
    assert history.to_csv() == reference.to_csv()
    with pytest.raises(ValueError, match=r"train was 'torch.*DataLoader', is '\(100, 28, 28\) "):
        fit_with(resumed, data, resume=True, **settings)


def test_a_network_that_learned_its_neurons_resumes(tmp_path):
    """Resumed with the very network that was trained so far, as after Ctrl-C in a notebook."""
    options = {"learn_beta": True, "learn_threshold": True, "dropout": 0.1}
    undisturbed, classifier = new_classifier(**options), new_classifier(**options)
    run(tmp_path / "a", undisturbed, epochs=2)

    def interrupt(history, classifier):
        if len(history) == 1:
            raise KeyboardInterrupt

    assert run(tmp_path / "b", classifier, epochs=2, callbacks=[interrupt]).interrupted
    assert not same(classifier.network.layers[0].leaky.beta, torch.tensor(0.9))
    run(tmp_path / "b", classifier, epochs=2, resume=True)
    assert same(weights(classifier), weights(undisturbed))


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

    for resume in (False, True):
        classifier = new_classifier(spike_grad=surrogate())
        with pytest.warns(UserWarning, match=r"will hold no model.safetensors: ") as caught:
            history = run(tmp_path, classifier, epochs=1, resume=resume)
        assert len(caught) == 1
        assert len(history) == 1
        names = {file.name for file in tmp_path.iterdir()}
        assert names == {"checkpoint.pt", "config.json", "metrics.csv"}


@pytest.mark.parametrize("optimizer", ["sgd", partial(torch.optim.RMSprop, momentum=0.5)])
def test_every_optimiser_resumes_to_the_same_bits(tmp_path, optimizer):
    undisturbed, resumed = new_classifier(), new_classifier()
    settings = {"optimizer": optimizer, "epochs": 2, "validation": None}
    run(tmp_path / "a", undisturbed, **settings)

    def interrupt(history, classifier):
        if len(history) == 1:
            raise KeyboardInterrupt

    run(tmp_path / "b", new_classifier(), callbacks=[interrupt], **settings)
    assert run(tmp_path / "b", resumed, resume=True, **settings).best_epoch is None
    assert same(weights(resumed), weights(undisturbed))
