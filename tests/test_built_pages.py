"""The code that the docs run when they are built measures no time.

A time or a ratio on a page belongs to ``docs/benchmarks/results.json``, which was measured with
nothing else running.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CLOCK = re.compile(
    r"perf_counter|process_time|thread_time|monotonic|time_ns|timeit|\btime\.time\b|%%?time\b"
    r"|datetime|\bimport time_in_turn|\.seconds\b|progress ?= ?True|[\"']progress[\"']: True"
)
FENCE = re.compile(r"^(```+)\{(?:code-cell|doctest|testcode)\}.*?\n(.*?)^\1$", re.M | re.S)


def code_of_page(text: str) -> str:
    """Return what a page runs: its code cells and doctest blocks."""
    return "\n".join(code for _, code in FENCE.findall(text))


def run_at_build() -> dict[str, str]:
    """Return the code of each page, gallery script and notebook that the docs run."""
    pages = {page: code_of_page(page.read_text("utf-8")) for page in ROOT.glob("docs/**/*.md")}
    scripts = {script: script.read_text("utf-8") for script in ROOT.glob("examples/*.py")}
    notebooks = {
        file: "\n".join(
            "".join(cell["source"])
            for cell in json.loads(file.read_text("utf-8"))["cells"]
            if cell["cell_type"] == "code"
        )
        for file in ROOT.glob("examples/*.ipynb")
    }
    everything = {**pages, **scripts, **notebooks}
    return {file.relative_to(ROOT).as_posix(): code for file, code in everything.items() if code}


RUN = run_at_build()


@pytest.mark.parametrize("name", sorted(RUN))
def test_no_clock_in_code_of_the_pages(name: str) -> None:
    assert CLOCK.findall(RUN[name]) == []
