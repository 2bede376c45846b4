"""The page of ``--help`` of a command."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING
from unittest import mock

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spikemnist.cli import parser

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Options(SphinxDirective):
    """Write the help of a command, at 80 columns."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when the command changes."""
        (name,) = self.arguments
        module = importlib.import_module(f"spikemnist.cli.{name}")
        self.env.note_dependency(inspect.getfile(module))
        with mock.patch.dict("os.environ", COLUMNS="80"):
            page = parser.help_page(name, module, [])
        return [nodes.literal_block(page, page, language="text")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
