"""Tables of figures that a notebook shows for an object."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML, with its caption, a row of headings, and a row for each entry."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    # Captions of tables are above in notebooks, and may be cut to the width of a narrow table.
    title = f'<caption style="white-space: nowrap">{escape(caption)}</caption>'
    return f"<table>{title}<tr>{cells}</tr>{body}</table>"
