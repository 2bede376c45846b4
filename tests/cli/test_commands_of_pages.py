"""Commands on the pages of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikemnist.cli import COMMANDS
from tests.cli.test_help import commands, parse

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: Path) -> str:
    """Return the commands of a page."""
    pattern = r"^```(?:bash|console)\n(.*?)^```"
    return "".join(re.findall(pattern, page.read_text("utf-8"), re.MULTILINE | re.DOTALL))


PAGES = (*DOCS.glob("[!_]*/*.md"), *DOCS.glob("*.md"), DOCS.parent / "README.md")
TEXTS = {page.name: text for page in PAGES if commands(text := blocks(page))}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_commands_are_valid(text: str) -> None:
    for words in commands(text):
        parse(*(word for word in words if word != "--resume"))  # it would read the run


def test_the_cheat_sheet_has_every_command_that_a_user_needs() -> None:
    assert {words[0] for words in commands(TEXTS["cheatsheet.md"])} == {*COMMANDS}


def test_the_docs_have_every_command() -> None:
    """The directive prints the help of a command when the page is built."""
    section = re.compile(r"^## (\w+)\n(?:(?!## ).*\n)*?```\{options\} (\w+)$", re.MULTILINE)
    sections = section.findall((DOCS / "command-line.md").read_text("utf-8"))
    assert sections == [(name, name) for name in COMMANDS]
