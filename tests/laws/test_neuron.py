"""Laws of the leaky neuron, whatever runs it: physics and symmetry.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikemnist import ops
from spikemnist.ops.layer import LayerParams
from tests.laws.runners import INTERPRETED, RUNNER, RUNNERS, run
from tests.laws.stacks import Stack, layer, neurons, spikes, stack
from tests.strategies import SEEDS

pytestmark = INTERPRETED
RESETS = st.sampled_from(ops.RESET_MECHANISMS)
few = settings(max_examples=20)


def fire(
    runner: str,
    current: Tensor,
    beta: float,
    threshold: float = 1.0,
    reset_mechanism: str = "subtract",
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return spikes and membranes ``[T, B, N]`` of neurons that receive a current."""
    params = LayerParams(
        beta=torch.tensor(beta, dtype=current.dtype),
        threshold=torch.tensor(threshold, dtype=current.dtype),
        reset_mechanism=reset_mechanism,
        spike_grad=ops.ATan(),
        initial=initial,
    )
    (output,) = RUNNERS[runner](current, [params], record="all", final=False)
    return output.spikes, output.membrane


@RUNNER
@few
@given(st.floats(0, 1), st.floats(-5, 1), RESETS)
def test_without_input_a_membrane_decays_as_beta_to_the_t(
    runner: str, beta: float, start: float, reset_mechanism: str
) -> None:
    initial = torch.linspace(0, start, 130, dtype=torch.float64)[None]
    silence = torch.zeros(50, 1, 130, dtype=torch.float64)
    fired, membrane = fire(runner, silence, beta, 1.0, reset_mechanism, initial)
    assert not fired.any()
    left = torch.tensor([beta**t for t in range(1, 51)], dtype=torch.float64)
    expected = left[:, None, None] * initial
    torch.testing.assert_close(membrane, expected, rtol=1e-13, atol=1e-300)


@RUNNER
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_each_spike_decays_by_itself(runner: str, beta: float) -> None:
    """Without reset the membrane is the sum of what is left of all spikes."""
    fed = spikes(70, 2, 66, dtype=torch.float64)
    _, membrane = fire(runner, fed, beta, reset_mechanism="none")
    age = (torch.arange(70)[:, None] - torch.arange(70)).double()
    left = torch.where(age >= 0, beta ** age.clamp_min(0), 0.0)
    expected = torch.einsum("ts,sbn->tbn", left, fed)
    torch.testing.assert_close(membrane, expected, rtol=1e-12, atol=1e-13)


@RUNNER
@few
@given(st.floats(0.01, 0.999), st.floats(0.2, 3), st.floats(1.001, 4))
def test_the_f_i_curve_of_a_neuron_that_resets_to_zero(
    runner: str, beta: float, threshold: float, drive: float
) -> None:
    r"""A constant current fires periodically, with the period of the closed form.

    From rest, :math:`U_t = I + \beta I + \dots = I \frac{1 - \beta^n}{1 - \beta}` after n steps.
    It exceeds :math:`\theta` first at the least n with
    :math:`\beta^n < 1 - \frac{\theta (1 - \beta)}{I}`, which exists for
    :math:`I > \theta (1 - \beta)`. The step after a spike begins from 0, as the first one did, so
    the neuron fires at steps n, 2n, 3n, ...
    """
    current = drive * threshold * (1 - beta)
    steps = math.log(1 - threshold * (1 - beta) / current) / math.log(beta)
    period = math.floor(steps) + 1
    assume(abs(steps - round(steps)) > 1e-9)
    assume(period <= 400)
    constant = torch.full((3 * period + 1, 1, 1), current, dtype=torch.float64)
    fired, _ = fire(runner, constant, beta, threshold, "zero")
    times = fired.flatten().nonzero().flatten() + 1
    expected = torch.arange(1, len(fired) + 1)
    assert torch.equal(times, expected[expected % period == 0])


@RUNNER
@few
@given(st.floats(0, 0.999), st.floats(0.2, 3), RESETS)
def test_no_spike_below_the_rheobase(
    runner: str, beta: float, threshold: float, reset_mechanism: str
) -> None:
    """The membrane tends to I / (1 - beta) from below: the threshold is never exceeded."""
    current = torch.full((400, 1, 1), threshold * (1 - beta) * (1 - 1e-9), dtype=torch.float64)
    fired, membrane = fire(runner, current, beta, threshold, reset_mechanism)
    assert not fired.any()
    assert membrane[-1] == pytest.approx(threshold * (1 - beta**400), rel=1e-8)


@RUNNER
@given(SEEDS)
def test_without_leak_charge_is_conserved(runner: str, seed: int) -> None:
    """Subtracting resets take a threshold's worth for each spike, one step later."""
    given = neurons((60, 2, 3), seed=seed, beta=1.0)
    params = given.layers[0]
    (output,) = run(runner, given)
    before = (params.initial > params.threshold).double()
    taken = (before + output.spikes[:-1].sum(0)) * params.threshold
    charge = params.initial + given.spikes.sum(0)
    torch.testing.assert_close(output.membrane[-1], charge - taken, rtol=1e-12, atol=1e-12)


