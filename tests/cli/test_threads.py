"""The threads of a command: their number, and how they wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from spikemnist.cli import threads
from tests.cli.command import environment

SHORT = [f"{name}={value}" for name, value in threads.WAITING.items()]
VARIABLES = {threads.POLICY, *threads.WAITING, "OMP_NUM_THREADS", "MKL_NUM_THREADS"}


def facts(cwd: Path, *before: str, **variables: str) -> dict[str, object]:
    """Return what ``info`` says in a process of its own, started by a command before it."""
    rest = {name: value for name, value in environment().items() if name not in VARIABLES}
    words = [*before, sys.executable, "-m", "spikemnist", "info", "--json"]
    done = subprocess.run(words, env=rest | variables, cwd=cwd, capture_output=True, check=True)
    printed: dict[str, object] = json.loads(done.stdout)
    return printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "waiting", "number"),
    [
        ({}, SHORT, None),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["OMP_WAIT_POLICY=ACTIVE"], None),
        ({"KMP_BLOCKTIME": "7", "OMP_NUM_THREADS": "1"}, ["KMP_BLOCKTIME=7"], 1),
    ],
)
def test_a_choice_of_the_user_stays(variables, waiting, number, tmp_path):
    printed = facts(tmp_path, **variables)
    assert printed["waiting"] == waiting
    assert printed["threads"] == (number or min(printed["processors"], printed["threads"]))


@pytest.mark.parametrize(
    ("groups", "files", "processors"),
    [
        ("0::/\n", {}, 8),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/box\n", {"cpu.max": "350000 100000\n"}, 3),  # a container sees itself as the root
        ("0::/a/b\n", {"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, 2),
        ("0::/a\n", {"a/cpu.max": "20000 100000\n"}, 1),
        ("9:cpuset:/\n4:cpu,cpuacct:/c\n0::/\n", {"cpu/c/*": "400000 100000"}, 4),
        ("1:cpu:/c\n", {"cpu/c/*": "-1 100000", "cpu/*": "600000 100000"}, 6),
        ("2:cpuacct:/c\n", {"cpu/c/*": "100000 100000"}, 8),
        (None, {}, 8),
    ],
)
def test_quota_of_control_groups(groups, files, processors, tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(threads, "MOUNT", tmp_path)
    monkeypatch.setattr(threads, "_affinity", lambda: 8)
    if groups is not None:
        threads.GROUPS.write_text(groups)
    for name, text in files.items():
        folder = (tmp_path / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        if name.endswith("*"):
            for kind, number in zip(("quota", "period"), text.split(), strict=True):
                (folder / f"cpu.cfs_{kind}_us").write_text(number)
        else:
            (tmp_path / name).write_text(text)
    assert threads.allowed_processors() == processors


@pytest.mark.slow
def test_quota_of_a_real_group(tmp_path):
    """Where a control group can be made, as by root."""
    version_1 = (threads.MOUNT / "cpu" / "cpu.cfs_quota_us").exists()
    folder, file = ("cpu", "cpu.cfs_quota_us") if version_1 else ("", "cpu.max")
    group = threads.MOUNT / folder / f"spikemnist-{os.getpid()}"
    try:
        group.mkdir()
        (group / file).write_text("150000")
    except OSError:
        with suppress(OSError):
            group.rmdir()
        pytest.skip("no control group can be made here")
    try:
        join = f'echo $$ > "{group / "cgroup.procs"}"; exec "$@"'
        printed = facts(tmp_path, "sh", "-c", join, "sh")
        assert (printed["processors"], printed["threads"]) == (1, 1)
    finally:
        group.rmdir()
