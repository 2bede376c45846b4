"""Codes, surrogates and readouts by name stand in the documents that CONTRIBUTING.md lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikemnist.encoding import ENCODERS
from spikemnist.models import READOUTS
from spikemnist.ops import SURROGATES

ROOT = Path(__file__).resolve().parent.parent
CODES = ["docs/api/encoding.md", "docs/guide/encodings.md", "docs/howto/choose-timesteps.md"]
DERIVATIVES = ["docs/guide/surrogate-gradients.md", "src/spikemnist/export/page/surrogates.js"]


@pytest.mark.parametrize(
    ("names", "documents"),
    [(ENCODERS, CODES), (SURROGATES, DERIVATIVES), (READOUTS, ["docs/guide/readouts.md"])],
    ids=["encoders", "surrogates", "readouts"],
)
def test_a_registered_name_is_in_the_documents(names: list[str], documents: list[str]) -> None:
    """In a row of a table, or a key of JavaScript."""
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    forgotten = []
    for document in documents:
        assert document.removeprefix("src/spikemnist/") in contributing
        text = (ROOT / document).read_text(encoding="utf-8")
        listed = re.findall(r"(?:^\|.*?|, )`(\w+)[` ]|^  (\w+): \{", text, re.MULTILINE)
        forgotten += [f"{name}: {document}" for name in {*names}.difference(*listed)]
    assert not forgotten, f"forgotten: {', '.join(sorted(forgotten))}"
