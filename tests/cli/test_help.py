"""Help, names of choices, and commands to copy."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from pathlib import Path
from typing import get_args

import pytest

from spikemnist import __version__, _names
from spikemnist.cli import COMMANDS, main, output, parser
from spikemnist.data.augmentation import AUGMENTATIONS
from spikemnist.energy import MEMORIES, TECHNOLOGIES
from spikemnist.models import READOUTS, NetworkOptions, available_pretrained
from spikemnist.ops import BACKENDS, RESET_MECHANISMS, SURROGATES
from spikemnist.training import TrainConfig
from spikemnist.training.losses import LOSSES
from spikemnist.training.optim import OPTIMIZERS, SCHEDULES


def printed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command prints that must succeed without an error."""
    assert main(words.split()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def entries(page: str) -> dict[str, str]:
    """Return the text of each option on a page of help."""
    actual = re.findall(r"^  --([\w-]+)(.*\n(?:   .*\n)*)", page, re.MULTILINE)
    return {option: " ".join(text.split()) for option, text in actual}


def parse(*words: str) -> parser.Command:
    return parser.parse(words[0], importlib.import_module(f"spikemnist.cli.{words[0]}"), words[1:])


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(word, capsys) == f"spikemnist {__version__}\n"


def test_the_overview_has_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    overviews = {printed(word, capsys) for word in ("", "help", "-h", "--help")}
    (overview,) = overviews
    assert tuple(re.findall(r"^  (\w+) +[A-Z].*\.$", overview, re.MULTILINE)) == tuple(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = printed(f"help {name}", capsys)
    assert page == printed(f"{name} --help", capsys) == printed(f"{name} --json -h", capsys)
    assert page.startswith(f"usage: spikemnist {name} ")
    assert max(map(len, page.splitlines())) <= 80
    assert not re.search(r"\b(None|True|False)\b", page)
    module = importlib.import_module(f"spikemnist.cli.{name}")
    for option, value in parser.options_of(name, module).defaults.items():
        text = entries(page)[option.replace("_", "-")]
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert value in (None, False) or text.endswith(f"(default: {shown or 'none'})")
    for example in module.EXAMPLES.strip().splitlines():
        assert f"\n  {example}\n" in page
    if " RUN" in page:
        assert ", ".join(available_pretrained()) in " ".join(page.split())


@pytest.mark.parametrize(
    ("words", "defaults"),
    [
        ("", "encoder latency, num-steps 8, hidden 512, epochs 10, augment none"),
        ("--model conv", "encoder direct, num-steps 4, batch-norm on, epochs 6"),
        ("--data nmnist", "encoder events, num-steps 10, epochs 20, batch-size 32"),
        ("--recipe accurate", "hidden 800 800, epochs 60, augment affine elastic"),
        ("--recipe accurate --model conv --epochs 7", "batch-norm on, epochs 40, augment affine"),
        ("--recipe accurate --data fashion_mnist", "encoder direct, batch-norm on, augment flip"),
        ("--resume", "epochs 10"),
        ("--recipe fast --model conv --nonsense", "epochs 10"),
    ],
)
def test_help_has_the_defaults_that_follow_from_other_options(
    words: str, defaults: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = entries(printed(f"train {words} --help", capsys))
    for default in defaults.split(", "):
        option, _, value = default.partition(" ")
        assert texts[option].endswith(f"(default: {value})")


def commands(text: str) -> list[list[str]]:
    """Return the words of each line that runs the program, without its name."""
    lines = re.findall(r"^ *(?:\$ )?spikemnist (.*)", text.replace("\\\n", " "), re.MULTILINE)
    return [shlex.split(line.partition("|")[0], comments=True) for line in lines]


EXAMPLES = {name: importlib.import_module(f"spikemnist.cli.{name}").EXAMPLES for name in COMMANDS}


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_examples_are_valid(text: str) -> None:
    for words in commands(text):
        parse(*(word for word in words if word != "--resume"))  # it would read the run


def test_choices_are_those_of_the_library() -> None:
    for names, library in {
        _names.Backend: BACKENDS,
        _names.SurrogateName: SURROGATES,
        _names.ReadoutName: READOUTS,
        _names.ResetMechanism: RESET_MECHANISMS,
        _names.LossName: LOSSES,
        _names.OptimizerName: OPTIMIZERS,
        _names.ScheduleName: SCHEDULES,
        _names.AugmentationName: AUGMENTATIONS,
        _names.TechnologyName: TECHNOLOGIES,
        _names.MemoryName: MEMORIES,
    }.items():
        assert sorted(get_args(names)) == sorted(library)


def test_options_and_defaults_are_those_of_the_library() -> None:
    for settings in (TrainConfig(), NetworkOptions()):
        assert vars(settings).items() <= vars(parse("train")).items()


@pytest.mark.skipif(sys.platform == "win32", reason="its shell quotes otherwise")
def test_commands_to_copy_are_quoted() -> None:
    assert output.command_line("plot", Path("días de/ran dom")) == "plot 'días de/ran dom'"


def test_arguments_stand_around_options() -> None:
    command = parse("predict", *["run", "a.png", "--gif", "b.png", "--seed", "3", "c.png"])
    assert [path.name for path in command.pictures] == ["a.png", "b.png", "c.png"]
    assert (command.run.name, command.gif, command.seed) == ("run", True, 3)


def test_command_of_a_missing_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "stdp", "spikemnist.nothing")
    assert main(["stdp"]) == 2
    assert "no command stdp: spikemnist.nothing is missing" in capsys.readouterr().err
    assert main([]) == 0
    assert "stdp" not in capsys.readouterr().out
