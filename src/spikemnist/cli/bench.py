"""``spikemnist bench``: this package beside snnTorch's loop over timesteps.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer, ``C`` classes.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from snntorch import spikegen
from torch import nn
from torch.nn.functional import cross_entropy

from spikemnist.cli import timing
from spikemnist.cli.output import show_json
from spikemnist.data import load_digits
from spikemnist.encoding import get_encoder
from spikemnist.encoding.protocol import compacted
from spikemnist.models import LeakyMLP
from spikemnist.training import available_devices, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from spikemnist.cli.options import Bench
    from spikemnist.encoding import Encoder

    Job = Callable[[], Tensor]

NETWORKS = (("rate", 1000), ("rate", 128), ("latency", 1000), ("direct", 1000))
"""Code and number of hidden neurons of each network."""
QUICK = (NETWORKS[0], NETWORKS[2])
NUM_STEPS, BATCH, BETA = 25, 128, 0.95
STAGES = ("training step", "inference")
SECONDS, QUICK_SECONDS = 60.0, 15.0
"""Seconds from the first measurement on, after which no further network begins."""
REPEATS = 30
LEARNING_RATE = 1e-5
"""Adam does all its work, but the weights, and so the spikes, stay as they were checked."""
FLIPPED = 0.05
"""Largest share of samples that may differ. Sums in a different order differ by rounding, and a
membrane that close to its threshold may fire in one implementation only. ``python -m benchmarks``
explains every such spike."""
ROUNDING = 1e-4
"""Largest relative difference of scores and gradients that rounding explains; 3e-7 and 1e-6 are
usual. An error in the dynamics changes the first digits, and an error in the hidden spikes changes
the gradient of the weights after them."""
HEADER = f"{'milliseconds (quartiles)':24}{'spikemnist':>16}{'snnTorch':>33}{'ratio':>8}"


def run(command: Bench) -> int:
    """Check, time and report one network after the other."""
    machine = timing.describe_machine()
    load = "" if machine["load"] is None else f", load {machine['load']:.1f}"
    threads = f"{machine['threads']} threads, torch {torch.__version__}"

    def say(*lines: str) -> None:
        if not command.json:
            print(*lines, sep="\n", flush=True)

    say(f"{machine['processor']}, {machine['cores']} cores{load}, {threads}\n\n{HEADER}")
    networks = [Network(*network) for network in (QUICK if command.quick else NETWORKS)]
    deadline = time.perf_counter() + (QUICK_SECONDS if command.quick else SECONDS)
    results = []
    for index, network in enumerate(networks):
        budget = (deadline - time.perf_counter()) / (len(networks) - index)
        results.append(network.measure(budget))
        say(*_lines(results[-1]))
    say("", *_notes(results, machine["share"]))
    if command.json:
        show_json(machine=machine, networks=results)
    return 0


def other_devices() -> tuple[str, ...]:
    """Return the devices of this machine except the CPU."""
    return available_devices()[:-1]


class Network:
    """The network 784-``hidden``-10, run by this package and by snnTorch with the same weights.

    It is trained for 20 steps: with one spike per pixel, untrained neurons hardly fire, which would
    flatter an event-driven engine. The training also compiles the kernels, which happens once per
    installation and takes longer than everything else.

    Parameters
    ----------
    code : str
        Code of the images: ``"rate"``, ``"latency"`` or ``"direct"``.
    hidden : int
        Number of hidden neurons.
    """

    def __init__(self, code: str, hidden: int) -> None:
        self.sizes = {"code": code, "hidden": hidden, "num_steps": NUM_STEPS, "batch": BATCH}
        train, _ = load_digits()
        pixels, self.labels = train.images[:BATCH].flatten(1) / 255, train.labels[:BATCH]
        encoder = compacted(get_encoder(code, num_steps=NUM_STEPS))
        self.spikes = encoder(pixels, generator=torch.Generator().manual_seed(0))
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.ours = LeakyMLP(hidden=hidden, beta=BETA)
        few = train[: 20 * 128]
        fit(self.ours, few, encoder=encoder, epochs=1, lr=1e-2, device="cpu", progress=False)
        self.theirs = SnnTorchLoop([layer.linear for layer in self.ours.layers])
        self.jobs = {
            "spikemnist": self._jobs(self.ours, lambda: self.ours(encoder(pixels)).scores),
            "snnTorch": self._jobs(
                self.theirs, lambda: self.theirs(snntorch_spikes(pixels, code, NUM_STEPS))[1]
            ),
        }
        self.moved = {name: copy.deepcopy(self.ours).to(name) for name in other_devices()}
        for name, model in self.moved.items():
            self.jobs[name] = self._jobs_on(name, model, encoder, pixels.to(name))

    def _jobs_on(
        self, name: str, model: LeakyMLP, encoder: Encoder, pixels: Tensor
    ) -> dict[str, Job]:
        """Return the function of each stage on a device other than the CPU."""
        jobs = self._jobs(model, lambda: model(encoder(pixels)).scores, self.labels.to(name))

        def ended(job: Job) -> Job:
            # A device still works when a call has returned: wait for a number on the CPU.
            return lambda: job().flatten()[:1].cpu()

        return {stage: ended(job) for stage, job in jobs.items()}

    def _jobs(self, module: nn.Module, scores: Job, labels: Tensor | None = None) -> dict[str, Job]:
        """Return the function of each stage."""
        labels = self.labels if labels is None else labels
        optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)

        def step() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(scores(), labels)
            torch.autograd.backward(loss)
            optimizer.step()
            return loss.detach()

        return {"training step": step, "inference": torch.no_grad()(scores)}

    def measure(self, budget: float) -> dict[str, Any]:
        """Check that both implementations agree, then time both in turn, stage by stage.

        Parameters
        ----------
        budget : float
            Seconds after which only the few calls that a figure needs are still made. Without any,
            nothing is measured.

        Returns
        -------
        dict
            Plain values: the network, its backend, the reason for missing figures, and for each
            stage both timings and their ratio, or the reason for a missing ratio.
        """
        result: dict[str, Any] = {**self.sizes, "backend": "", "why": "", "stages": {}}
        result["devices"] = list(self.moved)
        if budget <= 0:
            return {**result, "why": "not measured: no time was left for it"}
        deadline = time.perf_counter() + budget
        why, backend = self.check()
        if why:
            return {**result, "why": f"not shown: {why}"}
        budget = (deadline - time.perf_counter()) / len(STAGES)
        for stage in STAGES:
            jobs = {name: stages[stage] for name, stages in self.jobs.items()}
            found = timing.time_in_turn(jobs, repeats=REPEATS, budget=budget)
            busy = found["spikemnist"]["busy"] or found["snnTorch"]["busy"]
            ratio = None if busy else found["snnTorch"]["median"] / found["spikemnist"]["median"]
            result["stages"][stage] = {**found, "ratio": ratio, "why": busy}
        return {**result, "backend": backend}

    def check(self) -> tuple[str, str]:
        """Return why no speed may be shown, empty if both agree, and the backend that ran."""
        record, (spikes, right) = self.ours(self.spikes), self.theirs(self.spikes.float())
        close = (record.scores - right).abs() <= ROUNDING * right.abs().max()
        same = (record.spikes == spikes).all(0).all(-1) & close.all(-1)
        others = BATCH - int(same.sum())
        if others > FLIPPED * BATCH:
            return f"spikes or scores differ in {others} of {BATCH} samples", record.backend
        for name, model in self.moved.items():
            found = model(self.spikes.to(name)).scores.detach().cpu()
            far = (found - record.scores).abs() > ROUNDING * record.scores.abs().max()
            others = int(far.any(-1).sum())
            if others > FLIPPED * BATCH:
                return f"scores on {name} differ in {others} of {BATCH} samples", record.backend
        ours, theirs = (
            torch.autograd.grad(
                cross_entropy(scores[same], self.labels[same]), list(module.parameters())
            )
            for module, scores in ((self.ours, record.scores), (self.theirs, right))
        )
        errors = [(a - b).norm() / b.norm() for a, b in zip(ours, theirs, strict=True)]
        error = float(torch.stack(errors).max())
        why = "" if error <= ROUNDING else f"the gradient differs by {error:.1e} of its norm"
        return why, record.backend


class SnnTorchLoop(nn.Module):
    """A network as in snnTorch's tutorials: all layers, one timestep after the other.

    Parameters
    ----------
    linears : sequence of torch.nn.Linear
        Layers whose weights are copied.
    """

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.linears = nn.ModuleList(copy.deepcopy(linear) for linear in linears)
        self.neurons = nn.ModuleList(snntorch.Leaky(beta=BETA) for _ in linears)
        del snntorch.SpikingNeuron.instances[-len(linears) :]  # else they would stay there for ever

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output spikes, ``[T, B, C]``, and the mean output membrane, ``[B, C]``."""
        membranes = [torch.zeros(0) for _ in self.neurons]
        output = []
        for signal in spikes:
            for i, (linear, leaky) in enumerate(zip(self.linears, self.neurons, strict=True)):
                signal, membranes[i] = leaky(linear(signal), membranes[i])
            output.append((signal, membranes[-1]))
        fired, membrane = map(torch.stack, zip(*output, strict=True))
        return fired, membrane.mean(0)


