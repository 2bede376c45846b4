"""``spikemnist info``."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import pytest
import torch

from spikemnist import __version__
from spikemnist.encoding import available_encoders
from spikemnist.ops import BACKENDS
from tests.cli.command import answers, fields, spikemnist


def test_versions_devices_backends_encoders_and_data(tmp_path: Path) -> None:
    (result,) = answers("info", cwd=tmp_path)
    assert result["spikemnist"] == __version__
    assert result["packages"]["torch"] == torch.__version__
    assert result["packages"]["snntorch"].startswith("1.")
    assert (result["devices"], result["threads"]) == (["cpu"], torch.get_num_threads())
    load = rf"\d+\.\d of {os.cpu_count()} processors" if hasattr(os, "getloadavg") else ""
    assert re.fullmatch(load, result["load"])
    absent = set() if importlib.util.find_spec("triton") else {"triton"}
    assert {*BACKENDS} - {*result["backends"]} == {"auto", *absent}
    assert tuple(result["encoders"]) == available_encoders()
    assert result["data"][0] == "digits in the package"
    printed = fields(spikemnist("info", cwd=tmp_path).stdout)
    assert printed["encoders"] == ", ".join(available_encoders())
    assert f"torch {torch.__version__}, " in printed["packages"]


def test_no_load_where_the_system_counts_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert "load" not in fields(spikemnist("info", cwd=tmp_path).stdout)
