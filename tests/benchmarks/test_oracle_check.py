"""The check that every speed rests on: it lets rounding pass, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.candidates import Ours, SnnTorchLoop, our_backends, plain_leaky
from benchmarks.oracle import MEMBRANE, Oracle, compare_runs
from benchmarks.workload import Workload, first_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    Trace = list[tuple[Tensor, Tensor]]

WORKLOAD = Workload(hidden=40, num_steps=7, batch=6)


@pytest.fixture(scope="module")
def layers() -> list[nn.Linear]:
    """Weights with which both layers fire."""
    found = first_weights(WORKLOAD.sizes)
    for layer in found:
        layer.weight.data.mul_(4)
    return found


@pytest.fixture(scope="module")
def oracle(layers: list[nn.Linear]) -> Oracle:
    batch = WORKLOAD.load()
    return Oracle(SnnTorchLoop(layers), batch.spikes, batch.labels)


class Wrong(SnnTorchLoop):
    """snnTorch's loop, with one thing spoilt."""

    def __init__(
        self,
        layers: list[nn.Linear],
        trace: Callable[[Trace], object] = lambda trace: None,
        gradient: float = 1.0,
        loss: float = 1.0,
    ) -> None:
        super().__init__(layers, WORKLOAD)
        self._spoil, self._factor, self._loss_factor = trace, gradient, loss

    def trace(self, spikes: Tensor) -> Trace:
        found = super().trace(spikes)
        self._spoil(found)
        return found

    def gradients(
        self, spikes: Tensor, labels: Tensor | None, weights: Tensor
    ) -> tuple[float, list[Tensor]]:
        loss, found = super().gradients(spikes, labels, weights)
        return self._loss_factor * loss, [*found[:-1], self._factor * found[-1]]


def test_the_oracle_fires_in_both_layers(oracle: Oracle) -> None:
    for spikes, membrane in oracle.trace:
        assert 0.01 < float(spikes.mean()) < 0.9
        assert torch.equal(spikes, (membrane > 1).float())


@pytest.mark.parametrize("backend", our_backends())
def test_ours_passes_on_every_backend(
    oracle: Oracle, layers: list[nn.Linear], backend: str
) -> None:
    check = oracle.check(Ours(layers, backend, WORKLOAD))
    assert check.passed, check.why
    assert check.share_compared > 0.5
    assert max(check.membrane, check.loss, check.gradient) < 1e-4


@pytest.mark.parametrize("backend", our_backends())
def test_ours_passes_on_a_single_layer_with_dense_input(backend: str) -> None:
    layers = first_weights((20, 20))
    inputs = 4 * torch.rand(12, 3, 20, generator=torch.Generator().manual_seed(0))
    oracle = Oracle(SnnTorchLoop(layers), inputs, None)
    assert float(oracle.trace[0][0].mean()) > 0.01
    check = oracle.check(Ours(layers, backend))
    assert check.passed, check.why


def test_another_decay_fails(oracle: Oracle, layers: list[nn.Linear]) -> None:
    wrong = SnnTorchLoop(layers, WORKLOAD)
    for leaky in wrong._neurons:
        leaky.beta.fill_(0.951)
    assert "a membrane differs by" in oracle.check(wrong).why


def test_another_surrogate_fails_by_its_gradient(oracle: Oracle, layers: list[nn.Linear]) -> None:
    wrong = SnnTorchLoop(layers, WORKLOAD)
    wrong._neurons[0].spike_grad = lambda x: plain_leaky().spike_grad(2 * x)
    assert "the gradient differs by" in oracle.check(wrong).why


@pytest.mark.parametrize(("factor", "passes"), [(1 + 1e-6, True), (1.001, False), (-1.0, False)])
def test_gradients_may_differ_by_rounding_only(
    oracle: Oracle, layers: list[nn.Linear], factor: float, passes: bool
) -> None:
    assert oracle.check(Wrong(layers, gradient=factor)).passed == passes


def test_another_loss_fails(oracle: Oracle, layers: list[nn.Linear]) -> None:
    assert "the loss is" in oracle.check(Wrong(layers, loss=1.001)).why


def test_a_silent_network_has_no_gradient_and_agrees_on_that(layers: list[nn.Linear]) -> None:
    oracle = Oracle(SnnTorchLoop(layers), torch.zeros(3, 2, 784), torch.tensor([1, 2]))
    assert oracle.check(Ours(layers, "reference", WORKLOAD)).passed
    spoilt = Wrong(layers)
    spoilt.gradients = lambda *given: (  # type: ignore[method-assign]
        SnnTorchLoop.gradients(spoilt, *given)[0],
        [gradient + 1e-9 for gradient in SnnTorchLoop.gradients(spoilt, *given)[1]],
    )
    assert "the gradient differs by inf" in oracle.check(spoilt).why


