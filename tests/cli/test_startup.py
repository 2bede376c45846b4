"""Before PyTorch is there: what loads, what shows, and Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import environment

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("torch", "numpy", "snntorch", "matplotlib", "numba", "spikemnist.encoding")

TERMINAL = """
import sys
sys.stderr.isatty = lambda: True
from spikemnist.cli import main
sys.exit(main(["info"]))
"""

INTERRUPT = """
import signal, sys
sys.stderr.write("<torch>")
try:
    signal.raise_signal(signal.SIGINT)
except BaseException:
    {fate}
"""


def python(code: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), **extra},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_what_needs_no_pytorch_loads_none() -> None:
    code = (
        "import sys\n"
        "from spikemnist.cli import main\n"
        "for words in ('', '--version', 'train --help', 'train --epochs 0', 'fit'):\n"
        "    main(words.split())\n"
        f"    print('loaded', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = python(code)
    assert done.stdout.count("loaded []\n") == 5, done.stdout + done.stderr


@pytest.mark.parametrize(
    "fate",
    ["raise", "raise ImportError('cannot load module more than once per process')", "pass"],
)
def test_a_sign_of_life_before_pytorch_and_ctrl_c_while_it_loads(tmp_path: Path, fate: str) -> None:
    """A stand-in for torch is interrupted; it passes that on, makes another error of it, or not."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(INTERRUPT.format(fate=fate), encoding="utf-8")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    done = python(TERMINAL, PYTHONPATH=path)
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("loading PyTorch ...<torch>")
    assert done.stderr.endswith("\nspikemnist: interrupted\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("before", "rarely"), [("", True), ("import torch; ", False)])
def test_a_process_of_its_own_is_seldom_searched_for_garbage(before: str, rarely: bool) -> None:
    done = python(
        f"{before}import gc; usual = gc.get_threshold()[0]\n"
        "from spikemnist.cli import main\n"
        "main(['info']); print('rarely', gc.get_threshold()[0] > usual)"
    )
    assert done.stdout.endswith(f"rarely {rarely}\n"), done.stdout + done.stderr


@pytest.mark.parametrize(("words", "code"), [(["info"], 0), (["fit"], 2)])
def test_the_program_ends_early_but_not_before_what_others_left_to_be_done(
    words: list[str], code: int
) -> None:
    done = python(
        "import atexit, sys\n"
        "class Freed:\n"
        "    def __del__(self): print('freed')\n"
        "atexit.register(print, 'at exit')\n"
        "freed = Freed()\n"
        "from spikemnist.cli import program\n"
        f"sys.argv = ['spikemnist', *{words}]\n"
        "program()"
    )
    assert done.returncode == code
    assert done.stdout.startswith("spikemnist" if code == 0 else "at exit")
    assert done.stdout.endswith("at exit\n")
    assert ("did you mean train?" in done.stderr) == (code == 2)
