"""Tables that objects print, as aligned text or in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from spikemnist._arguments import suggestion

ENDS = 5
"""Rows that the text of a long table shows at each end."""


class Table(NamedTuple):
    """A title, the names of the columns, a row for each entry, and a note below them."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def __str__(self) -> str:
        return self.text()

    def text(self, *, bare: bool = False) -> str:
        """Return the table with aligned columns: numbers to the right, words to the left.

        ``bare`` leaves out the title, and keeps all rows of a long table.
        """
        rows = [*self.rows]
        if len(rows) > 2 * ENDS and not bare:
            rows[ENDS:-ENDS] = [["..."] + [""] * (len(self.head) - 1)]
        lines = [self.head, *rows]
        columns = [_aligned(column) for column in zip(*lines, strict=True)] if rows else []
        body = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
        body += self.note.splitlines()
        return "\n".join(body) if bare else "\n  ".join([self.title, *body])

    def html(self) -> str:
        """Return the table in HTML, with the title as its caption."""
        body = "".join(_row(cells, "td") for cells in self.rows)
        # Captions of tables are above in notebooks, and may be cut to the width of a narrow table.
        text = "<br>".join(escape(line) for line in (self.title, *self.note.splitlines()))
        caption = f'<caption style="white-space: nowrap">{text}</caption>'
        return f"<table>{caption}{_row(self.head, 'th')}{body}</table>"


class Tabular:
    """An object that prints as a table."""

    def table(self) -> Table:
        """Return the table."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.table().text()

    def _repr_html_(self) -> str:
        return self.table().html()


class Result(Tabular):
    """What a function returns, as a table; it answers a wrong name by the one that was meant."""

    _elsewhere: ClassVar[Mapping[str, str]] = {}
    """How to write what is looked for as an attribute, and is none."""

    if not TYPE_CHECKING:  # a type checker would believe in every name

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that raises: again, for its own words
                return object.__getattribute__(self, name)
            hint = "" if name.startswith("_") else self._hint(name)
            raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}")

        def __getitem__(self, name: object) -> NoReturn:
            hint = self._hint(str(name))
            raise TypeError(f"{type(self).__name__} has attributes, no entries{hint}")

    def _hint(self, name: str) -> str:
        names = [known for known in dir(self) if not known.startswith("_")]
        return suggestion(name, names, self._elsewhere)


def _aligned(column: Sequence[str]) -> list[str]:
    width = max(map(len, column))
    numbers = all(not cell or cell[0] in "-.0123456789" for cell in column[1:])
    return [cell.rjust(width) if numbers else cell.ljust(width) for cell in column]


def _row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
