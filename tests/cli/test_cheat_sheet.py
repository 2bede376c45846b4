"""The command line accepts the commands of the cheat sheet; the docs build runs its Python."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from spikemnist.cli.parser import COMMANDS, parse

PAGE = Path(__file__).parents[2] / "docs" / "cheatsheet.md"


def test_the_cheat_sheet_has_valid_commands() -> None:
    (block,) = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert {program for program, *_ in lines} == {"spikemnist"}
    # --resume would read the run.
    parsed = {type(parse([word for word in words if word != "--resume"])) for _, *words in lines}
    assert parsed == set(COMMANDS.values()) - {COMMANDS["bench"]}