def snntorch_spikes(pixels: Tensor, code: str, num_steps: int) -> Tensor:
    """Encode with snnTorch and the default options of `spikemnist.encoding`."""
    if code == "direct":
        return pixels.expand(num_steps, -1, -1)
    if code == "rate":
        spikes: Tensor = spikegen.rate(pixels, num_steps=num_steps)
    else:
        options = {"threshold": 0.01, "normalize": True, "linear": True, "clip": True}
        spikes = spikegen.latency(pixels, num_steps=num_steps, **options)
    return spikes


def _lines(network: dict[str, Any]) -> Iterator[str]:
    """Yield a line for the network and each stage, without a speed that failed the check."""
    steps, batch = network["num_steps"], network["batch"]
    backend = f" ({network['backend']})" if network["backend"] else ""
    yield f"{network['code']}, 784-{network['hidden']}-10, T={steps}, batch {batch}{backend}"
    if network["why"]:
        yield f"  {network['why']}"
    for stage, found in network["stages"].items():
        ours, theirs, ratio = found["spikemnist"], found["snnTorch"], found["ratio"]
        speed = f"{1e-3 * batch * steps / ours['median']:7.0f} k/s"
        times = "busy" if ratio is None else f"{ratio:.1f}"
        yield f"  {stage:14}{_cell(ours):>24}{speed}{_cell(theirs):>22}{times:>8}"
        for device in network["devices"]:
            speed = f"{1e-3 * batch * steps / found[device]['median']:7.0f} k/s"
            yield f"    on {device:9}{_cell(found[device]):>24}{speed}"


def _cell(timed: timing.Timing) -> str:
    """Return median and quartiles in milliseconds."""
    median, low, high = map(timing.milliseconds, (timed["median"], *timed["quartiles"]))
    return f"{median} ({low} to {high})"


def _notes(results: Sequence[dict[str, Any]], share: float) -> Iterator[str]:
    """Yield the meaning of the columns, and the reason for missing ratios."""
    yield (
        "medians and quartiles, encoding included, timed in turn; the results agree\n"
        "k/s: thousands of samples x timesteps per second; ratio: snnTorch's time / spikemnist's"
    )
    stages = [stage for network in results for stage in network["stages"].values()]
    busy = next(filter(None, [*(stage["why"] for stage in stages), timing.others_took(share)]), "")
    if busy and any(found["why"] for found in (*results, *stages)):
        yield f"no ratio, because this machine is busy: {busy}\nend other programs, and try again"