@RUNNER
@given(SEEDS, RESETS)
def test_the_unit_of_voltage_is_free(runner: str, seed: int, reset_mechanism: str) -> None:
    """Powers of two scale without rounding."""
    given = neurons((9, 2, 3), seed=seed, reset_mechanism=reset_mechanism)
    (params,) = given.layers
    scaled = replace(params, threshold=8 * params.threshold, initial=8 * params.initial)
    (expected,) = run(runner, given)
    (actual,) = run(runner, replace(given, spikes=8 * given.spikes, layers=[scaled]))
    assert torch.equal(actual.spikes, expected.spikes)
    assert torch.equal(actual.membrane, 8 * expected.membrane)


@RUNNER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_threshold_itself_does_not_fire(runner: str, dtype: torch.dtype) -> None:
    above = 1 + torch.finfo(dtype).eps
    current = torch.tensor([[[1.0, above, -1.0]]], dtype=dtype)
    fired, membrane = fire(runner, current, 0.5)
    assert fired.tolist() == [[[0.0, 1.0, 0.0]]]
    assert membrane.tolist() == [[[1.0, above, -1.0]]]


@RUNNER
@pytest.mark.parametrize(
    ("reset_mechanism", "expected"),
    [
        ("subtract", [1.5, -0.25, 0.5, 0.25]),
        ("zero", [0.0, 0.0, 0.5, 0.25]),
        ("none", [2.5, 0.75, 0.5, 0.25]),
    ],
)
def test_initial_membrane_above_the_threshold(
    runner: str, reset_mechanism: str, expected: list[float]
) -> None:
    initial = torch.tensor([[5.0, 1.5, 1.0, 0.5]], dtype=torch.float64)
    silence = torch.zeros(1, 1, 4, dtype=torch.float64)
    _, membrane = fire(runner, silence, 0.5, 1.0, reset_mechanism, initial)
    assert membrane.flatten().tolist() == expected


@RUNNER
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_and_smallest_numbers(runner: str, dtype: torch.dtype) -> None:
    """No flush to zero, and an overflow is an infinity that fires."""
    tiny, huge = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    drawn = layer(3, 2, beta=1.0, threshold=1.0, reset_mechanism="none", bias=False, dtype=dtype)
    weight = torch.tensor([[tiny / 4, 0.0], [huge, huge], [-huge, -huge]], dtype=dtype)
    given = Stack(torch.ones(2, 1, 2), [replace(drawn, weight=weight)])
    (output,) = run(runner, given)
    expected = [[tiny / 4, math.inf, -math.inf], [tiny / 2, math.inf, -math.inf]]
    assert output.membrane[:, 0].tolist() == torch.tensor(expected, dtype=dtype).tolist()
    assert output.spikes[:, 0].tolist() == [[0.0, 1.0, 0.0]] * 2


@RUNNER
def test_membranes_that_are_not_a_number_stay_so(runner: str) -> None:
    fired, membrane = fire(runner, torch.full((3, 1, 2), torch.nan), 0.9)
    assert membrane.isnan().all()
    assert not fired.any()


@RUNNER
@few
@given(SEEDS, RESETS, st.integers(1, 8))
def test_two_halves_are_one_run(runner: str, seed: int, reset_mechanism: str, cut: int) -> None:
    given = stack(
        (70, 66, 3),
        numbers="short",
        seed=seed,
        steps=9,
        reset_mechanism=reset_mechanism,
        initial=True,
        record="all",
        final=True,
    )
    together = run(runner, given)
    first = run(runner, replace(given, spikes=given.spikes[:cut]))
    layers = [
        replace(params, initial=output.final)
        for params, output in zip(given.layers, first, strict=True)
    ]
    second = run(runner, replace(given, spikes=given.spikes[cut:], layers=layers))
    for one, part, rest in zip(together, first, second, strict=True):
        assert torch.equal(one.spikes, torch.cat([part.spikes, rest.spikes]))
        assert torch.equal(one.membrane, torch.cat([part.membrane, rest.membrane]))
        assert torch.equal(one.counts, part.counts + rest.counts)
        assert torch.equal(one.final, rest.final)


@RUNNER
@few
@given(SEEDS, st.sampled_from([0.1, 0.4, 0.9]), st.integers(1, 40))
def test_samples_do_not_see_one_another(runner: str, seed: int, density: float, count: int) -> None:
    """Some of them, in another order, spike as they do among all."""
    given = stack(
        (130, 66, 3),
        numbers="short",
        seed=seed,
        density=density,
        batch=40,
        initial=True,
        record="all",
        final=True,
    )
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))[:count]
    layers = [replace(params, initial=params.initial[order]) for params in given.layers]
    together = run(runner, given)
    alone = run(runner, replace(given, spikes=given.spikes[:, order], layers=layers))
    for one, other in zip(together, alone, strict=True):
        for name in ("spikes", "membrane"):
            assert torch.equal(getattr(one, name)[:, order], getattr(other, name))
        assert torch.equal(one.counts[order], other.counts)
        assert torch.equal(one.final[order], other.final)


@RUNNER
@given(SEEDS, RESETS)
def test_neurons_do_not_see_one_another(runner: str, seed: int, reset_mechanism: str) -> None:
    given = neurons((6, 2, 5), seed=seed, reset_mechanism=reset_mechanism)
    (params,) = given.layers
    own = {name: getattr(params, name)[..., 1:3] for name in ("beta", "threshold", "initial")}
    (together,) = run(runner, given)
    part = replace(given, spikes=given.spikes[..., 1:3], layers=[replace(params, **own)])
    (alone,) = run(runner, part)
    assert torch.equal(alone.spikes, together.spikes[..., 1:3])
    assert torch.equal(alone.membrane, together.membrane[..., 1:3])
