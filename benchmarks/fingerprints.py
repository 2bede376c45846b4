"""Hash the results of seeded runs, to prove that a refactoring changes none of them.

``python -m benchmarks.fingerprints --out before.json`` writes a table of hashes.
``python -m benchmarks.fingerprints --against before.json`` prints every difference from it and
exits with code 1 if there is one. Hashes depend on the processor, the number of threads and the
versions of torch and Numba: compare two runs on one machine.

Only values are hashed, in the order of the layers: no name of a parameter, no key of a state dict
and no byte of a file. A new structure with the same numbers has the same hashes.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import itertools
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import snntorch
import torch
from torch import Tensor, nn

from benchmarks.exports import compiled, run_c
from spikemnist import load, ops
from spikemnist.data import EVENT, EventDataset, load_digits
from spikemnist.encoding import (
    ENCODERS,
    DirectEncoder,
    Encoder,
    EventEncoder,
    LatencyEncoder,
    RateEncoder,
    get_encoder,
)
from spikemnist.energy import measure_energy
from spikemnist.export import from_nir, to_c, to_html, to_nir, to_onnx
from spikemnist.models import (
    READOUTS,
    Classifier,
    LeakyConvNet,
    LeakyMLP,
    Record,
    accelerate,
    available_pretrained,
)
from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from spikemnist.training import TrainConfig, evaluate, fit

Parts = dict[str, str]
"""Hashes of the parts of a run, such as its weights and its metrics."""

TRAIN, TEST, BATCH, STEPS = 256, 100, 64, 6
FAST = ("reference", "event_driven")


def digest(parts: Iterable[Any]) -> str:
    """Return a short hash of a sequence of tensors, arrays and other values."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous().numpy()
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            part = np.ascontiguousarray(part).tobytes()
        total.update(part if isinstance(part, bytes) else repr(part).encode())
    return total.hexdigest()[:12]


