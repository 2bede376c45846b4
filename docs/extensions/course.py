"""The course: a zip of what students get, and two of its sheets as pages, run with their gaps."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

COURSE = Path(__file__).resolve().parents[2] / "examples" / "course"
FOR_STUDENTS = ("README.markdown", "requirements.txt", "[0-9]_*.ipynb", "checks/*.py")
"""All but the solutions and what sheets write when they are run."""
PAGES = ("1_spikes.ipynb", "2_neuron.ipynb")
NOTE = """
:::{note}
A sheet of the [course](../teachers.md) as a student opens it: its gaps are empty, so the checks
say *not yet*, and the library's functions draw the pictures.
:::
"""


def write_zip(path: Path) -> None:
    """Write the folder of the course without its solutions."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in FOR_STUDENTS:
            for file in sorted(COURSE.glob(pattern)):
                archive.write(file, "course" / file.relative_to(COURSE))


def copy(app: Sphinx) -> None:
    """Copy sheets to where Sphinx sees them, with a note below the title, and what they import."""
    folder = Path(app.srcdir) / "course"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(COURSE / "checks", folder / "checks", dirs_exist_ok=True, ignore=ignored)
    for name in PAGES:
        content = json.loads((COURSE / name).read_text(encoding="utf-8"))
        content["cells"][0]["source"][1:1] = NOTE.splitlines(keepends=True)
        write_page(folder / name, json.dumps(content, ensure_ascii=False, indent=1))


def write_page(page: Path, text: str) -> None:
    """Write a notebook where it has changed: the next builder would run a newer file again."""
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def pack(app: Sphinx, error: Exception | None) -> None:
    """Put the zip beside the pages."""
    if error is None and app.builder.name == "html":
        write_zip(Path(app.outdir) / "course.zip")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", copy)
    app.connect("build-finished", pack)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
