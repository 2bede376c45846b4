"""`fit` in several processes: as in one, but for rounding; killed and resumed.

The processes talk over gloo on this machine.
"""

from __future__ import annotations

import datetime
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

from spikemnist.distributed import joined
from spikemnist.models import Classifier, LeakyConvNet
from tests.training.small_runs import PROCESSES, RANDOM, new_classifier, on_batch, run, weights

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not distributed.is_available(), reason="no torch.distributed in this torch"),
    pytest.mark.skipif(sys.platform == "win32", reason="gloo finds no address on some runners"),
]

SECONDS = 300
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
"""A runner may not find its own host by name."""


def classifier_of(kind: str) -> Classifier:
    if kind == "mlp":
        return new_classifier().double()
    torch.manual_seed(0)
    options = {"batch_norm": kind == "normalised", "threshold": 0.3}
    return Classifier(LeakyConvNet("2C5-P4-10", **options), RANDOM).double()


def work(rank: int, size: int, port: int, folder: Path, kind: str, changes: dict[str, Any]) -> None:
    """Train as one of several processes, and keep what came of it."""
    torch.set_num_threads(1)
    os.environ.update(LOOPBACK)
    if size > 1:
        address = f"tcp://127.0.0.1:{port}"
        distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=size)
    if (lr := changes.pop("lr_of_rank", None)) and rank:
        changes["lr"] = lr
    kill = changes.pop("kill", None)  # rank, batch and signal
    if kill and kill[0] == rank:
        batches = iter(range(10**6))
        on_batch.append(lambda: next(batches) == kill[1] and os.kill(os.getpid(), kill[2]))
    classifier = classifier_of(kind)
    if rank:  # whose first weights do not matter
        torch.nn.init.ones_(next(classifier.parameters()))
    try:
        history = run(folder, classifier, **changes)
    except Exception as error:
        (folder / f"error-{rank}").write_text(str(error), encoding="utf-8")
        raise
    outcome = (weights(classifier), history.to_csv(), vars(history), classifier.limits)
    torch.save(outcome, folder / f"{size}-{rank}.pt")
    if size > 1:
        distributed.destroy_process_group()


def together(folder: Path, size: int, kind: str = "mlp", **changes: Any) -> list[int]:
    """Train in so many processes and return their exit codes."""
    folder.mkdir(exist_ok=True)
    changes = {"epochs": 2, **changes}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        PROCESSES.Process(target=work, args=(rank, size, port, folder, kind, changes), daemon=True)
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    deadline = time.monotonic() + SECONDS
    for process in processes:
        process.join(max(0, deadline - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert None not in codes, "a process hangs"
    return codes


def result(folder: Path, size: int, rank: int = 0) -> Any:
    return torch.load(folder / f"{size}-{rank}.pt", weights_only=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of one process, by the kind of the network."""
    results = {}
    for kind in ("mlp", "conv"):
        folder = tmp_path_factory.mktemp(kind)
        assert together(folder, 1, kind) == [0]
        results[kind] = result(folder, 1)
    return results


def assert_same_weights(actual: Any, expected: Any) -> None:
    for name, value in expected[0].items():
        assert torch.equal(actual[0][name], value), name
    assert actual[3] == expected[3]


def assert_close(actual: Any, expected: Any) -> None:
    """Assert the same run but for rounding: of sums in float64, over 10 steps of Adam."""
    for name, value in expected[0].items():
        torch.testing.assert_close(actual[0][name], value, rtol=1e-9, atol=1e-9, msg=name)
    for line, other in zip(actual[1].splitlines()[1:], expected[1].splitlines()[1:], strict=True):
        mine, theirs = ([float(cell or 0) for cell in row.split(",")] for row in (line, other))
        assert mine == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(("size", "kind"), [(2, "mlp"), (3, "conv"), (2, "normalised")])
def test_several_processes_train_as_one_does(
    size: int, kind: str, alone: dict[str, Any], tmp_path: Path
) -> None:
    assert together(tmp_path, size, kind) == [0] * size
    if kind in alone:  # batch normalisation sees the samples of its own process
        assert_close(result(tmp_path, size), alone[kind])
    for rank in range(1, size):
        assert_same_weights(result(tmp_path, size), result(tmp_path, size, rank))


@pytest.mark.parametrize(("rank", "batch"), [(0, 7), (1, 2)], ids=["epoch 2", "epoch 1"])
def test_a_killed_process_ends_the_others_and_the_run_resumes(
    rank: int, batch: int, alone: dict[str, Any], tmp_path: Path
) -> None:
    codes = together(tmp_path, 3, kill=(rank, batch, signal.SIGKILL))
    assert codes[rank] == -signal.SIGKILL
    assert 0 not in codes
    # An existing run is refused in all, and goes on with another number of processes.
    before = (tmp_path / "checkpoint.pt").read_bytes()
    assert together(tmp_path, 2) == [1, 1]
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert together(tmp_path, 2, resume=True) == [0, 0]
    assert_close(result(tmp_path, 2), alone["mlp"])


def test_ctrl_c_in_one_process_ends_all_and_the_run_resumes(
    alone: dict[str, Any], tmp_path: Path
) -> None:
    codes = together(tmp_path, 2, kill=(1, 7, signal.SIGINT))
    assert codes[0] != 0  # the other has ended
    history = result(tmp_path, 2, 1)[2]
    assert history["interrupted"]
    assert len(history["epochs"]) == 1
    assert together(tmp_path, 1, resume=True) == [0]
    assert_close(result(tmp_path, 1), alone["mlp"])


def test_other_settings_in_another_process_are_named(tmp_path: Path) -> None:
    assert together(tmp_path, 2, lr_of_rank=0.5) == [1, 1]
    for rank in range(2):
        message = (tmp_path / f"error-{rank}").read_text(encoding="utf-8")
        expected = "the processes train different runs: in process 0 config.lr was 0.005, is 0.5"
        assert expected in message


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 did not meet within 1 s (KeyError: 'RANK')"),
        ({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}, "WORLD_SIZE=2 did not meet"),
        ({"WORLD_SIZE": "two"}, "Start them by torchrun, or unset WORLD_SIZE"),
        ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0"}, "RANK is 2 of WORLD_SIZE 2"),
    ],
)
def test_wrong_variables_of_the_environment(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikemnist.distributed.TIMEOUT", datetime.timedelta(seconds=1))
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", **variables}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=re.escape(message)), joined():
        pass


def test_batches_smaller_than_the_number_of_processes(tmp_path: Path) -> None:
    """160 samples in batches of 53 leave one of a single sample."""
    assert together(tmp_path / "one", 1, epochs=1, batch_size=53) == [0]
    assert together(tmp_path / "three", 3, epochs=1, batch_size=53) == [0] * 3
    assert_close(result(tmp_path / "three", 3), result(tmp_path / "one", 1))
