"""What the compiler spends on each kernel of a command, from an empty cache.

    python -m benchmarks.compilation                    # of train --epochs 1
    python -m benchmarks.compilation train --epochs 1 --model conv
    python -m benchmarks.compilation stdp

The command runs in an empty folder, in one thread. Seconds are processor time, without the import
of Numba: of finding types, of lowering to LLVM, in LLVM, and of the rest, such as reading bytecode.
A piece of several kernels counts where it is compiled first. Instructions are LLVM's, optimised.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numba
import torch
from numba.core import event

from benchmarks.report import table
from spikemnist.cli import main as run_command

PARTS = {"nopython_type_inference": "types", "native_lowering": "lowering"}
"""Passes of Numba that have a column of their own."""
COLUMNS = ("types", "lowering", "LLVM", "rest")


class Compiled:
    """A kernel for one set of types, and the processor seconds by column."""

    def __init__(self, kernel: Any, types: Any) -> None:
        self.kernel, self.types, self.seconds = kernel, types, defaultdict[str, float](float)

    def cells(self) -> list[str]:
        """Return its row of the table."""
        function, seconds = self.kernel.py_func, [self.seconds[name] for name in COLUMNS]
        name = f"{function.__module__.removeprefix('spikemnist.')}.{function.__name__}"
        code = self.kernel.inspect_llvm(self.types)
        instructions = len(re.findall(r"^  [^ ]", code, re.MULTILINE))
        return [name, *(f"{one:.2f}" for one in (*seconds, sum(seconds))), str(instructions)]


class Meter(event.Listener):  # type: ignore[misc]
    """Charge each moment to what the compiler is doing, in the outermost function."""

    def __init__(self) -> None:
        self.compiled = list[Compiled]()
        self._inside, self._since = list[str](), 0.0

    def on_start(self, began: Any) -> None:
        """Note what begins."""
        self._charge()
        name = {"numba:compile": "rest", "numba:llvm_lock": "LLVM"}.get(began.kind)
        if name == "rest" and not self._inside:
            self.compiled.append(Compiled(began.data["dispatcher"], began.data["args"]))
        self._inside.append(name or PARTS.get(began.data["name"].split()[0], "rest"))

    def on_end(self, _: Any) -> None:
        """Go on with what it interrupted."""
        self._charge()
        self._inside.pop()

    def _charge(self) -> None:
        now = time.process_time()
        if self._inside[:1] == ["rest"]:  # not in LLVM for the cache alone
            self.compiled[-1].seconds[self._inside[-1]] += now - self._since
        self._since = now


@contextmanager
def metered() -> Iterator[list[Compiled]]:
    """Meter what Numba compiles, and yield the list of it."""
    meter, kinds = Meter(), ("numba:compile", "numba:run_pass", "numba:llvm_lock")
    for kind in kinds:
        event.register(kind, meter)
    try:
        yield meter.compiled
    finally:
        for kind in kinds:
            event.unregister(kind, meter)


def lines(compiled: Sequence[Compiled]) -> str:
    """Return a table of kernels, those that took longest first."""
    ordered = sorted(compiled, key=lambda one: -sum(one.seconds.values()))
    total = [sum(one.seconds[name] for one in compiled) for name in COLUMNS]
    rows = [
        *(one.cells() for one in ordered),
        ["all", *(f"{x:.2f}" for x in (*total, sum(total))), ""],
    ]
    return table(["kernel", *COLUMNS, "seconds", "instructions"], rows)


def main(words: Sequence[str]) -> None:
    """Run a command of the package from an empty cache, and print the table."""
    torch.set_num_threads(1)
    start = Path.cwd()
    with TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        numba.config.reload_config()
        os.chdir(folder)
        try:
            with metered() as compiled:
                run_command(words)
        finally:
            os.chdir(start)
    print(lines(compiled))


if __name__ == "__main__":
    main(sys.argv[1:] or ["train", "--epochs", "1"])
