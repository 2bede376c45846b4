"""Pictures in windows of pyplot: where there are some, each is shown, and few stay open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = """
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

class FigureManager(FigureManagerBase):
    def show(self):
        print("window", self.num)

    @classmethod
    def start_main_loop(cls):
        print("loop")

class FigureCanvas(FigureCanvasAgg):
    required_interactive_framework = "headless"  # what a system without a screen reports
    manager_class = FigureManager
"""

SCRIPT = """
import gc
import io
import matplotlib.pyplot as plt
import torch
from spikemnist import viz

spikes = torch.eye(6)
viz.raster(spikes)
plt.show()
assert plt.get_fignums() == [1]
plt.close("all")

own, ax = plt.subplots()
assert viz.raster(spikes, ax=ax) is own
assert plt.get_fignums() == [1]
plt.close("all")

first = viz.raster(spikes)
for _ in range(40):
    viz.raster(spikes)
assert len(plt.get_fignums()) == 10
first.savefig(io.BytesIO())  # its window is closed
mine = plt.figure()
for _ in range(40):
    viz.raster(spikes)
assert len(plt.get_fignums()) == 11
assert plt.fignum_exists(mine.number)
plt.close("all")
gc.collect()
"""


def run(folder: Path, script: str, backend: str) -> list[str]:
    """Run a script with a backend; return what it prints."""
    (folder / "window_backend.py").write_text(BACKEND, encoding="utf-8")
    places = [str(folder), *sys.path]
    environment = {**os.environ, "MPLBACKEND": backend, "PYTHONPATH": os.pathsep.join(places)}
    words = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_show_opens_a_window(tmp_path: Path) -> None:
    assert run(tmp_path, SCRIPT, "module://window_backend") == ["window 1", "loop"]


@pytest.mark.parametrize("first", ["", "import matplotlib.pyplot as plt; plt.figure(); "])
def test_no_window_without_a_screen(first: str, tmp_path: Path) -> None:
    """A notebook shows the figure that a call returns, and would show one of pyplot once more."""
    script = (
        f"{first}import sys, torch; from spikemnist import viz; viz.raster(torch.eye(6)); "
        "plt = sys.modules.get('matplotlib.pyplot'); print(plt and plt.get_fignums())"
    )
    assert run(tmp_path, script, "agg") == ["[1]" if first else "None"]
