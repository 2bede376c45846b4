"""What a search engine or a messenger shows of a page: its title, its first sentences, a picture.

The picture needs a whole address, so it is left out where none is known (`addresses.site`).
"""

from __future__ import annotations

import html
import re
import textwrap
from importlib.metadata import metadata
from typing import TYPE_CHECKING, Any

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PICTURE = "_static/digit.gif"


def first_sentences(page: nodes.document) -> str:
    """Return the beginning of the first paragraph that is in no note, list or table."""
    for paragraph in page.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            texts = paragraph.findall(nodes.Text)
            shown = "".join(text for text in texts if not isinstance(text.parent, nodes.raw))
            return textwrap.shorten(shown, 200, placeholder=" …")
    return ""


def describe(
    app: Sphinx, name: str, template: str, context: dict[str, Any], page: nodes.document | None
) -> None:
    """Add the description of a page to its head; of the first page, that of the package."""
    own = first_sentences(page) if page and name != app.config.root_doc else ""
    text = own or metadata("spikemnist")["Summary"]
    title = html.unescape(re.sub("<.+?>", "", context.get("title", "")))
    tags = {"description": text, "og:title": title or app.config.project, "og:description": text}
    if app.config.html_baseurl:
        tags["og:image"] = app.config.html_baseurl + PICTURE
    for tag, content in tags.items():
        kind = "property" if tag.startswith("og:") else "name"
        line = f'<meta {kind}="{tag}" content="{html.escape(content)}">\n'
        context["metatags"] = context.get("metatags", "") + line


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
