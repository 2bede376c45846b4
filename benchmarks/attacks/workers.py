"""Run cases in child processes, with limits of time and of memory.

A child prints a JSON line before and after each case. If it dies or exceeds the time limit, the
case that it had begun has failed; the next child continues after that case.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attacks.attack import one_line, random_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from benchmarks.attacks.attack import Attack

MEMORY = 24 << 30
"""Limit of a child's address space in bytes, if the system supports it."""
START = 300.0
"""Seconds for the start of a child and its preparation, which may compile kernels."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """The result of a case.

    Attributes
    ----------
    case
        Number of the case; -1 for the preparation of the class.
    failure
        Description of the failure, or None if the expectation held.
    """

    case: int
    failure: str | None


def run_cases(
    attack: Attack, seed: int, *, first: int, until: float
) -> Generator[Outcome, None, None]:
    """Yield the results of the cases from number ``first`` on.

    Cases run until `time.monotonic` reaches ``until``, at least one in each child. A failed
    preparation ends the class, with case -1.
    """
    case = first
    while time.monotonic() < until:
        for outcome in _child(attack, seed, case, until):
            yield outcome
            if outcome.case < 0:
                return
            case = outcome.case + 1


def _child(attack: Attack, seed: int, first: int, until: float) -> Iterator[Outcome]:
    folder = Path(tempfile.mkdtemp(prefix="attacks-"))
    seconds = max(0.0, until - time.monotonic())
    words = [attack.case.__module__, attack.name, str(seed), str(first), str(seconds), str(folder)]
    try:
        with _process(words, folder) as (process, lines):
            yield from _listen(attack, process, lines, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listen(
    attack: Attack,
    process: subprocess.Popen[bytes],
    lines: queue.Queue[dict[str, Any] | None],
    folder: Path,
) -> Iterator[Outcome]:
    """Yield the results from a child. If it ends too early, the case that it had begun failed."""
    begun, limit = -1, START
    while True:
        try:
            message = lines.get(timeout=limit)
        except queue.Empty:
            yield Outcome(begun, f"did not end in {limit:.0f} s")
            return
        if message is None:
            code = process.wait()
            trace = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
            yield Outcome(begun, f"the process died{_cause(code)}: {trace.strip()[-300:]!r}")
            return
        if message.get("end"):
            return
        if "failure" in message:
            yield Outcome(message["case"], message["failure"])
        begun, limit = message["case"], attack.limit


def _cause(code: int) -> str:
    if code >= 0:
        return f" with exit code {code}"
    return f" of {signal.Signals(-code).name}"


@contextlib.contextmanager
def _process(
    words: Sequence[str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], queue.Queue[dict[str, Any] | None]]]:
    """Start a child process, and finally kill it with all of its children."""
    lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "Agg"}
    with (folder / "stderr").open("wb") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.attacks.workers", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            start_new_session=True,
        )

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, lines
    finally:
        _end(process)
        reader.join(10)
        if process.stdout is not None:
            process.stdout.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def work(attack: Attack, seed: int, first: int, seconds: float, folder: Path) -> None:
    """Run at least one case in this process, until the time is over, and report to stdout."""
    report = _reporter()
    _limit_memory()
    faulthandler.enable()
    until = time.monotonic() + seconds
    material_folder = folder / "material"
    material_folder.mkdir()
    try:
        os.chdir(material_folder)
        material = attack.prepare(material_folder)
    except Exception as error:
        report({"case": -1, "failure": f"could not be prepared: {one_line(error)}"})
        report({"end": True})
        return
    case = first
    while case == first or time.monotonic() < until:
        report({"case": case})
        report({"case": case, "failure": run_case(attack, material, seed, case, folder)})
        case += 1
    report({"end": True})


def run_case(attack: Attack, material: Any, seed: int, case: int, folder: Path) -> str | None:
    """Run one case in an empty folder, and return its failure or None."""
    place = folder / f"case-{case}"
    place.mkdir()
    os.chdir(place)
    try:
        return attack.case(material, random_of(attack.name, seed, case), place)
    except Exception as error:
        return f"the attack itself met {one_line(error)}"
    finally:
        os.chdir(folder)
        shutil.rmtree(place, ignore_errors=True)


def _reporter() -> Any:
    """Return a function that writes messages to stdout, and discard the output of cases."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)

    def report(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=stream, flush=True)

    return report


def _limit_memory() -> None:
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run as the child process that `run_cases` starts."""
    module, name, seed, first, seconds, folder = sys.argv[1:]
    attacks: Sequence[Attack] = importlib.import_module(module).ATTACKS
    (attack,) = (attack for attack in attacks if attack.name == name)
    work(attack, int(seed), int(first), float(seconds), Path(folder))


if __name__ == "__main__":
    main()
