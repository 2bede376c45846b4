"""One network in this package and in snnTorch's loop over timesteps, for ``bench``.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``C`` classes.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from snntorch import spikegen
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.benchmark import Timer

from spikemnist.data import load_digits
from spikemnist.encoding import get_encoder
from spikemnist.models import Classifier, LeakyMLP
from spikemnist.training import TrainConfig, fit

if TYPE_CHECKING:
    Functions = dict[str, Callable[[], object]]

HIDDEN, NUM_STEPS, BATCH, BETA = 1000, 25, 128, 0.95
TURNS = 5


def time_in_turn(
    ours: Callable[[], object], theirs: Callable[[], object], seconds: float
) -> dict[str, float]:
    """Return the median milliseconds of both functions, and their ratio."""
    threads = torch.get_num_threads()
    timers = [Timer("f()", globals={"f": f}, num_threads=threads) for f in (ours, theirs)]
    # In turn, so that another program slows both.
    turns = [[t.blocked_autorange(min_run_time=seconds) for t in timers] for _ in range(TURNS)]
    spikemnist, snntorch = (
        1e3 * statistics.median(seconds for turn in own for seconds in turn.times)
        for own in zip(*turns, strict=True)
    )
    return {"spikemnist": spikemnist, "snntorch": snntorch, "ratio": snntorch / spikemnist}


def networks(code: str, device: str) -> tuple[Functions, Functions]:
    """Return the functions of this package's network and of snnTorch's, with the same weights.

    The weights are trained for 20 steps: with one spike per pixel, untrained neurons hardly fire,
    which would flatter an event-driven engine.
    """
    train, _ = load_digits()
    network = LeakyMLP(hidden=HIDDEN, beta=BETA)
    classifier = Classifier(network, get_encoder(code, num_steps=NUM_STEPS))
    fit(
        classifier,
        train[: 20 * BATCH],
        TrainConfig(epochs=1, batch_size=BATCH, schedule="constant"),
        progress=False,
    )
    classifier.to(device)
    loop = nn.ModuleList(
        nn.ModuleList([copy.deepcopy(layer.linear), snntorch.Leaky(beta=BETA)]).to(device)
        for layer in network.layers
    )
    pixels = train.images[:BATCH].flatten(1).to(device) / 255
    labels = train.labels[:BATCH].to(device)
    ours = functions_of(network, lambda: classifier(pixels).scores, labels)

    def looped() -> Tensor:
        return loop_scores(loop, snntorch_spikes(pixels, code, NUM_STEPS))

    return ours, functions_of(loop, looped, labels)


def functions_of(module: nn.Module, scores: Callable[[], Tensor], labels: Tensor) -> Functions:
    """Return the function of each stage, from pixels to a result on the CPU."""
    # With a learning rate of zero Adam does all its work, and the spikes stay the same.
    optimizer = torch.optim.Adam(module.parameters(), lr=0.0, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        loss = cross_entropy(scores(), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def inference() -> Tensor:
        return scores().cpu()

    return {"training step": step, "inference": inference}


def loop_scores(layers: Any, spikes: Tensor) -> Tensor:
    """Return the mean output membrane, ``[B, C]``, by a loop as in snnTorch's tutorials."""
    membranes = [torch.zeros(0) for _ in layers]
    outputs = []
    for signal in spikes:
        for i, (linear, leaky) in enumerate(layers):
            signal, membranes[i] = leaky(linear(signal), membranes[i])
        outputs.append(membranes[-1])
    return torch.stack(outputs).mean(0)


def snntorch_spikes(pixels: Tensor, code: str, num_steps: int) -> Tensor:
    """Encode pixels ``[B, F]`` with snnTorch and this package's default options: ``[T, B, F]``."""
    latency = {"threshold": 0.01, "normalize": True, "linear": True, "clip": True}
    if code == "direct":
        return pixels.expand(num_steps, -1, -1)
    options: dict[str, Any] = latency if code == "latency" else {}
    spikes: Tensor = getattr(spikegen, code)(pixels, num_steps=num_steps, **options)
    return spikes
