"""Commands whose file would be a pipe."""

from __future__ import annotations

import sys

import pytest

import spikemnist.cli
from tests.test_pipes import path

__all__ = ["path"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")


@pytest.mark.parametrize("words", ["encode", "encode --compare"])
def test_no_command_replaces_a_pipe(words, path, capsys):
    assert spikemnist.cli.main([*words.split(), "--out", str(path)]) != 0
    assert "error: " in capsys.readouterr().err
