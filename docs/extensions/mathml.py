"""Equations as MathML, which browsers draw themselves: no script, and nothing to fetch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

if TYPE_CHECKING:
    from typing import Literal

    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

SPACE_OF_ROWS = re.compile(r"\\\\\[[^]]*\]")
r"""Between two lines, such as ``\\[4pt]``: MathML leaves that to the style."""

LOGGER = logging.getLogger(__name__)


def mathml(node: nodes.Element, display: Literal["inline", "block"]) -> str:
    """Return the equation of a node; lines are aligned at their ampersands, as Sphinx does it."""
    latex = SPACE_OF_ROWS.sub(r"\\\\", node.astext().replace("{aligned}", "{split}"))
    if "\\\\" in latex and "\\begin" not in latex:
        latex = f"\\begin{{split}}{latex}\\end{{split}}"
    found: str = convert(latex, display=display)
    if "&<" in found or "<mi>\\" in found:
        LOGGER.warning("cannot be written as MathML: %s", latex, location=node)
    return found


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write an equation in a line of text."""
    translator.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation on lines of its own."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(mathml(node, "block"))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
