"""Sphinx settings. Nothing is fetched while building."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spikemnist

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
sys.path[:0] = str(HERE / "extensions"), str(HERE.parent / "scripts")

addresses, course = map(importlib.import_module, ("addresses", "course"))
REPOSITORY = addresses.repository((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))

project = "spikemnist"
author = "The spikemnist developers"
copyright = f"2026, {author}"
version = release = spikemnist.__version__

extensions = [
    "command_options",
    "course",
    "gallery_links",
    "link_preview",
    "mathml",
    "myst_nb",
    "picture_list",
    "rooms_list",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
templates_path = ["_templates"]
exclude_patterns = [
    *("_build", "_templates", "tests", "**.ipynb_checkpoints"),
    # By-products of the gallery; the page of its running times asks another site for scripts.
    *("gallery/*.ipynb", "**sg_execution_times.rst"),
]
# A single backtick in a docstring names a Python object, and links to it when it is documented.
default_role = "py:obj"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]

# Pages with `{code-cell}` and the notebook are run when they are read, two at a time and each in a
# process of its own, which `cache`, a database, does not allow. They show what this version does.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
# What a page is written in is known once it has run, which the doctest builder leaves out.
suppress_warnings = ["myst-nb.lexer"]

autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {
    "Array": "numpy.ndarray",
    "Axes": "matplotlib.axes.Axes",
    "Figure": "matplotlib.figure.Figure",
    "FuncAnimation": "matplotlib.animation.FuncAnimation",
    "Tensor": "torch.Tensor",
}
napoleon_google_docstring = False
# Parameters and attributes as lists, in which one entry may describe two of them.
napoleon_use_param = False
napoleon_custom_sections = [("Attributes", "params_style")]
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

# The examples in docstrings are run by pytest; those of the pages by the doctest builder.
doctest_test_doctest_blocks = ""

# The names of other projects that these pages link to, as text, so that nothing need be fetched.
PLACES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "snntorch": "https://snntorch.readthedocs.io/en/latest/",
    "matplotlib": "https://matplotlib.org/stable/",
}
intersphinx_mapping = {
    name: (place, str(HERE / "inventories" / f"{name}.txt")) for name, place in PLACES.items()
}

html_math_renderer = "mathml"
html_theme = "furo"
html_title = project
html_baseurl = addresses.site(REPOSITORY)
html_logo = html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(HERE / "search.js")
html_js_files = [("frames.js", {"defer": "defer"})]
html_theme_options: dict[str, Any] = {
    "light_css_variables": {"color-brand-primary": "#3b5bdb", "color-brand-content": "#3b5bdb"},
    "dark_css_variables": {"color-brand-primary": "#91a7ff", "color-brand-content": "#91a7ff"},
}
if REPOSITORY:
    link = {"name": "Repository", "url": REPOSITORY, "html": "Repository", "class": ""}
    html_theme_options["footer_icons"] = [link]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

# The first cell of each notebook of the gallery.
INSTALL = """\
import importlib.util

if importlib.util.find_spec("spikemnist") is None:  # as on Colab, where it is missing at first
    %pip install -q spikemnist
%matplotlib inline"""

sphinx_gallery_conf = {
    "first_notebook_cell": INSTALL,
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"microspike",  # a program to read, without pictures
    "within_subsection_order": "FileNameSortKey",
    "thumbnail_size": (640, 420),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "doc_module": ("spikemnist",),
    "backreferences_dir": "gallery/backreferences",
    "reference_url": {"spikemnist": None},
    "image_scrapers": ("gallery_pictures.take",),
    "capture_repr": (),
}
ROOMS = [
    *("data", "encoding", "ops", "models", "training", "energy", "export", "plasticity"),
    *("recognition", "viz"),
]


def members_of(kind: type) -> dict[str, str]:
    """Return the documented methods and properties of a class, the ones that run it first."""
    found: dict[str, Any] = {}
    for owner in kind.__mro__:
        if owner.__module__.startswith("spikemnist"):
            found |= {name: value for name, value in vars(owner).items() if name not in found}
    kinds = {
        name: "property" if isinstance(value, property) else "method"
        for name, value in found.items()
        if (isinstance(value, property) or inspect.isroutine(value)) and value.__doc__
    }
    public = [name for name in kinds if name == "__call__" or not name.startswith("_")]
    return {name: kinds[name] for name in sorted(public, key=RUN_FIRST.__contains__, reverse=True)}


RUN_FIRST = {"__call__", "fit", "forward"}
# For the page of a class, docs/_templates/autosummary/class.rst.
autosummary_context = {
    "documented": {
        f"spikemnist.{room}.{name}": members_of(thing)
        for room in ROOMS
        for module in (importlib.import_module(f"spikemnist.{room}"),)
        for name in module.__all__
        if isinstance(thing := getattr(module, name), type)
    }
}


def take_notebook(app: Sphinx) -> None:
    """Copy the notebook of ``examples/`` to where Sphinx sees it, with a badge."""
    folder = HERE / "notebook"
    folder.mkdir(exist_ok=True)
    for notebook in (HERE.parent / "examples").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8")
        text = addresses.with_badge(text, REPOSITORY, f"examples/{notebook.name}")
        course.write_page(folder / notebook.name, text)


def spread_pages(app: Sphinx, env: object, pages: list[str]) -> None:
    """Let no process get all the pages that are run: in the order of names they are neighbours."""
    pages[:] = [page for first in range(4) for page in pages[first::4]]


def write_pages(app: Sphinx, error: Exception | None) -> None:
    """Put the pages on which one draws a digit, and a network learns, beside the glossary."""
    if error is None and app.builder.name == "html":
        classifier = spikemnist.load("mnist-mlp")
        digit, playground = (Path(app.outdir) / f"{n}-page.html" for n in ("digit", "playground"))
        spikemnist.export.to_html(classifier, digit)
        spikemnist.export.to_playground(playground)
        for page in (digit, playground):
            text = page.read_text(encoding="utf-8")
            link = '<link rel="glossary" href="glossary.html">\n</head>'
            page.write_text(text.replace("</head>", link, 1), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", take_notebook, priority=100)
    app.connect("env-before-read-docs", spread_pages)
    app.connect("build-finished", write_pages)
