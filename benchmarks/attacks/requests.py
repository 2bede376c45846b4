"""Invalid command lines must give exit code 2 and one line that names the option."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from benchmarks.attacks.attack import Attack, one_line
from benchmarks.attacks.model_files import command, runs

if TYPE_CHECKING:
    import random
    from pathlib import Path

BELOW_ONE = ("0", "-1", "1.5", "x", "nan", "", "ten", "-99999999999999999999")
BELOW_ZERO = ("-1", "1.5", "x", "nan", "", "18446744073709551616", "1e3")
NAMES = ("x", "", "None", "../..", "mnist digits", "\u00fc", "a" * 300)
COUNTS = ("epochs", "batch-size", "hidden", "num-steps", "neurons", "passes", "features")
OPTIONS: dict[str, tuple[str, ...]] = {
    "train": (
        *("epochs", "batch-size", "hidden", "num-steps", "lr", "seed", "data", "model", "device"),
        *("encoder", "backend", "drop-events"),
    ),
    "stdp": ("neurons", "passes", "features", "seed", "data", "voting", "theta-plus"),
    "encode": ("num-steps", "index", "seed", "data", "encoder"),
    "evaluate": ("batch-size", "seed", "data", "device", "backend"),
    "plot": ("index", "seed"),
}
"""Options of each command."""


def request_case(material: Path, draw: random.Random, folder: Path) -> str | None:
    """Give a command an option with an invalid value, or an option that does not exist."""
    name = draw.choice(sorted(OPTIONS))
    option = draw.choice(OPTIONS[name])
    value = draw.choice(_wrong(option))
    words = [name, *([str(material)] if name in ("evaluate", "plot") else [])]
    if draw.random() < 0.15:
        option = draw.choice(("sede", "wokers", "-", "no-epochs", "\u00fc", "x" * 200))
    words += [f"--{option}", value] if draw.random() < 0.5 else [f"--{option}={value}"]
    return _judge(words, option, folder)


def _wrong(option: str) -> tuple[str, ...]:
    if option in COUNTS:
        return (*BELOW_ONE, "100000000000000000000")
    if option in ("seed", "index"):
        return BELOW_ZERO
    if option in ("lr", "theta-plus"):
        return ("-1", "nan", "x", "", "-inf", "inf")
    if option == "drop-events":
        return ("-1", "1", "nan", "x", "")
    return NAMES


def _judge(words: list[str], option: str, folder: Path) -> str | None:
    told = " ".join(word if len(word) < 40 else f"{word[:40]}..." for word in words)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code, _, complaint = command(words)
    except Exception as error:
        return f"{told}: {one_line(error)}"
    # The first command of a process may print that it compiles a kernel.
    lines = complaint.splitlines(keepends=True)
    complaint = "".join(line for line in lines if "compiling kernels" not in line)
    if code != 2:
        return f"{told}: exit code {code}: {complaint[-200:]!r}"
    if complaint.count("\n") != 1 or len(complaint) > 1000:
        return f"{told}: {complaint.count(chr(10))} lines: {complaint[:200]!r}"
    if _plain(option) not in _plain(complaint):
        return f"{told}: does not name the option: {complaint[:200]!r}"
    left = sorted(path.name for path in folder.rglob("*") if path.is_file())
    return f"{told}: left {', '.join(left)}" if left else None


def _plain(text: str) -> str:
    return re.sub(r"[-_\s]", "", text).lower()


ATTACKS = (
    Attack(
        name="requests",
        expectation="A wrong value gives exit code 2, one line that names its option, and no file.",
        prepare=runs,
        case=request_case,
        limit=180.0,
    ),
)
