"""The pictures of the user guide: a table of them, and a zip with each as an SVG under its name.

The pages have drawn them; ``scripts/guide_pictures.py`` names them, by the texts in their places.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from guide_pictures import GUIDE, pictures
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROW = "| [`{0.name}`](guide/{0.page}.md) | {0.text} |\n"


class PictureList(SphinxDirective):
    """Write a row for each picture: its name, with a link to its page, and what it shows."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when a page of the guide changes."""
        for page in GUIDE.glob("*.md"):
            self.env.note_dependency(str(page))
        rows = "".join(ROW.format(picture) for picture in pictures())
        return self.parse_text_to_nodes(f"| Picture | Shows |\n|---|---|\n{rows}")


def pack(app: Sphinx, error: Exception | None) -> None:
    """Write the pictures as the pages show them, unless the pages were not run."""
    if error or app.builder.name != "html" or app.config.nb_execution_mode == "off":
        return
    place = Path(app.outdir) / "guide-pictures.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as file:
        for picture in pictures():
            images = app.env.get_doctree(f"guide/{picture.page}").findall(nodes.image)
            (image,) = (each for each in images if each.get("alt") == picture.text)
            file.write(Path(app.srcdir) / image["uri"], f"{picture.name}.svg")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("pictures", PictureList)
    app.connect("build-finished", pack)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
