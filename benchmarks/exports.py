"""Compare exported networks with their originals: spikes, answers, bytes, milliseconds.

Spikes are compared on the first test images, answers on all test images. Timed calls process images
one by one, as a device would.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.machine import describe_machine
from benchmarks.replay import REPLAY, from_lines
from benchmarks.report import NOTHING, UNSTEADY, machine, table
from spikemnist import load
from spikemnist.data import load_mnist
from spikemnist.encoding import DirectEncoder
from spikemnist.export import to_c, to_onnx
from spikemnist.export.arrays import read_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.replay import Spikes
    from spikemnist.models import Classifier

    Replayed = tuple[Spikes, NDArray[Any]]
    """Spikes and answers."""

REPLAYED = 1000
"""Number of images whose spikes are compared."""
TIMED = 500
"""Number of images in a timed call."""
BATCH = 250


def measure(name: str) -> dict[str, Any]:
    """Export a pretrained network in every format that runs here, and run each export.

    Returns
    -------
    dict
        ``network``, ``images``, ``formats`` with a row for each format, and ``machine``.
    """
    classifier: Any = load(name)
    test = load_mnist()[1]
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        ours = Ours(classifier.eval())
        ways = [ours, *(way(classifier, Path(folder)) for way in WAYS)]
        spikes, answers = ours.replay(test.images[:REPLAYED])[0], ours.answers(test.images)
        jobs = {way.name: way.job(test.images[:TIMED]) for way in ways}
        timed = timing.time_in_turn(jobs, repeats=9)
        rows = []
        for way in ways:
            found, few = way.replay(test.images[:REPLAYED])
            all_answers = way.answers(test.images)
            rows.append(
                {
                    "format": way.name,
                    "bytes": way.size,
                    "memory": way.memory,
                    "differ": _differing(spikes, found),
                    "answers": int((few != answers[:REPLAYED]).sum()),
                    "accuracy": float((all_answers == test.labels.numpy()).mean()),
                    "timing": timed[way.name],
                }
            )
    return {"network": name, "images": len(test), "formats": rows, "machine": describe_machine()}


def _differing(spikes: Spikes, others: Spikes) -> int:
    """Return the number of images with different spikes."""
    found = np.zeros(len(spikes[0][0]), bool)
    for one, other in zip(spikes, others, strict=True):
        found |= (one != other.reshape(one.shape)).any((0, *range(2, one.ndim)))
    return int(found.sum())


class Ours:
    """The original classifier; timed calls process images one by one."""

    name = "spikemnist"
    size = memory = 0

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def replay(self, images: Tensor) -> Replayed:
        records = [self.classifier(part, record="all") for part in torch.split(images, BATCH)]
        spikes = [
            np.concatenate([record.layers[i].spikes.numpy() for record in records], 1)
            for i in range(len(records[0].layers))
        ]
        return spikes, torch.cat([record.predictions for record in records]).numpy()

    def answers(self, images: Tensor) -> NDArray[Any]:
        return self.classifier.predict(images, batch_size=BATCH).numpy()

    def job(self, images: Tensor) -> Callable[[], object]:
        return lambda: [self.classifier(one).predictions for one in torch.split(images, 1)]


class Onnx:
    """ONNX in onnxruntime, with as many threads as torch."""

    name = "ONNX"
    memory = 0

    def __init__(self, classifier: Classifier, folder: Path) -> None:
        import onnxruntime

        file = to_onnx(classifier, folder / "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(file), options)
        self.size = file.stat().st_size

    def replay(self, images: Tensor) -> Replayed:
        names = [each.name for each in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(None, {"images": images.numpy()}), strict=True))
        return [found[name] for name in names if name.endswith("_spikes")], found["predictions"]

    def answers(self, images: Tensor) -> NDArray[Any]:
        found: list[Any] = self.session.run(["predictions"], {"images": images.numpy()})
        return np.asarray(found[0])

    def job(self, images: Tensor) -> Callable[[], object]:
        each = [{"images": one.numpy()} for one in torch.split(images, 1)]
        return lambda: [self.session.run(["predictions"], one) for one in each]


class C:
    """C99 compiled with -O2, on one thread."""

    weights: Literal["float32", "int8"] = "float32"

    def __init__(self, classifier: Classifier, folder: Path) -> None:
        self.name = f"C, {self.weights}"
        self.classifier, self.steps = classifier, classifier.encoder.num_steps
        self.shapes = [
            layer.shape if len(layer.shape) == 1 else (*layer.shape[1:], layer.shape[0])
            for layer in read_model(classifier)[0].layers
        ]
        to_c(classifier, folder / self.weights, weights=self.weights)
        readme = (folder / self.weights / "README.md").read_text(encoding="utf-8")
        sizes = re.findall(r"\| ([\d,]+) \|$", readme, re.M)
        self.size, self.memory = (int(size.replace(",", "")) for size in sizes)
        self.program = compiled(folder / self.weights, self.steps)

    def replay(self, images: Tensor) -> Replayed:
        signal = self.classifier.encode(images)
        if isinstance(self.classifier.encoder, DirectEncoder):
            signal = images.expand(signal.shape)
        lines = run_c(self.program, signal.movedim(0, 1))
        return from_lines(lines, self.steps, self.shapes), np.array(
            [int(line.partition(">")[2].split()[0]) for line in lines]
        )

    def answers(self, images: Tensor) -> NDArray[Any]:
        return np.array([int(line.split()[0]) for line in run_c(self.program, images, "classify")])

    def job(self, images: Tensor) -> Callable[[], object]:
        return lambda: run_c(self.program, images, "classify")


class WholeNumbers(C):
    """The C export in integers."""

    weights = "int8"


def compiled(folder: Path, steps: int = 1) -> Path:
    """Compile an export with `replay.c`, and return the program."""
    compiler = next(filter(None, map(shutil.which, ("gcc", "clang", "cc"))))
    program, sources = folder / "replay", (REPLAY, folder / "network.c")
    options = ("-std=c99", "-O2", f"-I{folder}", f"-DSTEPS={steps}")
    subprocess.run([compiler, *options, *sources, "-o", program], check=True)
    return program


def run_c(program: Path, data: Tensor, *words: str) -> list[str]:
    """Return the lines that a program prints for images or spikes."""
    given = data.contiguous().numpy().tobytes()
    done = subprocess.run([program, *words], input=given, capture_output=True, check=True)
    return done.stdout.decode().splitlines()


WAYS = (Onnx, C, WholeNumbers)


def lines(measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the parts of the page."""
    yield "# Exported networks"
    yield (
        "Written by `python -m benchmarks --sections export`. Pretrained networks in [other "
        f"formats](../../docs/howto/export.md): how many of the first {REPLAYED:,} test images of "
        "MNIST fire other spikes anywhere in the network, because a membrane lies within rounding "
        "of its threshold, or, with int8, because weights are rounded; how many of them are "
        "answered otherwise; the accuracy on all; and the time of an image, one after the other, "
        f"median over rounds of {TIMED}. C runs on one thread, the others on those of torch. Bytes "
        "are those of the file or, in C, of the constant tables; RAM is that of the state in C, on "
        "any processor."
    )
    header = ("", "Other spikes", "Other answers", "Accuracy, %", "Bytes", "RAM", "ms an image")
    for found in measured:
        yield f"## {found['network']}"
        yield table(header, [_cells(row) for row in found["formats"]])
    yield from dict.fromkeys(machine(found["machine"]) for found in measured)


def _cells(row: dict[str, Any]) -> list[str]:
    timed = row["timing"]
    return [
        row["format"],
        str(row["differ"]),
        str(row["answers"]),
        f"{100 * row['accuracy']:.2f}",
        f"{row['bytes']:,}" if row["bytes"] else NOTHING,
        f"{row['memory']:,}" if row["memory"] else NOTHING,
        UNSTEADY if timed["busy"] else timing.milliseconds(timed["median"] / TIMED),
    ]
