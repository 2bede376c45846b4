"""Before PyTorch is there: what loads, what shows, and Ctrl-C. And the end of the program."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from spikemnist.cli.process import collect_garbage_rarely
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


@pytest.mark.parametrize("loaded", [False, True])
def test_garbage_is_searched_for_less_often_unless_pytorch_was_there_before(
    monkeypatch: pytest.MonkeyPatch, loaded: bool
) -> None:
    usual = gc.get_threshold()
    if loaded:
        monkeypatch.setitem(sys.modules, "torch", sys)
    else:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    try:
        collect_garbage_rarely()
        assert (gc.get_threshold() == usual) == loaded
    finally:
        gc.set_threshold(*usual)


@pytest.mark.parametrize(("words", "code", "loads"), [(["info"], 0, True), (["fit"], 2, False)])
def test_the_program_frees_no_objects_but_does_what_others_left_for_its_end(
    words: list[str], code: int, loads: bool
) -> None:
    done = python(
        "import atexit, gc, sys\n"
        "class Freed:\n"
        "    def __del__(self): print('freed')\n"
        "freed, usual = Freed(), gc.get_threshold()\n"
        "atexit.register(lambda: print('less often', gc.get_threshold() != usual))\n"
        "from spikemnist.cli import program\n"
        f"sys.argv = ['spikemnist', *{words}]\n"
        "program()"
    )
    assert done.returncode == code, done.stderr
    assert done.stdout.endswith(f"less often {loads}\n")
    assert done.stdout.startswith("spikemnist") == loads
    assert ("did you mean train?" in done.stderr) == (code == 2)
