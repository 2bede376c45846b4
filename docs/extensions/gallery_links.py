"""Links from the gallery to its lessons and to other pages.

Its texts are read as a page, as a script and in a notebook. So they name a page by its title *in
italics*, which here becomes a link.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDERS = (".", "guide", "howto")
TITLE = re.compile(r"^(?:# |\"\"\"\n)(.+)$", re.MULTILINE)


def titles(docs: Path) -> dict[str, str]:
    """Return where the page of each title is."""
    pages = [page for folder in FOLDERS for page in (docs / folder).glob("*.md")]
    lessons = (docs.parent / "examples").glob("[0-9]*.py")
    places = {page: f"/{page.relative_to(docs).with_suffix('')}" for page in pages}
    places |= {lesson: f"/gallery/{lesson.stem}" for lesson in lessons}
    return {
        title[1]: place
        for page, place in places.items()
        if (title := TITLE.search(page.read_text(encoding="utf-8")))
    }


def link(app: Sphinx, page: str, source: list[str]) -> None:
    """Make a link of each title on a page of the gallery."""
    if page.startswith("gallery/"):
        for title, place in titles(Path(app.srcdir)).items():
            source[0] = source[0].replace(f"*{title}*", f":doc:`{title} <{place}>`")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
