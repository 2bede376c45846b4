"""The command as the processes of torchrun."""

from __future__ import annotations

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from tests.cli.command import spikemnist
from tests.distributed.test_processes import LOOPBACK, SECONDS, pytestmark
from tests.training.small_runs import PROCESSES

__all__ = ["pytestmark"]


def command(folder: Path, *words: str) -> str:
    """Run a command as one of the processes of torchrun, and return what it prints."""
    signal.alarm(SECONDS)  # which ends a process that hangs
    os.environ.update(LOOPBACK)
    torch.set_num_threads(1)
    return spikemnist(*words, cwd=folder).stdout


def test_torchrun(tmp_path: Path) -> None:
    """Its launcher starts copies of a process that has imported all."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    train = ["train", "--epochs", "1", "--hidden", "30", "--batch-size", "600", "--out"]
    meeting = {"run_id": "two", "rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}
    how = {"max_restarts": 0, "start_method": PROCESSES.get_start_method()}
    config = LaunchConfig(min_nodes=1, max_nodes=1, nproc_per_node=2, **meeting, **how)
    with ThreadPoolExecutor(1) as pool:  # in the main thread it would handle signals
        printed = pool.submit(elastic_launch(config, command), tmp_path, *train, "two").result()
    assert printed[0].count("accuracy  ") == 1
    assert printed[1] == ""
    assert {file.name for file in (tmp_path / "two").iterdir()} >= {
        "checkpoint.pt",
        "config.json",
        "metrics.csv",
        "model.safetensors",
        "decision-0.png",
    }
    alone = spikemnist(*train, "one", cwd=tmp_path).stdout
    one, two = (re.search(r"accuracy +([\d.]+)%", text) for text in (alone, printed[0]))
    assert one is not None
    assert two is not None
    # In float32, where a sum that rounds differently moves a membrane over its threshold.
    assert float(two[1]) == pytest.approx(float(one[1]), abs=3)
