r"""Check a candidate against a network that is known to be correct, before it is timed.

Both get the same spikes and weights. They may sum in a different order, so their membranes differ
by rounding. If a membrane lies within this rounding of the threshold, one network fires and the
other does not: a flip. A flip changes the neuron's reset and all neurons that it reaches. So a
spike train is compared up to its first flip, a sample in higher layers up to the first flip in a
lower layer, and the gradient over the trains that no flip has reached.

The number of flips cannot be bounded in advance. Two membranes that agree within :math:`\delta` lie
on different sides of the threshold only if both are within :math:`\delta` of it. If a share
:math:`\rho` of all membranes lies in an interval of length 1 around the threshold,
:math:`2 \delta \rho` of the :math:`T B N` neuron updates may flip. For 784-1000-10 with 25
timesteps, 128 images and rate code these are 3.2 million updates with :math:`\rho = 0.03`: about
one flip for :math:`\delta` = 5e-6, and one flip was found with the same sums in another order. The
number grows with the network. Therefore each flip has to be explained instead: the first flip of a
train counts as rounding only if both membranes agree, and lie at the threshold, within `MEMBRANE`.
Any other flip fails the check.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from benchmarks.candidates import Candidate, SnnTorchLoop
from benchmarks.peers.dynamics import Dynamics
from benchmarks.peers.explicit_loop import ExplicitLoop

if TYPE_CHECKING:
    Trace = Sequence[tuple[Tensor, Tensor]]

MEMBRANE = 1e-4
"""Largest difference of two membranes that rounding explains, relative to the largest membrane of
the neuron so far, and at least to the threshold. float32 rounds each sum by 6e-8 of its value, a
membrane near the threshold may be a small difference of large sums, and with beta 0.95 it
integrates over about 20 timesteps. The same sums in another order differed by 2e-5."""
LOSS, GRADIENT = 1e-5, 1e-4
"""Largest relative difference of two losses, and of two gradients in the Euclidean norm. Sums in
another order differed by 3e-7 and 1e-6. A mistake in the dynamics changes the first digits."""
THRESHOLD = 1.0


@dataclass(frozen=True)
class CheckResult:
    """The agreement of a candidate with the oracle.

    Attributes
    ----------
    why
        Reason not to show its speed; empty if the candidate passed.
    flips
        Number of spikes that differ by rounding alone.
    share_compared
        Share of the output trains that no flip reached, over which the gradient was compared.
    membrane, loss, gradient
        Largest relative differences of a membrane, the loss and a layer's gradient.
    """

    why: str = ""
    flips: int = 0
    share_compared: float = 1.0
    membrane: float = 0.0
    loss: float = 0.0
    gradient: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the candidate passed, so that its speed may be shown."""
        return not self.why


class Oracle:
    """The results of a correct network on a batch.

    Parameters
    ----------
    network : Candidate
        Network that is known to be correct.
    spikes : torch.Tensor
        Input spikes, ``[T, B, F]``.
    labels : torch.Tensor
        ``[B]``, for the loss.
    """

    def __init__(self, network: Candidate, spikes: Tensor, labels: Tensor) -> None:
        self._network = network
        self._spikes = spikes
        self._labels = labels
        self._prepared = network.prepare_input(spikes)
        self.trace = network.trace(self._prepared)

    def check(self, candidate: Candidate) -> CheckResult:
        """Compare a candidate's spikes, membranes, loss and gradients."""
        try:
            prepared = candidate.prepare_input(self._spikes)
            result, untouched = compare_runs(candidate.trace(prepared), self.trace)
            if not result.passed:
                return result
            return replace(result, **self._compare_gradients(candidate, prepared, untouched))
        except Exception as error:  # a candidate that cannot run fails; the others continue
            return CheckResult(f"{type(error).__name__}: {' '.join(str(error).split())}")

    def _compare_gradients(
        self, candidate: Candidate, prepared: Any, untouched: Tensor
    ) -> dict[str, Any]:
        """Return the relative differences of loss and gradient, and the reason for a failure."""
        weights = untouched.all(-1).float()
        if not bool(weights.any()):
            return {"why": "every sample holds a flip: nothing is left to compare"}
        loss, gradients = candidate.gradients(prepared, self._labels, weights)
        right, expected = self._network.gradients(self._prepared, self._labels, weights)
        loss_error = abs(loss - right) / max(abs(right), 1e-12)
        gradient_error = max(map(_relative, gradients, expected))
        why = ""
        if not loss_error <= LOSS:
            why = f"the loss is {loss:.6g}, not {right:.6g}"
        elif not gradient_error <= GRADIENT:
            why = f"the gradient differs by {gradient_error:.1e} of its norm"
        return {"why": why, "loss": loss_error, "gradient": gradient_error}