def test_a_flip_far_from_the_threshold_fails(oracle: Oracle, layers: list[nn.Linear]) -> None:
    def flip(trace: Trace) -> None:
        spikes, membrane = trace[0]
        t, b, n = torch.nonzero((membrane - 1).abs() > 0.3)[0].tolist()
        spikes[t, b, n] = 1 - spikes[t, b, n]

    check = oracle.check(Wrong(layers, flip))
    assert "a spike differs though its membrane is" in check.why
    assert not check.passed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_fails(oracle: Oracle, layers: list[nn.Linear], value: float) -> None:
    def poison(trace: Trace) -> None:
        trace[0][1][3, 2, 1] = value

    assert not oracle.check(Wrong(layers, poison)).passed


def test_who_raises_is_out_with_the_message(oracle: Oracle, layers: list[nn.Linear]) -> None:
    def refuse(trace: Trace) -> None:
        raise ValueError("not on\nthis machine")

    assert oracle.check(Wrong(layers, refuse)).why == "ValueError: not on this machine"


def test_other_shapes_are_named(oracle: Oracle, layers: list[nn.Linear]) -> None:
    check = oracle.check(Wrong(layers, lambda trace: trace.pop()))
    assert "expected spikes of the shapes" in check.why


def run(membranes: list[list[float]]) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes ``[T, 1, N]`` of one layer, from one row for each neuron."""
    membrane = torch.tensor(membranes).T.unsqueeze(1)
    return (membrane > 1).float(), membrane


NEAR = MEMBRANE / 2


def test_after_a_flip_by_rounding_a_train_may_go_its_own_way() -> None:
    right = run([[0.5, 1 + NEAR, 0.2, 1.5], [0.1, 0.2, 0.3, 0.4]])
    other = run([[0.5, 1 - NEAR, 1.2, 0.5], [0.1, 0.2, 0.3, 0.4]])
    found, untouched = compare_runs([other], [right])
    assert (found.why, found.flips) == ("", 1)
    assert untouched.tolist() == [[False, True]]


def test_before_its_flip_a_train_may_not() -> None:
    right = run([[0.5, 1 + NEAR]])
    other = run([[0.6, 1 - NEAR]])
    assert "a membrane differs by 1.0e-01" in compare_runs([other], [right])[0].why


def test_layers_above_a_flip_are_compared_up_to_it() -> None:
    below = [run([[0.5, 1 + NEAR, 0.2]]), run([[0.5, 1 - NEAR, 0.2]])]
    same_until_then = [run([[0.3, 0.4, 0.5]]), run([[0.3, 1.4, 1.5]])]
    found, untouched = compare_runs([below[1], same_until_then[1]], [below[0], same_until_then[0]])
    assert (found.why, found.flips, untouched.tolist()) == ("", 1, [[False]])
    earlier = [run([[0.3, 0.4, 0.5]]), run([[0.9, 0.4, 0.5]])]
    found, untouched = compare_runs([below[1], earlier[1]], [below[0], earlier[0]])
    assert "a membrane differs by 6.0e-01" in found.why


def test_a_flip_touches_its_own_sample_only() -> None:
    right = torch.tensor([[[0.5], [1 + NEAR]]])
    other = torch.tensor([[[0.5], [1 - NEAR]]])
    above = torch.tensor([[[0.2], [0.2]]])
    moved = torch.tensor([[[0.2], [0.9]]])
    traces = [
        [((membrane > 1).float(), membrane) for membrane in pair]
        for pair in ((other, moved), (right, above))
    ]
    found, untouched = compare_runs(*traces)
    assert (found.why, untouched.tolist()) == ("", [[True], [False]])


def test_nothing_left_to_compare_is_no_pass(layers: list[nn.Linear]) -> None:
    """One sample, and a flip in it: the gradient cannot be judged, so the speed is not shown."""
    spikes = torch.ones(1, 1, 784, dtype=torch.uint8)
    oracle = Oracle(SnnTorchLoop(layers), spikes, torch.tensor([3]))
    fired, membrane = oracle.trace[0]
    membrane[0, 0, 0], fired[0, 0, 0] = 1 + NEAR, 1.0

    def flip(trace: Trace) -> None:
        trace[0][1][0, 0, 0], trace[0][0][0, 0, 0] = 1 - NEAR, 0.0

    check = oracle.check(Wrong(layers, flip))
    assert (check.passed, check.flips) == (False, 1)
    assert "every sample holds a flip" in check.why
