"""Codes, surrogates and readouts by name stand in the documents that CONTRIBUTING.md lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikemnist.encoding import ENCODERS
from spikemnist.models import READOUTS
from spikemnist.ops import SURROGATES

ROOT = Path(__file__).resolve().parent.parent
CODES = ["docs/api/encoding.md", "docs/howto/choose-timesteps.md"]
DERIVATIVES = ["docs/guide/surrogate-gradients.md", "src/spikemnist/export/page/surrogates.js"]

MOST = 0.75
"""Share of the names that a table has if it is one of them all."""


def tables(document: str) -> Iterator[set[str]]:
    """Yield the names in each table of a page, and in an object of JavaScript."""
    yield {*re.findall(r"^  (\w+): \{", document, re.MULTILINE)}
    for table in re.findall(r"(?:^\|.*\n)+", document, re.MULTILINE):
        yield {*re.findall(r"`(\w+)[ `]", table)}


@pytest.mark.parametrize(
    ("names", "documents"),
    [(ENCODERS, CODES), (SURROGATES, DERIVATIVES), (READOUTS, ["docs/guide/readouts.md"])],
    ids=["encoders", "surrogates", "readouts"],
)
def test_a_registered_name_is_in_the_documents(names: list[str], documents: list[str]) -> None:
    """In each of their tables."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    forgotten = []
    for document in documents:
        assert document.removeprefix("src/spikemnist/") in contributing
        text = (ROOT / document).read_text(encoding="utf-8")
        absent = [{*names} - listed for listed in tables(text)]
        absent = [some for some in absent if len(some) <= (1 - MOST) * len(names)]
        assert absent, f"no table of the names: {document}"
        forgotten += [f"{name}: {document}" for some in absent for name in some]
    assert not forgotten, f"forgotten: {', '.join(sorted(forgotten))}"
