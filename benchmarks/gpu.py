"""Time a training step and inference on a GPU: this package, plain torch, and other libraries.

    python -m benchmarks --sections gpu

The networks are 784-H-10, with rate-coded input that is already on the device.

Shapes: ``H`` hidden neurons, ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import peers, timing
from benchmarks.candidates import copy_of, plain_leaky
from benchmarks.machine import describe_machine
from benchmarks.report import NOTHING, UNSTEADY, machine, table
from benchmarks.workload import BETA, CLASSES, PIXELS
from spikemnist.models import LeakyMLP
from spikemnist.training import available_devices

if TYPE_CHECKING:
    Scores = Callable[[Tensor], Tensor]
    Size = tuple[int, int, int]
    """``H``, ``T`` and ``B``."""

Build = Callable[[LeakyMLP, torch.device], tuple[nn.Module, "Scores"]]
Candidates = dict[str, Build]

HIDDEN, STEPS, BATCHES = (128, 1000, 4096), (8, 25, 100), (128, 512, 4096)
STAGES = ("training step", "inference")
DENSITY = 0.13
"""Share of inputs with a spike, as in rate-coded MNIST."""


def sizes() -> list[Size]:
    """Return each network size and batch; end the program if there is no GPU."""
    if device().type == "cpu":
        raise SystemExit("--sections gpu needs a GPU, and torch finds neither CUDA nor MPS here")
    return list(itertools.product(HIDDEN, STEPS, BATCHES))


def device() -> torch.device:
    """Return the first device of the machine."""
    return torch.device(available_devices()[0])


def measure(size: Size, *, on: torch.device | None = None, repeats: int = 30) -> dict[str, Any]:
    """Time all candidates on a network, in turn.

    Returns
    -------
    dict
        Size, device, machine, and for each candidate its timings, or the error that prevented
        them.
    """
    hidden, steps, batch = size
    where = device() if on is None else on
    torch.manual_seed(0)
    spikes = (torch.rand(steps, batch, PIXELS) < DENSITY).float().to(where)
    labels = torch.randint(CLASSES, (batch,)).to(where)
    weights = LeakyMLP((hidden,), in_features=PIXELS, beta=BETA).to(where)
    jobs: dict[str, dict[str, Callable[[], object]]] = {stage: {} for stage in STAGES}
    found: dict[str, dict[str, Any]] = {}
    for name, build in candidates().items():
        try:
            module, scores = build(weights, where)
            job = _jobs(module, scores, spikes, labels)
            for call in job.values():
                call()  # compiles
        except Exception as error:  # such as no memory or no compiler; the table then has no entry
            found[name] = {"failed": f"{type(error).__name__}: {str(error)[:200]}"}
            continue
        found[name] = {"stages": {}}
        for stage, call in job.items():
            jobs[stage][name] = call
    for stage, calls in jobs.items():
        for name, timed in timing.time_in_turn(calls, repeats=repeats, budget=20).items():
            found[name]["stages"][stage] = timed
    title = torch.cuda.get_device_name(where) if where.type == "cuda" else where.type
    return {
        **dict(zip(("hidden", "num_steps", "batch"), size, strict=True)),
        "device": title,
        "machine": describe_machine(),
        "candidates": found,
    }


def _jobs(
    module: nn.Module, scores: Scores, spikes: Tensor, labels: Tensor
) -> dict[str, Callable[[], object]]:
    """Return a training step and an inference; each waits until the device has finished."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-5)

    def step() -> object:
        optimizer.zero_grad()
        loss = functional.cross_entropy(scores(spikes), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        return float(loss)

    def inference() -> object:
        with torch.no_grad():
            return int(scores(spikes).argmax(1)[0])

    return {"training step": step, "inference": inference}


def candidates() -> Candidates:
    """Return the candidates by their name in the table."""
    found = {
        "spikemnist auto": _ours("auto"),
        "spikemnist reference": _ours("reference"),
        "snnTorch's loop": _snntorch_loop,
        "torch.compile of the plain loop": _compiled_loop,
    }
    spikingjelly = peers.installed().get("SpikingJelly")
    if spikingjelly:
        found["SpikingJelly, reset at once"] = _peer(spikingjelly)
    return found


def _ours(backend: Any) -> Build:
    def build(weights: LeakyMLP, where: torch.device) -> tuple[nn.Module, Scores]:
        model = LeakyMLP(
            weights.layers[0].linear.out_features, in_features=PIXELS, beta=BETA, backend=backend
        ).to(where)
        model.load_state_dict(weights.state_dict())
        return model, lambda spikes: model(spikes).scores

    return build


def _linears(weights: LeakyMLP, where: torch.device) -> nn.ModuleList:
    return nn.ModuleList(copy_of(layer.linear) for layer in weights.layers).to(where)


def _snntorch_loop(weights: LeakyMLP, where: torch.device) -> tuple[nn.Module, Scores]:
    linears = _linears(weights, where)
    neurons: Any = nn.ModuleList(plain_leaky() for _ in linears).to(where)

    def scores(spikes: Tensor) -> Tensor:
        states = [neuron.init_leaky().to(where) for neuron in neurons]
        total = torch.zeros((), device=where)
        for signal in spikes:
            for i, (linear, neuron) in enumerate(zip(linears, neurons, strict=True)):
                signal, states[i] = neuron(linear(signal), states[i])
            total = total + states[-1]
        return total / len(spikes)

    return linears, scores


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        derivative: Tensor = 1 / (1 + (torch.pi * x).square())
        return grad * derivative


def _compiled_loop(weights: LeakyMLP, where: torch.device) -> tuple[nn.Module, Scores]:
    linears = _linears(weights, where)

    def neurons(current: Tensor) -> tuple[Tensor, Tensor]:
        membrane = torch.zeros_like(current[0])
        fired = torch.zeros_like(current[0])
        spikes, membranes = [], []
        for inflow in current:
            membrane = BETA * membrane + inflow - fired.detach()
            fired = _Spike.apply(membrane - 1)  # type: ignore[no-untyped-call]
            spikes.append(fired)
            membranes.append(membrane)
        return torch.stack(spikes), torch.stack(membranes)

    compiled = torch.compile(neurons)

    def scores(spikes: Tensor) -> Tensor:
        hidden, _ = compiled(linears[0](spikes))
        _, membrane = compiled(linears[1](hidden))
        return membrane.mean(0)

    return linears, scores


def _peer(kind: Any) -> Build:
    def build(weights: LeakyMLP, where: torch.device) -> tuple[nn.Module, Scores]:
        peer = kind([layer.linear for layer in weights.layers])
        return peer.module.to(where), peer.scores

    return build


def lines(measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the parts of the page of GPU results."""
    yield "# On a GPU"
    yield (
        "Written by `python -m benchmarks --sections gpu`: milliseconds, the median of calls in "
        "turn, from the input on the device to the loss or answer on the CPU. Networks 784-H-10, "
        f"{DENSITY:.0%} of the inputs spikes."
    )
    names = list(dict.fromkeys(name for row in measured for name in row["candidates"]))
    for stage in STAGES:
        yield f"## {stage.capitalize()}"
        rows = [
            [
                *map(str, (row["device"], row["hidden"], row["num_steps"], row["batch"])),
                *(_cell(row["candidates"].get(name, {}), stage) for name in names),
            ]
            for row in measured
        ]
        yield table(["Device", "H", "T", "B", *names], rows)
    yield from dict.fromkeys(machine(row["machine"]) for row in measured)


def _cell(found: dict[str, Any], stage: str) -> str:
    if "stages" not in found:
        return NOTHING
    timed = found["stages"][stage]
    return UNSTEADY if timed["busy"] else timing.milliseconds(timed["median"])
