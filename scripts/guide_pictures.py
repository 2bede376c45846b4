"""Draw the pictures of the user guide as SVG, each by the code on its page.

    python scripts/guide_pictures.py                     # all
    python scripts/guide_pictures.py neuron              # those of one page
    python scripts/guide_pictures.py neuron-3 raster-1   # single ones

A picture is named after its page, such as docs/guide/neuron.md, and numbered there. The cells of
the page run in order, up to the last picture that is wanted.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import itertools
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "guide"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = re.compile(r"^    alt: '(.+)'$", re.MULTILINE)
NO_PYTHON = re.compile(r"\A---\n(?:.*\n)*?---\n|^[:%].*$", re.MULTILINE)


class Picture(NamedTuple):
    """The figure in which a cell of the guide ends."""

    page: str
    name: str
    text: str
    """What it shows, in the place of the picture for those who cannot see it."""
    cells: tuple[str, ...]
    """The code of the page, up to the end of this cell."""


def pictures() -> list[Picture]:
    """Return all pictures, in the order of pages and of their places there."""
    return [picture for page in sorted(GUIDE.glob("*.md")) for picture in pictures_of(page)]


def pictures_of(page: Path) -> list[Picture]:
    cells = CELL.findall(page.read_text(encoding="utf-8"))
    code = [NO_PYTHON.sub("", cell) for cell in cells]
    texts = [(end, text[1]) for end, cell in enumerate(cells, 1) if (text := TEXT.search(cell))]
    return [
        Picture(page.stem, f"{page.stem}-{number}", text, tuple(code[:end]))
        for number, (end, text) in enumerate(texts, 1)
    ]


def draw(wanted: list[Picture]) -> Iterator[tuple[str, Figure]]:
    """Run a page, silently, and yield those of its pictures that are wanted, by name."""
    ends = {len(picture.cells): picture.name for picture in wanted}
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(wanted[-1].cells, 1):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = run(cell, names)
        if number in ends:
            yield ends[number], value


def run(cell: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, as Jupyter does."""
    tree = ast.parse(cell)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec", dont_inherit=True), names)
    return eval(ast.unparse(last), names) if last else None


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the pictures of the user guide as SVG.")
    parser.add_argument("names", nargs="*", help="pages, or pictures such as neuron-3; else all")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder to write to")
    options = parser.parse_args()
    found = pictures()
    known = dict.fromkeys(name for picture in found for name in (picture.page, picture.name))
    for name in options.names:
        if name not in known:
            parser.error(f"no page or picture {name!r}; choose from {', '.join(known)}")
    wanted = [p for p in found if not options.names or {p.page, p.name} & {*options.names}]
    options.out.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "spikemnist"  # the same bytes each time
    for _, page in itertools.groupby(wanted, lambda picture: picture.page):
        for name, figure in draw([*page]):
            path = options.out / f"{name}.svg"
            figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
            print(path)


if __name__ == "__main__":
    main()
