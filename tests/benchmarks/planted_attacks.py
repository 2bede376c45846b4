"""Classes of attacks whose outcome is known, for the tests of the program that runs attacks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.attacks.attack import Attack

if TYPE_CHECKING:
    import random


def prepare(folder: Path) -> str:
    (folder / "sound").write_text("sound", encoding="utf-8")
    return "material"


def broken(folder: Path) -> None:
    raise RuntimeError("no material")


def holds(material: str, draw: random.Random, folder: Path) -> str | None:
    print("what a case prints goes nowhere")
    empty = not any(folder.iterdir()) and folder.samefile(Path.cwd())
    return None if material == "material" and empty else "wrong surroundings"


def fails(material: str, draw: random.Random, folder: Path) -> str | None:
    number = draw.random()
    return f"planted: the number {number:.3f}" if number < 0.5 else None


def dies(material: str, draw: random.Random, folder: Path) -> str | None:
    os.abort()


def hangs(material: str, draw: random.Random, folder: Path) -> str | None:
    time.sleep(600)
    return None


def raises(material: str, draw: random.Random, folder: Path) -> str | None:
    raise KeyError("a mistake of the attack")


def grows(material: str, draw: random.Random, folder: Path) -> str | None:
    return f"{len(bytearray(1 << 40))} bytes of memory"


CASES = (holds, fails, dies, hangs, raises, grows)
ATTACKS = (
    *(
        Attack(
            name=case.__name__,
            expectation="Planted.",
            prepare=prepare,
            case=case,
            limit=1.0 if case is hangs else 60.0,
        )
        for case in CASES
    ),
    Attack(name="unprepared", expectation="Planted.", prepare=broken, case=holds),
)