def check_all(
    candidates: Sequence[Candidate],
    layers: Sequence[nn.Module],
    spikes: Tensor,
    labels: Tensor,
) -> dict[str, CheckResult]:
    """Compare each candidate with the oracle of its dynamics: snnTorch's or an explicit loop.

    Parameters
    ----------
    candidates : sequence of Candidate
        Candidates built from ``layers``.
    layers : sequence of torch.nn.Module
        Layers with the initial weights.
    spikes : torch.Tensor
        Input spikes, ``[T, B, F]``.
    labels : torch.Tensor
        ``[B]``.
    """
    snntorch = Oracle(SnnTorchLoop(layers), spikes, labels)
    checks = {}
    for candidate in candidates:
        dynamics = getattr(candidate, "dynamics", Dynamics())
        oracle = (
            Oracle(ExplicitLoop(layers, dynamics), spikes, labels)
            if dynamics.deviation
            else snntorch
        )
        checks[candidate.name] = oracle.check(candidate)
    return checks


def compare_runs(found: Trace, expected: Trace) -> tuple[CheckResult, Tensor]:
    """Compare the spikes and membranes of every layer, each up to the first flip.

    Parameters
    ----------
    found, expected : sequence of pairs of torch.Tensor
        Spikes and compared membranes, ``[T, B, N]``, of each layer in order.

    Returns
    -------
    result : CheckResult
        Result without loss and gradient, which are compared later.
    untouched : Tensor
        ``[B, N]``, true for output trains that no flip reached.
    """
    shapes = [spikes.shape for spikes, _ in expected]
    if [spikes.shape for spikes, _ in found] != shapes:
        raise ValueError(f"expected spikes of the shapes {shapes}")
    steps, batch, _ = shapes[0]
    same_below = torch.ones(steps, batch, dtype=torch.bool)
    flips, error, distance = 0, torch.zeros(()), torch.zeros(())
    for (spikes, membrane), (right, exact) in zip(found, expected, strict=True):
        whole = torch.ones(spikes.shape[1:], dtype=torch.bool)
        same_here = torch.ones(steps, batch, dtype=torch.bool)
        scale = torch.full(spikes.shape[1:], THRESHOLD)
        for t in range(steps):
            scale = torch.maximum(scale, exact[t].abs())
            comparable = whole & same_below[t].unsqueeze(-1)
            flipped = spikes[t] != right[t]
            first = comparable & flipped
            flips += int(first.sum())
            error = torch.maximum(error, _largest((membrane[t] - exact[t]) / scale, comparable))
            distance = torch.maximum(distance, _largest((exact[t] - THRESHOLD) / scale, first))
            whole &= ~flipped
            same_here[t] = ~flipped.any(-1)
        whole &= same_below[-1].unsqueeze(-1)
        same_below &= torch.cumprod(same_here.int(), 0).bool()
    why = ""
    if not float(error) <= MEMBRANE:
        why = f"a membrane differs by {float(error):.1e} of its size"
    elif not float(distance) <= MEMBRANE:
        why = f"a spike differs though its membrane is {float(distance):.1e} from the threshold"
    share = float(whole.float().mean())
    return CheckResult(why, flips, share_compared=share, membrane=float(error)), whole


def _largest(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the largest magnitude of the chosen values, NaN if one of them is NaN."""
    return torch.where(chosen, values.detach().abs(), 0.0).max()


def _relative(found: Tensor, expected: Tensor) -> float:
    difference, norm = float((found - expected).norm()), float(expected.norm())
    if norm == 0:
        return difference and float("inf")
    return difference / norm
