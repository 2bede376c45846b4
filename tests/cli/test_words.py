"""Help, names of choices, ranges of numbers, and commands to copy."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import get_args

import pytest

from spikemnist import __version__, _names
from spikemnist.cli import limits, main, options, parser, wording
from spikemnist.data.augmentation import AUGMENTATIONS
from spikemnist.energy import MEMORIES, TECHNOLOGIES
from spikemnist.models import READOUTS
from spikemnist.ops import BACKENDS, SURROGATES
from spikemnist.training import TrainConfig, recipes
from spikemnist.training.losses import LOSSES
from spikemnist.training.optimizers import OPTIMIZERS
from spikemnist.training.schedules import SCHEDULES

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"spikemnist {__version__}\n"


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    half = len(printed) // 2
    assert printed[:half] == printed[half:]
    for word in (*parser.COMMANDS, "spikemnist --version"):
        assert word in printed


@pytest.mark.parametrize("command", parser.COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert not re.search(r"None|True|False|\bSTR\b|\bINT\b|\bFLOAT\b", printed)
    names = [
        name
        for name in limits.types_of(parser.COMMANDS[command])
        if name not in ("run", "runs", "pictures")
    ]
    for name in names:
        assert re.search(rf" {limits.flag(name)} ", printed)
    assert printed.count("(default: ") == len(names)
    if "--encoder" in printed:
        for encoder in options.ENCODERS:
            assert encoder in printed


@pytest.mark.parametrize(
    ("words", "epochs"),
    [
        ("train", options.Train().epochs),
        ("train --recipe accurate", recipes["accurate", "mlp"].config.epochs),
        ("train --model conv --recipe accurate", recipes["accurate", "conv"].config.epochs),
        ("train --resume", options.Train().epochs),
    ],
)
def test_help_has_the_defaults_that_follow_from_other_options(
    words: str, epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: spikemnist train [-h]")
    assert f"passes over the training images (default: {epochs})" in printed
    assert "Train a spiking network" in printed


def test_choices_are_those_of_the_library() -> None:
    assert set(get_args(_names.Backend)) == set(BACKENDS)
    choices = limits.types_of(options.Train)
    assert get_args(_names.SurrogateName) == tuple(sorted(SURROGATES))
    assert get_args(_names.ReadoutName) == tuple(READOUTS)
    assert set(get_args(choices["loss"])) == set(LOSSES)
    assert set(get_args(choices["optimizer"])) == set(OPTIMIZERS)
    assert set(get_args(choices["schedule"])) == set(SCHEDULES)
    assert set(get_args(get_args(choices["augment"])[0])) == set(AUGMENTATIONS)
    assert set(get_args(options.Technology)) == set(TECHNOLOGIES)
    assert set(get_args(options.Memory)) == set(MEMORIES)


def test_defaults_are_those_of_the_library() -> None:
    values, config = limits.values_of(options.Train()), vars(TrainConfig())
    assert config.keys() - values.keys() == {"clip_norm", "truncate"}
    assert {name: values.get(name) for name in config} == config


def test_the_docs_have_every_command() -> None:
    """The directive reads its options from the annotations when the page is built."""
    section = re.compile(r"^## (\w+)\n(?:(?!## ).*\n)*?```\{options\} (\w+)$", re.MULTILINE)
    sections = section.findall(PAGE.read_text(encoding="utf-8"))
    assert sections == [(command, command) for command in parser.COMMANDS]


def test_every_number_has_limits() -> None:
    for kind in parser.COMMANDS.values():
        numbers = {
            name
            for name, type_ in limits.types_of(kind).items()
            if re.search(r"\b(int|float)\b", str(type_)) and "bool" not in str(type_)
        }
        assert numbers == set(limits.limits_of(kind))


@pytest.mark.skipif(sys.platform == "win32", reason="its shell quotes otherwise")
def test_commands_to_copy_are_quoted() -> None:
    text = wording.command_line("plot", Path("días de/ran dom"))
    assert text == "plot 'días de/ran dom'"
