"""Random networks must give the same results for any number of threads and on each backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import nn
from torch.nn import functional

from benchmarks.attacks.attack import Attack, one_line
from spikemnist import ops
from spikemnist.encoding import DirectEncoder, LatencyEncoder, RateEncoder
from spikemnist.models import READOUTS, LeakyConvNet, LeakyMLP, accelerate

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from torch import Tensor

NEAR = 1e-9
"""A membrane this close to its threshold may fire on one backend and not on another."""


def no_material(folder: Path) -> None:
    """Prepare nothing: each case draws its own network."""


def _model(draw: random.Random, *, named: bool) -> tuple[Any, str]:
    """Return a random network, and its description."""
    options: dict[str, Any] = {
        "beta": round(draw.uniform(0, 1), 3),
        "threshold": round(draw.uniform(0.05, 2), 3),
        "reset_mechanism": draw.choice(ops.RESET_MECHANISMS),
        "spike_grad": draw.choice(sorted(ops.SURROGATES)),
        "readout": draw.choice(READOUTS),
    }
    learned: dict[str, Any] = {
        "learn_beta": draw.random() < 0.3,
        "learn_threshold": draw.random() < 0.3,
    }
    kind = draw.choice(("mlp", "conv") if named else ("mlp", "conv", "accelerate"))
    if kind == "accelerate":
        return _accelerated(options, draw), f"accelerate {options}"
    if kind == "conv":
        layers = draw.choice(("3C5-P2-10", "4C3s2-AP2-6C3-10", "2C5-P2-3C3-P2-20-10"))
        return LeakyConvNet(layers, **options, **learned), f"conv {layers} {options} {learned}"
    hidden = tuple(draw.choice((1, 5, 33, 100)) for _ in range(draw.randrange(3)))
    return LeakyMLP(hidden=hidden, **options, **learned), f"mlp {hidden} {options} {learned}"


def _accelerated(options: dict[str, Any], draw: random.Random) -> Any:
    width = draw.choice((3, 40))
    surrogate = ops.get_surrogate(options["spike_grad"])
    neurons = [
        snntorch.Leaky(
            beta=options["beta"],
            threshold=options["threshold"],
            reset_mechanism=options["reset_mechanism"],
            spike_grad=surrogate,
        )
        for _ in range(2)
    ]
    first, second = nn.Linear(784, width), nn.Linear(width, 10)
    network = nn.Sequential(nn.Flatten(), first, neurons[0], second, neurons[1])
    return accelerate(network, readout=options["readout"])


def _spikes(draw: random.Random, steps: int, batch: int) -> Tensor:
    images = torch.rand(batch, 28, 28, generator=_generator(draw)).mul(1.6).sub(0.6).clamp_min(0)
    encoder: Any = draw.choice((RateEncoder, LatencyEncoder, DirectEncoder))(num_steps=steps)
    spikes: Tensor = encoder(images, generator=_generator(draw))
    return spikes


def _generator(draw: random.Random) -> torch.Generator:
    return torch.Generator().manual_seed(draw.randrange(2**32))


def backend_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Compare spikes and gradients of a random network in double precision on three backends."""
    del material, folder
    torch.manual_seed(draw.randrange(2**32))
    model, told = _model(draw, named=False)
    model.double()
    spikes = _spikes(draw, draw.choice((1, 3, 10)), draw.choice((1, 2, 9)))
    labels = torch.randint(10, (spikes.shape[1],), generator=_generator(draw))
    results = {}
    for backend in ("reference", "event_driven", "snntorch"):
        model.backend = backend
        model.zero_grad()
        try:
            record = model(spikes, record="all")
            torch.autograd.backward(functional.cross_entropy(record.scores, labels))
        except Exception as error:
            return f"{backend}: {told}: {one_line(error)}"
        gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        results[backend] = record, gradients
    reference, gradients = results["reference"]
    if _close_call(reference):
        return None if _finite(reference) else f"{told}: the reference is not finite"
    for backend in ("event_driven", "snntorch"):
        record, theirs = results[backend]
        for mine, other in zip(reference.layers, record.layers, strict=True):
            if not torch.equal(mine.spikes, other.spikes):
                return f"{backend}: {told}: other spikes in {mine.name} than the reference"
        wrong = _other_gradient(gradients, theirs)
        if wrong is not None and not (backend == "snntorch" and "sigmoid" in told):
            return f"{backend}: {told}: another gradient of {wrong}"
    return None


def _close_call(record: Any) -> bool:
    return any(
        bool(((layer.membrane - layer.threshold).abs() < NEAR).any()) for layer in record.layers
    )


def _finite(record: Any) -> bool:
    return all(bool(layer.membrane.isfinite().all()) for layer in record.layers)


def _other_gradient(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> str | None:
    for name, gradient in mine.items():
        other = theirs.get(name, torch.zeros_like(gradient))  # None if nothing depends on it
        scale = float(gradient.abs().max()) if gradient.numel() else 0.0
        tolerance = 1e-9 * max(scale, 1.0)
        if not torch.allclose(gradient, other, rtol=1e-7, atol=tolerance):
            return name
    return None


def thread_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Compare three training steps with one thread and with several."""
    del material, folder
    seed, threads = draw.randrange(2**32), draw.choice((2, 3, 8))
    torch.manual_seed(seed)
    model, told = _model(draw, named=True)
    batch = draw.choice((16, 128, 200))
    spikes = _spikes(draw, draw.choice((4, 12)), batch)
    labels = torch.randint(10, (batch,), generator=_generator(draw))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    before = torch.get_num_threads()
    try:
        alone = _steps(model, start, spikes, labels, 1)
        together = _steps(model, start, spikes, labels, threads)
    finally:
        torch.set_num_threads(before)
    wrong = [name for name, value in alone.items() if not torch.equal(value, together[name])]
    kind = "constant" if spikes.stride(0) == 0 else "changing"
    how = f"{threads} threads, {kind} input, {told}"
    return f"{how}: other bits in {', '.join(wrong)}" if wrong else None


def _steps(
    model: Any, start: dict[str, Tensor], spikes: Tensor, labels: Tensor, threads: int
) -> dict[str, Tensor]:
    torch.set_num_threads(threads)
    model.load_state_dict(start)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(model(spikes).scores, labels))
        optimizer.step()
    return {name: value.clone() for name, value in model.state_dict().items()}


ATTACKS = (
    Attack(
        name="backends",
        expectation="A random network has the same spikes and gradients on three backends.",
        prepare=no_material,
        case=backend_case,
        limit=120.0,
    ),
    Attack(
        name="threads",
        expectation="Three training steps give the same bits for any number of threads.",
        prepare=no_material,
        case=thread_case,
        limit=120.0,
    ),
)
