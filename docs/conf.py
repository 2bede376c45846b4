"""Sphinx settings. Nothing is fetched while building."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from sphinx.util import logging

import spikemnist

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "spikemnist"
author = "The spikemnist developers"
copyright = f"2026, {author}"
version = release = spikemnist.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
# A single backtick in a docstring names a Python object, and links to it when it is documented.
default_role = "py:obj"

myst_enable_extensions = ["dollarmath", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
# As a list under the word "Attributes", so that one line may describe two of them.
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 90
add_module_names = False

# The examples in docstrings are run by pytest; those of the pages by the doctest builder.
doctest_test_doctest_blocks = ""

html_theme = "furo"
html_title = f"spikemnist {release}"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

ROOMS = ["data", "encoding", "ops", "models", "training", "viz"]


def check_public_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that no API page documents."""
    documented = env.get_domain("py").data["objects"]
    for room in ROOMS:
        for name in importlib.import_module(f"spikemnist.{room}").__all__:
            if f"spikemnist.{room}.{name}" not in documented:
                message = "spikemnist.%s.%s is public, but docs/api/%s.md leaves it out"
                logging.getLogger(__name__).warning(message, room, name, room)


def setup(app: Sphinx) -> None:
    app.connect("env-check-consistency", check_public_names)
