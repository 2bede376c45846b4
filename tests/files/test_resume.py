"""A run that was stopped at any moment and resumed ends with the bits of one that was not."""

from __future__ import annotations

import itertools
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import snntorch
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from spikemnist import Classifier, accelerate
from spikemnist.data import ImageDataset
from spikemnist.encoding import RateEncoder
from spikemnist.training.checkpoint import load_checkpoint
from tests.rooms import of_rooms
from tests.training import small_runs, stoppable_run
from tests.training.small_runs import (
    BATCHES,
    PROCESSES,
    RANDOM,
    Wrapped,
    digits,
    interrupt_after,
    new_classifier,
    new_network,
    run,
    same,
    weights,
)

if TYPE_CHECKING:
    from spikemnist.training import History

    Undisturbed = tuple[Path, Classifier, History]

pytestmark = pytest.mark.slow

start = partial(run, schedule="constant")


def kill(event: str, count: int, folder: Path) -> None:
    """Kill a run in a process of its own; the folder is locked until then."""
    pipe, theirs = PROCESSES.Pipe()
    arguments = (folder, torch.get_num_threads(), event, count, theirs)
    process = PROCESSES.Process(target=stoppable_run.main, args=arguments, daemon=True)
    process.start()
    theirs.close()
    assert pipe.poll(120), "the run hangs"
    assert pipe.recv() == "here"
    with pytest.raises(FileExistsError, match="another process is training in"):
        start(folder, new_classifier(dropout=0.1), resume=True)
    process.kill()
    process.join()


def press_twice(folder: Path) -> None:
    """The second Ctrl-C ends a batch, as one that takes long."""
    batches = iter(range(2 * BATCHES + 2))

    def press() -> None:
        if next(batches) == 2 * BATCHES + 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_runs, "on_batch", [press])
        history = start(folder, new_classifier(dropout=0.1))
    assert history.interrupted
    assert len(history) == 2


def press_at_once(call: int, finished: int, folder: Path) -> None:
    """Ctrl-C in a call of the encoder: each epoch has five of training and two of validation."""
    calls, encode = itertools.count(1), RateEncoder.__call__

    def pressed(encoder: RateEncoder, *images: Any, **options: Any) -> torch.Tensor:
        if next(calls) == call:
            raise KeyboardInterrupt
        return encode(encoder, *images, **options)

    classifier = new_classifier(dropout=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RateEncoder, "__call__", pressed)
        history = start(folder, classifier)
    saved = load_checkpoint(folder / "checkpoint.pt")
    assert (history.interrupted, history.stopped_early) == (True, False)
    assert not saved["history"].interrupted
    assert saved["history"].to_csv() == history.to_csv()
    assert history.best_epoch == saved["history"].best_epoch
    assert len(history) == len(history.seconds) == finished
    assert not finished or same(weights(classifier), saved["best"])


