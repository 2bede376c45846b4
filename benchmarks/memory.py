"""Measure the peak memory that a training step adds, in a new process for each candidate.

The figure is the peak resident set during two training steps, minus the resident set before them.
Before these steps, everything is imported and compiled, the model and Adam's moments exist, and
steps with a sixteenth of the batch have run, whose freed memory was returned to the system. Buffers
that these small steps keep on purpose are not counted, so the figure is too small by at most a
sixteenth. On Linux the peak of a process can be read and reset. On other systems `getrusage` gives
the peak since the start of the process, and the growth of this peak is reported. It is too small if
the process had a higher peak while it started than before the step. Windows is not measured.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import candidates
from benchmarks.workload import Workload, first_weights, trained_weights

if TYPE_CHECKING:
    from torch import nn

    from benchmarks.candidates import Candidate
    from benchmarks.workload import Batch

ROOT = Path(__file__).resolve().parents[1]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"
WARM_UP_SHARE = 16
NOT_MEASURED = {"Spyx": "XLA compiles for each shape anew, in memory that is no part of the step"}

NOT_ON_WINDOWS = "Windows does not tell the peak of a process in a way that this reads"


def measure(workload: Workload) -> dict[str, Any]:
    """Return the bytes that a training step of each candidate adds, as plain values."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        # Training in the child process would leave freed memory that the step could reuse.
        weights = Path(folder, "weights.pt")
        save_weights(trained_weights(workload), weights)
        for name in candidates.names():
            why = NOT_ON_WINDOWS if sys.platform == "win32" else NOT_MEASURED.get(name, "")
            found[name] = {"why": why} if why else in_a_process(name, workload, weights)
    return {**asdict(workload), "candidates": found}


def save_weights(layers: list[nn.Linear], file: Path) -> None:
    """Write weights to a file that the child process reads."""
    torch.save([layer.state_dict() for layer in layers], file)


def in_a_process(name: str, workload: Workload, weights: Path) -> dict[str, Any]:
    """Measure one candidate in a new process."""
    request = {
        "name": name,
        "workload": asdict(workload),
        "weights": str(weights),
        "threads": torch.get_num_threads(),
    }
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.memory", json.dumps(request)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if child.returncode:
        return {"why": (child.stderr.strip().splitlines() or [f"exit {child.returncode}"])[-1]}
    answer: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return answer


def added_by_step(name: str, workload: Workload, layers: list[nn.Linear]) -> dict[str, Any]:
    """Return the bytes that two training steps add to this process at their peak."""
    candidate = candidates.build(name, layers, workload)
    batch = workload.load()
    few = max(workload.batch // WARM_UP_SHARE, 1)
    for _ in range(2):
        candidate.step(batch.pixels[:few], batch.labels[:few])
    before = resident_before()
    for _ in range(2):
        candidate.step(batch.pixels, batch.labels)
    return {"why": "", "bytes": max(peak() - before, 0), "backend": backend_of(candidate, batch)}


def backend_of(candidate: Candidate, batch: Batch) -> str:
    """Return the backend of this package that ran; empty for other libraries."""
    if candidate.name.startswith(candidates.OURS):
        candidate.trace(candidate.prepare_input(batch.spikes))
    return candidate.backend


def resident_before() -> int:
    """Return freed memory to the system, reset the peak, and return the baseline of later peaks.

    The baseline is the resident set if the peak can be reset, else the peak so far.
    """
    gc.collect()
    if not CLEAR.exists():
        return peak()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(0)
    CLEAR.write_text(RESET_PEAK, encoding="ascii")
    return status("VmRSS")


def peak() -> int:
    """Return the largest resident set of this process, in bytes."""
    if STATUS.exists():
        return status("VmHWM")
    import resource  # not available on Windows

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


def status(field: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def main() -> None:
    """Measure the candidate of the request, and print the result as JSON."""
    request = json.loads(sys.argv[1])
    torch.set_num_threads(request["threads"])
    workload = Workload(**request["workload"])
    layers = first_weights(workload.sizes)
    for layer, state in zip(layers, torch.load(request["weights"], weights_only=True), strict=True):
        layer.load_state_dict(state)
    print(json.dumps(added_by_step(request["name"], workload, layers)))


if __name__ == "__main__":
    main()
