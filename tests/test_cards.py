"""Each page of the guide and of the how-tos has a card on its index page, with a picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
PICTURES = DOCS / "_static" / "cards"
CARD = re.compile(
    r"^:::\{grid-item-card\} .+\n:link: (.+)\n:link-type: doc\n"
    r":img-top: (?:\.\./)?_static/cards/(.+)\n:img-alt: .+\n.+\n:::$",
    re.MULTILINE,
)


def cards(page: str) -> list[tuple[str, str]]:
    """Return the page and the picture of each card."""
    return CARD.findall((DOCS / page).read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", ["guide", "howto"])
def test_every_page_has_a_card(folder: str) -> None:
    pages = {page.stem for page in (DOCS / folder).glob("*.md")} - {"index"}
    assert sorted(link for link, _ in cards(f"{folder}/index.md")) == sorted(pages)


def test_every_picture_of_a_card_is_there_and_shown() -> None:
    found = [*cards("index.md"), *cards("guide/index.md"), *cards("howto/index.md")]
    files = list(PICTURES.iterdir())
    assert {picture for _, picture in found} == {file.name for file in files}
    assert sum(file.stat().st_size for file in files) < 300_000
