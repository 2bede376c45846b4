"""Completion in bash, written from the options of the commands."""

from __future__ import annotations

import importlib

from spikemnist.cli.parser import options_of

SCRIPT = """_spikemnist() {{
  local words="{commands}"
  [ "$COMP_CWORD" = 1 ] || case "${{COMP_WORDS[1]}} $3" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$2"))
}}
complete -o default -F _spikemnist spikemnist"""
"""Function of bash, which gets the word to complete and the one before it."""


def script(commands: tuple[str, ...]) -> str:
    """Return what bash runs: a command is followed by its flags, a flag by the names for it."""
    words: dict[str, list[str]] = {}
    for name in commands:
        choices = options_of(name, importlib.import_module(f"spikemnist.cli.{name}")).choices
        words |= {f"'{name} {flag}'": names for flag, names in choices.items() if names}
        words[f"'{name} '*"] = [*choices]
    cases = (f"    {pattern}) words='{' '.join(names)}' ;;" for pattern, names in words.items())
    return SCRIPT.format(commands=" ".join(commands), cases="\n".join(cases))