def lose_connection(folder: Path) -> None:
    def fail() -> None:
        raise ConnectionError("the network file system is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_runs, "on_batch", [fail])
        with pytest.raises(ConnectionError, match="network file system"):
            start(folder, new_classifier(dropout=0.1))
    assert len(load_checkpoint(folder / "checkpoint.pt")["history"]) == 0


def fail_in_callbacks(folder: Path) -> None:
    """After each epoch in turn."""
    for epoch in range(1, 4):

        def fail(history: History, _: Classifier, epoch: int = epoch) -> None:
            if len(history) == epoch:
                raise ConnectionError

        with pytest.raises(ConnectionError):
            start(folder, new_classifier(dropout=0.1), callbacks=[fail], resume=epoch > 1)


def finish(folder: Path, **changes: Any) -> None:
    start(folder, new_classifier(dropout=0.1), **changes)


def lose_checkpoint(folder: Path) -> None:
    finish(folder)
    (folder / "checkpoint.pt").unlink()


MOMENTS: dict[str, Callable[[Path], None]] = {
    "killed in the first checkpoint": partial(kill, "write", 1),
    "killed in the first epoch": partial(kill, "batch", 1),
    "killed in the second epoch": partial(kill, "batch", BATCHES + 3),
    "killed in a checkpoint": partial(kill, "write", 3),
    "killed before a checkpoint has its name": partial(kill, "rename", 4),
    "killed between checkpoint and callbacks": partial(kill, "callback", 4),
    "interrupted by Ctrl-C": press_twice,
    "interrupted in the first batch": partial(press_at_once, 1, 0),
    "interrupted in the first validation": partial(press_at_once, 6, 0),
    "interrupted in the third epoch": partial(press_at_once, 18, 2),
    "a lost connection in the first epoch": lose_connection,
    "errors in callbacks": fail_in_callbacks,
    "finished": finish,
    "finished with fewer epochs": partial(finish, epochs=2),
    "finished, without its checkpoint": lose_checkpoint,
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder, classifier = tmp_path_factory.mktemp("undisturbed"), new_classifier(dropout=0.1)
    return folder, classifier, start(folder, classifier)


def checkpoint(folder: Path) -> dict[str, Any]:
    """Return the contents of a checkpoint but for the times."""
    content: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    del content["history"]["seconds"]
    return content


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_resumed_run_has_the_bits_of_an_undisturbed_one(
    moment: str, undisturbed: Undisturbed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference, other, expected = undisturbed
    MOMENTS[moment](tmp_path)
    # The first weights of the resumed network do not matter where there is a checkpoint.
    new = not (tmp_path / "checkpoint.pt").exists()
    assert new == ("first checkpoint" in moment or "without" in moment)
    capsys.readouterr()
    classifier = new_classifier(seed=0 if new else 123, dropout=0.1)
    history = start(tmp_path, classifier, resume=True)
    line = f"spikemnist: no checkpoint.pt in {tmp_path}: starting at the first epoch"
    assert (line in capsys.readouterr().err.splitlines()) == new
    assert same(weights(classifier), weights(other))
    assert history.to_csv() == expected.to_csv()
    assert len(history.seconds) == 4
    assert (history.best_epoch, history.interrupted) == (expected.best_epoch, False)
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in reference.iterdir()}
    for name in ("config.json", "metrics.csv", "model.safetensors"):
        assert (tmp_path / name).read_bytes() == (reference / name).read_bytes(), name
    assert same(checkpoint(tmp_path), checkpoint(reference))


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad


def of_snntorch(
    kind: type[nn.Module] = snntorch.Leaky, scores: dict[str, Any] | None = None, **options: Any
) -> Classifier:
    """A network of snnTorch's modules, whose hidden neurons have their own options."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = kind(**{"beta": 0.9, "threshold": 0.3, **options})
        modules = nn.Linear(784, 16), first, nn.Linear(16, 10), snntorch.Leaky(beta=0.9)
        network = accelerate(nn.Sequential(nn.Flatten(), *modules), **(scores or {}))
        return Classifier(network, RANDOM)


def shuffled() -> DataLoader[Any]:
    data = digits(100)
    return DataLoader(TensorDataset(data.images, data.labels), batch_size=20, shuffle=True)


def in_groups(kind: type[torch.optim.Optimizer], **options: Any) -> Any:
    """Return an optimiser with these options for all parameters but the first."""

    def optimizer(parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        first, *others = parameters
        return kind([{"params": [first]}, {"params": others, **options}], lr=lr)

    return optimizer


def mislabelled(data: ImageDataset) -> ImageDataset:
    """Return data on which a network becomes worse."""
    return replace(data, labels=(data.labels + 1) % 10)


LEARNED = {"learn_beta": True, "learn_threshold": True}

KINDS: dict[str, tuple[Callable[[], Classifier], dict[str, Any]]] = {
    "one cycle": (new_classifier, {"schedule": "one_cycle"}),
    "an early best epoch": (new_classifier, {"validation": mislabelled(digits(40))}),
    "without validation": (new_classifier, {"validation": None}),
    "stochastic gradient descent": (new_classifier, {"optimizer": "sgd"}),
    "an optimiser of one's own": (
        new_classifier,
        {"optimizer": partial(torch.optim.RMSprop, momentum=0.5), "weight_decay": None},
    ),
    "momentum of a group": (
        new_classifier,
        {"optimizer": in_groups(torch.optim.SGD, momentum=0.9), "weight_decay": None},
    ),
    "amsgrad of a group": (
        new_classifier,
        {"optimizer": in_groups(torch.optim.Adam, amsgrad=True), "weight_decay": None},
    ),
    "batch normalisation": (partial(new_classifier, batch_norm=True), {}),
    "learned neurons": (partial(new_classifier, **LEARNED), {}),
    # Two functions of one name are the same, wherever they lie in memory.
    "a surrogate": (lambda: new_classifier(spike_grad=lambda x: Straight.apply(x)), {}),
    "a module": (lambda: Classifier(Wrapped(new_network(**LEARNED)), RANDOM), {}),
    "snnTorch": (partial(of_snntorch, learn_beta=True), {}),
    **dict(of_rooms("TO_RESUME")),
    "a loader": (new_classifier, {"train": shuffled(), "validation": digits(20)}),
}


@pytest.mark.usefixtures("neurons")
@pytest.mark.filterwarnings("ignore:training accuracy", "ignore:the slower reference runs")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_is_resumed(kind: str, tmp_path: Path) -> None:
    """By a new classifier, or by the very one that was trained, as in a notebook."""
    make, settings = KINDS[kind]
    settings = {"epochs": 2, **settings}

    undisturbed, stopped = make(), make()
    expected = run(tmp_path / "undisturbed", undisturbed, **settings)
    assert run(tmp_path / "a", stopped, callbacks=[interrupt_after(1)], **settings).interrupted
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for folder, classifier in {"a": stopped, "b": make().eval()}.items():
        history = run(tmp_path / folder, classifier, resume=True, **settings)
        assert history.to_csv() == expected.to_csv()
        assert history.best_epoch == expected.best_epoch
        assert same(weights(classifier), weights(undisturbed))
        assert same(weights(make().load_weights(tmp_path / folder)), weights(undisturbed))
