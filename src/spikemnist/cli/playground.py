"""``spikemnist playground``."""

from __future__ import annotations

from pathlib import Path

import spikemnist
from spikemnist.cli import pictures
from spikemnist.cli.output import show
from spikemnist.cli.parser import Command, Options

SUMMARY = "Write a web page on which a spiking network learns digits while you watch."
EXAMPLES = """
spikemnist playground
spikemnist playground --out lesson.html
"""


def add_options(add: Options) -> None:
    """Add the options."""
    text = "file to write; an existing one is replaced"
    add("--out", text, kind=Path, value="PATH", absent="playground.html, or the next free name")


def run(command: Command) -> int:
    """Write the page, and print how to open it."""
    out = command.out or pictures.unused("playground.html")
    spikemnist.export.to_playground(out)
    show(command, written=out, bytes=out.stat().st_size, next=f"open {out} in a browser")
    return 0
