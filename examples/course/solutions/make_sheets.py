"""Write the sheets of the course from their solutions.

    python examples/course/solutions/make_sheets.py

A solution is a Python script in cells, which Jupyter and editors open as a notebook: ``# %%``
begins a cell of code and ``# %% [markdown]`` a cell of text. Of the lines between ``# BEGIN
SOLUTION`` and ``# END SOLUTION`` the sheet says only how many there are. A cell ``# %% [markdown]
answer`` answers a question; in the sheet it is an empty cell to write into.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
CELL = re.compile(r"^# %%(?: \[(markdown)\])?(?: (answer))?$", re.MULTILINE)
MAGIC = "%matplotlib inline"
SOLUTION = re.compile(r"^( *)# BEGIN SOLUTION\n(.*?)^ *# END SOLUTION\n", re.MULTILINE | re.DOTALL)


def sheet(solution: str) -> str:
    """Return the notebook of a sheet, from the text of its solution."""
    # Without it, Jupyter prints the name of a figure that ends a cell, and draws nothing.
    solution = solution.replace("# %%\n", f"# %%\n{MAGIC}\n\n", 1)
    _, *parts = CELL.split(solution)
    cells = []
    for number, (kind, answer, text) in enumerate(zip(*[iter(parts)] * 3, strict=True), 1):
        if kind is None:
            cells.append(_cell("code", number, SOLUTION.sub(_gap, text)))
        elif answer:
            cells.append(_cell("markdown", number, "*Your answer:*"))
        else:
            cells.append(_cell("markdown", number, re.sub(r"^# ?", "", text, flags=re.MULTILINE)))
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _gap(gap: re.Match[str]) -> str:
    """Return what stands in the sheet in place of a solution."""
    count = sum(line.strip()[:1] not in ("", "#") for line in gap[2].splitlines())
    lines = f"{count} line is" if count == 1 else f"{count} lines are"
    if gap[1]:
        return f"{gap[1]}...  # write it here; {lines} enough\n"
    return f"# Write it here; {lines} enough.\n"


def _cell(kind: str, number: int, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": text.strip("\n").splitlines(keepends=True)}


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("[0-9]_*.py")):
        target = FOLDER.parent / f"{path.stem}.ipynb"
        target.write_text(sheet(path.read_text("utf-8")), encoding="utf-8")
        print(target.name)