def weights_in(model: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors of each layer in the order of the layers."""
    for module in model.modules():
        for name in ("weight", "bias", "running_mean", "running_var", "beta", "threshold"):
            tensor = getattr(module, name, None)
            if isinstance(tensor, Tensor):
                yield tensor


def record_of(record: Record) -> str:
    """Return the hash of all values of a Record."""
    layers = [(x.spikes, x.membrane, x.threshold) for x in record.layers]
    return digest(
        [
            *(record.spikes, record.membrane, record.scores, record.spike_counts),
            *(record.readout.__name__, record.backend),
            *([*record.sizes.values()], record.predictions),
            *itertools.chain(*layers),
        ]
    )


def gradients_of(model: nn.Module, record: Record, more: Iterable[Tensor] = ()) -> str:
    """Return the hash of the gradients of a loss on all recorded quantities."""
    loss = record.scores.square().sum() + record.spikes.sum()
    for layer in record.layers:
        loss = loss + (layer.spikes * layer.membrane).mean()
    for membrane in getattr(record, "state", ()):
        loss = loss + membrane.mean()
    model.zero_grad()
    torch.autograd.backward(loss)
    gradients = [x.grad for x in (*weights_in(model), *more) if x.is_leaf]
    return digest(x for x in gradients if x is not None)


def digits(count: int, *, train: bool = True) -> tuple[Tensor, Tensor]:
    """Return the first embedded images and labels."""
    images = load_digits()[0 if train else 1]
    return images.images[:count], images.labels[:count]


def recordings(number: int) -> EventDataset:
    """Return recordings of random events, with the label 0 or 1."""
    random = np.random.default_rng(0)
    events = []
    for _ in range(number):
        one = np.zeros(200, EVENT)
        one["t"] = np.sort(random.integers(0, 10_000, 200))
        one["x"], one["y"] = random.integers(0, 8, (2, 200))
        one["p"] = random.integers(0, 2, 200)
        events.append(one)
    labels = torch.arange(number) % 2
    return EventDataset(events, labels, sensor=(8, 8), classes=("a", "b"))


def trained(
    build: Callable[[], nn.Module], encoder: Any, data: Any = None, **options: Any
) -> Parts:
    """Train a network; hash its weights, metrics, evaluation, and the files as they are read."""
    torch.manual_seed(7)
    network = build()
    begin = digest(weights_in(network))
    classifier = Classifier(network, encoder)
    train, test = data or (digits(TRAIN), digits(TEST, train=False))
    given = {"epochs": 2, "batch_size": BATCH, "lr": 5e-3, "seed": 3, "schedule": "constant"}
    config = TrainConfig(**{**given, **options})
    rest: dict[str, Any] = {"validation": 0.25, "device": "cpu", "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        history = fit(classifier, train, config, run=folder, **rest)
        resumed = Classifier(build(), encoder)
        fit(resumed, train, config, run=folder, resume=True, **rest)
        parts = {"begin": begin, "resumed": digest(weights_in(resumed.network))}
        if isinstance(network, LeakyMLP | LeakyConvNet):
            loaded: Any = load(classifier.save(Path(folder, "model.safetensors")))
            parts["loaded"] = digest(weights_in(loaded.network))
    judged = evaluate(classifier, test, device="cpu")
    columns = ("loss", "accuracy", "validation_loss", "validation_accuracy", "spikes_per_sample")
    return {
        "weights": digest(weights_in(network)),
        "metrics": digest(history.column(name) for name in columns),
        "evaluation": digest([judged.accuracy, judged.loss, judged.confusion]),
        **parts,
    }


def called(build: Callable[[], nn.Module], shape: tuple[int, ...], *, train: bool = False) -> Parts:
    """Call a network on spikes with a state; hash its Record, gradients and inference Record."""
    torch.manual_seed(11)
    model: Any = build().eval()
    dtype = next(model.parameters()).dtype
    spikes = (torch.rand(STEPS, 3, *shape) < 0.2).to(dtype).requires_grad_()
    at_rest = model(spikes.detach(), state=None).state
    model.train(train)
    state = [(torch.rand_like(x) / 2).requires_grad_() for x in at_rest]
    torch.manual_seed(13)
    record = model(spikes, record="all", state=state)
    gradients = gradients_of(model, record, [spikes, *state])
    with torch.inference_mode():
        torch.manual_seed(13)
        plain = model(spikes.detach())
    return {"record": record_of(record), "gradients": gradients, "inference": record_of(plain)}


def small(kind: type[nn.Module], *, double: bool, **options: Any) -> nn.Module:
    """Return a new network, in double precision where asked."""
    model = kind(**options)
    return model.double() if double else model


def mlp(**options: Any) -> Callable[[], nn.Module]:
    """Return a constructor of a small multilayer network."""
    return partial(small, LeakyMLP, **{"hidden": (40,), "double": False, **options})


def conv(layers: str = "4C5-P2-6C5-P2-10", **options: Any) -> Callable[[], nn.Module]:
    """Return a constructor of a small convolutional network."""
    return partial(small, LeakyConvNet, **{"layers": layers, "double": False, **options})


def exchanged(kind: str, **options: Any) -> Callable[[], nn.Module]:
    """Return a constructor of an accelerated snnTorch network."""

    def leaky(size: int | None = None, **neuron: Any) -> snntorch.Leaky:
        beta = 0.9 if size is None else torch.linspace(0.7, 0.95, size)
        return snntorch.Leaky(beta=beta, **neuron)

    def build() -> nn.Module:
        networks = {
            "dense": [
                *(nn.Flatten(), nn.Linear(784, 30), leaky(30, learn_beta=True)),
                *(nn.Dropout(0.2), nn.Linear(30, 10), leaky(reset_mechanism="zero")),
            ],
            "conv": [
                *(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), leaky(), nn.Conv2d(4, 6, 3, stride=2)),
                *(nn.AvgPool2d(2), leaky(threshold=0.5), nn.Flatten(), nn.Dropout(0.1)),
                *(nn.Linear(24, 10), leaky(learn_threshold=True)),
            ],
        }
        return accelerate(nn.Sequential(*networks[kind]), **options)

    return build


def stdp(seed: int, neurons: int) -> Parts:
    """Train an STDP classifier; hash weights, thresholds, answers, and its file as it is read."""
    images, labels = digits(TRAIN)
    test = digits(TEST, train=False)[0]
    classifier = STDPClassifier(neurons, random_state=seed).fit(images, labels, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stdp.safetensors")
        classifier.save(file)
        loaded = STDPClassifier.load(file)
    return {
        "weights": digest([classifier.weights_, classifier.theta_, classifier.assignments_]),
        "answers": digest([classifier.predict(test), classifier.accuracy_history_]),
        "loaded": digest([loaded.weights_, loaded.theta_, loaded.predict(test)]),
    }


def conv_stdp(seed: int) -> Parts:
    """Train a convolutional STDP classifier and hash its kernels and answers."""
    images, labels = digits(TRAIN)
    classifier = ConvSTDPClassifier(random_state=seed).fit(images, labels)
    return {
        "weights": digest([classifier.weights_]),
        "answers": digest([classifier.predict(digits(TEST, train=False)[0])]),
    }


def exported(name: str) -> Parts:
    """Export a pretrained network; hash what each export computes or holds, and its energy."""
    classifier: Any = load(name)
    images, labels = digits(TEST, train=False)
    energy = measure_energy(classifier, (images, labels), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        file = to_onnx(classifier, Path(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(str(file))
        page = to_html(classifier, Path(folder, "page.html")).read_text("utf-8")
        answers = {
            f"c {kind}": digest(
                run_c(compiled(to_c(classifier, folder, weights=kind)), images, "classify")
            )
            for kind in ("float32", "int8")
        }
    network = re.search(r'id="network">(.*?)</script>', page, re.DOTALL)
    assert network is not None
    return {
        "onnx": digest(session.run(None, {"images": images.numpy()})),
        "page": digest(_arrays_in(json.loads(network[1]))),
        "energy": digest((x.neurons, x.macs, x.acs) for x in energy.layers),
        **answers,
    }


def graph(build: Callable[[], nn.Module]) -> Parts:
    """Write a network as NIR; hash the numbers of all nodes, and the network that is read again."""
    torch.manual_seed(17)
    model: Any = build()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.nir")
        again = from_nir(to_nir(model, file))
    nodes = to_nir(model).nodes.values()
    numbers = [x for node in nodes for x in vars(node).values() if isinstance(x, np.ndarray)]
    arrays = [x for x in numbers if x.dtype.kind == "f"]
    return {"nodes": digest(arrays), "read": digest(weights_in(again))}


def _arrays_in(value: Any) -> Iterator[bytes]:
    """Yield the arrays in the data of a page, without their keys."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays_in(part)
    elif isinstance(value, str) and len(value) > 16:
        try:
            yield base64.b64decode(value, validate=True)
        except binascii.Error:  # a text
            return


def codes() -> Parts:
    """Hash the spikes of every encoder of the package."""
    images = digits(20)[0]
    found = {}
    for name in sorted(ENCODERS.keys() - {"events"}):
        encoder = get_encoder(name, num_steps=8)
        found[name] = digest([encoder(images, generator=torch.Generator().manual_seed(5))])
    return found


def runs() -> dict[str, Callable[[], Parts]]:
    """Return every run by its name."""
    latency, rate = LatencyEncoder(num_steps=STEPS), RateEncoder(num_steps=STEPS)
    found: dict[str, Callable[[], Parts]] = {"encoders": codes}
    for backend, readout in itertools.product(FAST, READOUTS):
        network = mlp(readout=readout, backend=backend)
        found[f"fit mlp {readout} {backend}"] = partial(trained, network, latency)
    for backend, name in itertools.product(FAST, sorted(ops.SURROGATES)):
        network = mlp(spike_grad=name, backend=backend, hidden=(70, 20))
        found[f"call mlp {name} {backend}"] = partial(called, network, (784,))
    for backend in (*FAST, "snntorch"):
        for name, (network, encoder) in _networks_to_train(backend, latency, rate).items():
            found[f"fit {name} {backend}"] = partial(trained, network, encoder)
        for name, (network, shape, train) in _networks_to_call(backend).items():
            found[f"call {name} {backend}"] = partial(called, network, shape, train=train)
    for backend in FAST:
        normalised, plain = conv(batch_norm=True, backend=backend), mlp(backend=backend)
        direct = DirectEncoder(num_steps=STEPS)
        found[f"fit conv normalised {backend}"] = partial(trained, normalised, direct)
        options = {"truncate": 3, "clip_norm": 1.0, "optimizer": "sgd", "schedule": "one_cycle"}
        found[f"fit mlp truncated {backend}"] = partial(trained, plain, rate, **options)
    for seed, neurons in ((0, 50), (1, 50), (2, 100)):
        found[f"stdp {neurons} neurons, seed {seed}"] = partial(stdp, seed, neurons)
    for seed in range(2):
        found[f"conv stdp, seed {seed}"] = partial(conv_stdp, seed)
    for name in available_pretrained():
        found[f"export {name}"] = partial(exported, name)
    found["nir mlp"] = partial(graph, mlp(hidden=(70, 20)))
    found["nir conv"] = partial(graph, conv("4C5-AP2-6C3s2p1-AP2-20-10"))
    events, network = EventEncoder(num_steps=STEPS), mlp(in_features=128, out_features=2)
    found["fit events"] = partial(trained, network, events, (recordings(64), recordings(20)))
    found["fit adamw"] = partial(trained, mlp(), latency, optimizer="adamw", weight_decay=0.1)
    return found


def _networks_to_train(backend: str, latency: Encoder, rate: Encoder) -> dict[str, Any]:
    options: dict[str, Any] = {"backend": backend}
    learned = {"learn_beta": True, "learn_threshold": True, **options}
    direct = DirectEncoder(num_steps=STEPS)
    return {
        "mlp reset zero": (mlp(reset_mechanism="zero", **options), rate),
        "mlp reset none": (mlp(reset_mechanism="none", **options), rate),
        "mlp dropout": (mlp(dropout=0.3, hidden=(70, 30), **options), latency),
        "mlp learned": (mlp(**learned), rate),
        "mlp float64": (mlp(double=True, **options), latency),
        "mlp direct": (mlp(hidden=(130,), **options), direct),
        "conv": (conv(**options), latency),
        "conv learned": (conv(dropout=0.2, **learned), latency),
        "accelerate dense": (exchanged("dense", **options), rate),
    }


def _networks_to_call(backend: str) -> dict[str, Any]:
    options: dict[str, Any] = {"backend": backend}
    learned = {"learn_beta": True, "learn_threshold": True, **options}
    dense, pixels = (784,), (1, 28, 28)
    return {
        "mlp float64": (mlp(double=True, reset_mechanism="zero", **learned), dense, False),
        "mlp dropout": (mlp(dropout=0.4, hidden=(70, 65, 20), **options), dense, True),
        "conv": (conv("4C5-AP2-6C3s2p1-P2-20-10", **options), pixels, False),
        "conv float64": (conv(double=True, **learned), pixels, False),
        "accelerate dense": (exchanged("dense", **options), dense, True),
        "accelerate conv": (exchanged("conv", **options), pixels, True),
    }


def differences(before: dict[str, Parts], table: dict[str, Parts]) -> list[str]:
    """Return a line for each hash that differs or is missing in one of two tables."""
    return [
        f"{run}: {part} was {before.get(run, {}).get(part)}, is {table.get(run, {}).get(part)}"
        for run in {**before, **table}
        for part in {**before.get(run, {}), **table.get(run, {})}
        if before.get(run, {}).get(part) != table.get(run, {}).get(part)
    ]


def main() -> int:
    """Hash all runs; return 1 if they differ from the hashes in a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, help="file to write the hashes to")
    parser.add_argument("--against", type=Path, help="file of hashes to compare with")
    parser.add_argument("--only", default="", help="hash the runs with this text in their name")
    options = parser.parse_args()
    table = {}
    for name, run in runs().items():
        if options.only in name:
            table[name] = run()
            print(f"{name:38}", *(f"{part} {found}" for part, found in table[name].items()))
    if options.out:
        options.out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if not options.against:
        return 0
    before = json.loads(options.against.read_text(encoding="utf-8"))
    before = {name: parts for name, parts in before.items() if options.only in name}
    changed = differences(before, table)
    print(*changed, f"{len(table)} runs, {len(changed)} differences", sep="\n")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
