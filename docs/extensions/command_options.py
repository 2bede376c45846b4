"""Usage and options of a command, from the annotations that its ``--help`` prints."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spikemnist.cli import options
from spikemnist.cli.limits import flag
from spikemnist.cli.parser import COMMANDS

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Options(SphinxDirective):
    """Write the usage of a command, and a table for each group of its options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes; the page is built again when the annotations change."""
        self.env.note_dependency(inspect.getfile(options))
        (name,) = self.arguments
        hints = get_type_hints(COMMANDS[name], include_extras=True)
        words = [
            help_of(hints[field.name]).metavar
            for field in dataclasses.fields(COMMANDS[name])
            if is_positional(field)
        ]
        usage = nodes.literal("", " ".join(["spikemnist", name, "[OPTIONS]", *words]))
        return [nodes.paragraph("", "Usage: ", usage), *tables(COMMANDS[name])]


def is_positional(field: dataclasses.Field[Any]) -> bool:
    """Tell whether a field is an argument without a flag; those alone are required."""
    return field.default is dataclasses.MISSING


def help_of(hint: Any) -> Any:
    """Return the part of an annotation that `spikemnist.cli.options.option` wrote."""
    return next(part for part in hint.__metadata__ if hasattr(part, "help_behavior_hint"))


def tables(kind: Any) -> list[nodes.Node]:
    """Return a table of the options, and below a heading another for each group."""
    hints = get_type_hints(kind, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    fields = [field for field in dataclasses.fields(kind) if field.name not in groups]
    found = [table(*(row(field, hints[field.name]) for field in fields))]
    for name, group in groups.items():
        found.append(nodes.rubric("", f"{name.capitalize()} options"))
        found += [nodes.paragraph("", inspect.getdoc(group)), *tables(group)]
    return found


def table(*rows: nodes.row) -> nodes.Node:
    """Return a table with three columns."""
    head = row_of(*([nodes.paragraph("", word)] for word in ("Option", "Default", "")))
    parts = (nodes.thead("", head), nodes.tbody("", *rows))
    columns = (nodes.colspec(colwidth=1) for _ in range(3))
    classes = ["command-options", "colwidths-auto"]
    return nodes.table("", nodes.tgroup("", *columns, *parts, cols=3), classes=classes)


def row_of(*cells: list[nodes.paragraph]) -> nodes.row:
    """Return a row of cells, each of paragraphs."""
    return nodes.row("", *(nodes.entry("", *paragraphs) for paragraphs in cells))


def row(field: dataclasses.Field[Any], hint: Any) -> nodes.row:
    """Return the row of an option; its choices, if it has any, are below its description."""
    described, kind = help_of(hint), get_args(hint)[0]
    value = described.metavar or ("" if kind is bool else f"{{{','.join(get_args(kind))}}}")
    choices = re.sub("[{}]", "", value).replace(",", ", ") if value.startswith("{") else ""
    name = value if is_positional(field) else f"{flag(field.name)} {'' if choices else value}"
    text = [with_code(described.help, r"(--[\w-]+)")]
    if choices:
        text.append(with_code(choices, r"([\w-]+)"))
    return row_of(
        [nodes.paragraph("", "", nodes.literal("", name.strip()))],
        [nodes.paragraph("", default_of(field, described))],
        text,
    )


def default_of(field: dataclasses.Field[Any], described: Any) -> str:
    """Return the default as ``--help`` shows it, without ``(default: )``."""
    if is_positional(field):
        return "required"
    default = field.default if isinstance(field.default, tuple) else (field.default,)
    shown: str = described.help_behavior_hint(" ".join(map(str, default)))
    return shown.removeprefix("(default: ").removesuffix(")")


def with_code(text: str, code: str) -> nodes.paragraph:
    """Return a text whose matches are code, so that two hyphens stay two hyphens."""
    parts = enumerate(re.split(code, text))
    found = (nodes.literal("", part) if n % 2 else nodes.Text(part) for n, part in parts)
    return nodes.paragraph("", "", *found)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_directive("options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
