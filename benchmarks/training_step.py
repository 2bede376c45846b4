"""One training step: the reference backend against the plain snnTorch loop.

    python -m benchmarks.training_step

Network 784-H-10, T=25, batch 128, rate-coded digits, float32, cross-entropy of the mean output
membrane, fused Adam for both. The spikes are given; encoding is not in the step. Both train the
same first weights on the same batch in turn, and a time is printed only when the first losses
and gradients agree.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import snntorch
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikemnist.data import load_digits
from spikemnist.encoding import RateEncoder
from spikemnist.models import LeakyMLP

if TYPE_CHECKING:
    from collections.abc import Callable

T, BATCH = 25, 128


class SnnTorchLoop(nn.Module):
    """The network as snnTorch's tutorials write it: every layer, one timestep after the other."""

    def __init__(self, model: LeakyMLP) -> None:
        super().__init__()
        self.fc1, self.fc2 = (nn.Linear(*layer.linear.weight.T.shape) for layer in model.layers)
        for ours, theirs in zip((self.fc1, self.fc2), model.layers, strict=True):
            ours.load_state_dict(theirs.linear.state_dict())
        self.lif1, self.lif2 = snntorch.Leaky(beta=0.95), snntorch.Leaky(beta=0.95)

    def forward(self, spikes: Tensor) -> Tensor:
        mem1, mem2 = torch.zeros(0), torch.zeros(0)
        membranes = []
        for step in spikes.flatten(2):
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            _, mem2 = self.lif2(self.fc2(spk1), mem2)
            membranes.append(mem2)
        return torch.stack(membranes).mean(0)


def make_step(
    model: nn.Module, scores: Callable[[Tensor], Tensor], spikes: Tensor, labels: Tensor
) -> Callable[[], float]:
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(scores(spikes), labels)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.item()

    return step


def check_agreement(model: LeakyMLP, loop: SnnTorchLoop, spikes: Tensor, labels: Tensor) -> None:
    """Stop unless both give the same gradient, up to the spikes that rounding flips."""
    for scores in (model(spikes).scores, loop(spikes)):
        torch.autograd.backward(functional.cross_entropy(scores, labels))
    ours, theirs = model.layers[0].linear.weight.grad, loop.fc1.weight.grad
    assert ours is not None
    assert theirs is not None
    error = float((ours - theirs).norm() / theirs.norm())
    assert error < 1e-2, f"the gradients differ by {error:.1e}"


def measure(hidden: int, repeats: int) -> tuple[list[float], list[float]]:
    torch.manual_seed(0)
    train, _ = load_digits()
    encoder = RateEncoder(num_steps=T)
    spikes = encoder(train.images[:BATCH], generator=torch.Generator().manual_seed(0))
    labels = train.labels[:BATCH]
    model = LeakyMLP(hidden=(hidden,), backend="reference")
    loop = SnnTorchLoop(model)
    check_agreement(model, loop, spikes, labels)
    steps = (
        make_step(model, lambda spikes: model(spikes).scores, spikes, labels),
        make_step(loop, loop, spikes, labels),
    )
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 3):  # the first three warm up
        for step, measured in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if repeat >= 3:
                measured.append(1e3 * (time.perf_counter() - start))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 1000])
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, snntorch {snntorch.__version__}, "
        f"{torch.get_num_threads()} threads; median of {options.repeats} steps (quartiles), ms\n"
    )
    print("| H | reference | snnTorch loop | ratio of medians |\n|---|---|---|---|")
    for hidden in options.hidden:
        cells, medians = [], []
        for measured in measure(hidden, options.repeats):
            low, median, high = statistics.quantiles(measured, n=4)
            cells.append(f"{median:.1f} ({low:.1f} to {high:.1f})")
            medians.append(median)
        print(f"| {hidden} | {cells[0]} | {cells[1]} | {medians[1] / medians[0]:.2f} |")


if __name__ == "__main__":
    main()
