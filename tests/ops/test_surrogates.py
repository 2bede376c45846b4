"""Surrogate gradients: closed forms, snnTorch's own, and being a value."""

from __future__ import annotations

import copy
import functools
import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from snntorch import surrogate as snn
from torch import Tensor

from spikemnist import LeakyMLP, ops
from spikemnist.ops import (
    ATan,
    FastSigmoid,
    Heaviside,
    Sigmoid,
    SparseFastSigmoid,
    SpikeRateEscape,
    StraightThrough,
    Surrogate,
    Triangular,
    get_surrogate,
)
from tests.models.stepped_network import STEPPED

# Ours, the same one of snnTorch or None, and its derivative on paper.
CASES: list[tuple[Surrogate, Callable[[Tensor], Tensor] | None, Callable[[float], float]]] = [
    (ATan(), snn.atan(), lambda x: 1 / (1 + (math.pi * x) ** 2)),
    (ATan(3.0), snn.atan(3.0), lambda x: 1.5 / (1 + (math.pi / 2 * 3 * x) ** 2)),
    (FastSigmoid(), snn.fast_sigmoid(), lambda x: 1 / (1 + 25 * abs(x)) ** 2),
    (FastSigmoid(4.0), snn.fast_sigmoid(4), lambda x: 1 / (1 + 4 * abs(x)) ** 2),
    (SparseFastSigmoid(), snn.SFS(), lambda x: (x > 1) / (1 + 25 * abs(x)) ** 2),
    (
        SparseFastSigmoid(5.0, -0.25),
        snn.SFS(5, -0.25),
        lambda x: (x > -0.25) / (1 + 5 * abs(x)) ** 2,
    ),
    (Sigmoid(), snn.sigmoid(), lambda x: 25 * math.exp(-25 * x) / (1 + math.exp(-25 * x)) ** 2),
    (Sigmoid(3.0), snn.sigmoid(3), lambda x: 3 * math.exp(-3 * x) / (1 + math.exp(-3 * x)) ** 2),
    (StraightThrough(), snn.straight_through_estimator(), lambda x: 1),
    (Triangular(), snn.triangular(), lambda x: 1 if x < 0 else -1),
    (Triangular(0.5), snn.triangular(0.5), lambda x: 0.5 if x < 0 else -0.5),
    (Heaviside(), snn.heaviside(), lambda x: float(x > 0)),
    (SpikeRateEscape(), snn.spike_rate_escape(), lambda x: 25 * math.exp(-abs(x - 1))),
    (
        SpikeRateEscape(2.0, 3.0),
        snn.spike_rate_escape(2, 3),
        lambda x: 3 * math.exp(-2 * abs(x - 1)),
    ),
]
ALL_CASES = pytest.mark.parametrize(
    ("ours", "theirs", "paper"), CASES, ids=[str(c[0]) for c in CASES]
)
SNNTORCHS = pytest.mark.parametrize(
    ("ours", "theirs"), [(ours, theirs) for ours, theirs, _ in CASES if theirs is not None]
)
FLOATING = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# Dyadic, so that no dtype rounds them; the places where a surrogate has a corner among them.
POINTS = [-2.0, -1.0, -0.5, -0.25, -0.125, 0.0, 2**-10, 0.125, 0.5, 1.0, 1.25, 2.0]


def derivative(spike_grad: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(spike_grad(leaf).sum(), leaf)
    return gradient


def test_every_surrogate_is_tested() -> None:
    assert {type(ours) for ours, _, _ in CASES} == set(ops.SURROGATES.values())
    assert {name: kind().name for name, kind in ops.SURROGATES.items()} == {
        name: name for name in ops.SURROGATES
    }


@dataclass(frozen=True)
class InPlace(Surrogate):
    name = "in place"

    def derivative_(self, x: Tensor) -> Tensor:
        return x.square_().mul_(-3).exp_()


@dataclass(frozen=True)
class Returned(Surrogate):
    name = "returned"

    def derivative_(self, x: Tensor) -> Tensor:
        return torch.exp(-3 * x * x)


@pytest.mark.filterwarnings("ignore:the slower reference runs this network")
@pytest.mark.parametrize("backend", ["auto", "reference", *STEPPED])
def test_a_derivative_may_be_a_new_tensor(backend: ops.Backend) -> None:
    gradients = []
    for surrogate in (InPlace(), Returned()):
        torch.manual_seed(0)
        network = LeakyMLP(
            in_features=12, hidden=8, spike_grad=surrogate, threshold=0.3, backend=backend
        )
        network((torch.rand(5, 3, 12) < 0.5).float()).scores.square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected)
    assert bool(gradients[0][0].any())


@ALL_CASES
@pytest.mark.parametrize("dtype", FLOATING)
def test_the_derivative_is_the_closed_form(
    ours: Surrogate, theirs: Any, paper: Callable[[float], float], dtype: torch.dtype
) -> None:
    x = torch.tensor(POINTS, dtype=dtype)
    result = derivative(ours, x)
    assert result.dtype == dtype
    expected = torch.tensor([paper(point) for point in POINTS], dtype=torch.float64)
    # A few roundings, none of them of an exponent, and half precision's subnormal steps times k.
    unit = torch.finfo(dtype)
    torch.testing.assert_close(
        result.double(), expected, rtol=4 * unit.eps, atol=25 * unit.tiny * unit.eps
    )


@SNNTORCHS
def test_the_gradient_is_snntorchs(ours: Surrogate, theirs: Any) -> None:
    x = torch.linspace(-2, 2, 401)
    torch.testing.assert_close(derivative(ours, x), derivative(theirs, x), rtol=2e-4, atol=1e-12)


@ALL_CASES
@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=5))
def test_spikes_are_the_step_in_the_membranes_dtype(
    ours: Surrogate, theirs: Any, paper: Any, values: list[float]
) -> None:
    for dtype in FLOATING:
        x = torch.tensor(values, dtype=torch.float32).to(dtype)
        spikes = ours(x)
        assert spikes.dtype == dtype
        assert spikes.tolist() == [float(value > 0) for value in x.tolist()]


@ALL_CASES
@pytest.mark.parametrize("dtype", FLOATING)
def test_no_membrane_is_too_far_from_the_threshold(
    ours: Surrogate, theirs: Any, paper: Any, dtype: torch.dtype
) -> None:
    far = torch.tensor([-3e4, -100.0, -10.0, 10.0, 100.0, 3e4], dtype=dtype)
    gradient = derivative(ours, far)
    assert gradient.isfinite().all()
    flat = isinstance(ours, StraightThrough | Triangular | Heaviside)
    assert flat or gradient[[0, -1]].abs().max() < 1e-6


def test_snntorchs_sigmoid_overflows_where_ours_does_not() -> None:
    """Why there is one of our own. Should this fail, snnTorch has been mended."""
    far = torch.tensor([-100.0])
    assert derivative(snn.sigmoid(), far).isnan().all()
    assert derivative(Sigmoid(), far).tolist() == [0.0]


@ALL_CASES
def test_the_gradient_is_scaled_and_the_membrane_unchanged(
    ours: Surrogate, theirs: Any, paper: Any
) -> None:
    x = torch.tensor(POINTS, dtype=torch.float64).requires_grad_()
    above = torch.linspace(-1, 3, len(POINTS), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(ours(x), x, above)
    torch.testing.assert_close(gradient, derivative(ours, x) * above)
    assert x.tolist() == POINTS


@SNNTORCHS
def test_snntorchs_closures_are_recognised_with_their_arguments(
    ours: Surrogate, theirs: Any
) -> None:
    assert get_surrogate(theirs) == ours


@ALL_CASES
def test_a_surrogate_is_a_value(ours: Any, theirs: Any, paper: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours), replace(ours)):
        assert twin == ours
        assert hash(twin) == hash(ours)
    assert get_surrogate(ours) is ours
    assert [other for other, _, _ in CASES].count(ours) == 1
    assert eval(repr(ours), vars(ops).copy()) == ours
    with pytest.raises(FrozenInstanceError):
        ours.alpha = 1


@pytest.mark.parametrize("name", sorted(ops.SURROGATES))
def test_names_stand_for_the_defaults(name: str) -> None:
    assert get_surrogate(name) == ops.SURROGATES[name]()


def custom(x: Tensor, grad: Tensor, spikes: Tensor) -> Tensor:
    return grad


@pytest.mark.parametrize(
    "function",
    [
        snn.SSO(),
        snn.LSO(),
        snn.custom_surrogate(custom),
        functools.partial(torch.gt, other=0),
        snn.ATan.apply,
        torch.sigmoid,
        torch.nn.Sigmoid(),
    ],
)
def test_other_callables_are_returned_unchanged(function: Any) -> None:
    assert get_surrogate(function) is function


def test_own_function_named_atan() -> None:
    def atan(alpha: float) -> Any:
        return lambda x: x * alpha

    own = atan(2.0)
    assert get_surrogate(own) is own


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match="spike_grad must be one of") as caught:
        get_surrogate("fast-sigmoid")
    assert all(name in str(caught.value) for name in ops.SURROGATES)
    assert str(caught.value).endswith("got 'fast-sigmoid'; did you mean fast_sigmoid?")


@pytest.mark.parametrize("wrong", [None, 3, 0.5, ["atan"]])
def test_neither_a_name_nor_a_callable(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"a name or a callable; got {type(wrong).__name__}"):
        get_surrogate(wrong)


@pytest.mark.parametrize("maker", [ops.ATan, Surrogate, snn.atan, snn.SFS, snn.LSO, snn.ATan])
def test_what_makes_a_surrogate_is_none(maker: Any) -> None:
    name = maker.__name__
    with pytest.raises(
        TypeError, match=rf"and {name} makes one: write {name}\(\), or {name}.apply"
    ):
        get_surrogate(maker)


WRONG_PARAMETERS = [
    (ops.ATan, "alpha", 0),
    (ops.FastSigmoid, "slope", 0),
    (ops.SparseFastSigmoid, "slope", 0),
    (ops.SparseFastSigmoid, "cutoff", None),
    (ops.Sigmoid, "slope", 0),
    (ops.Triangular, "threshold", None),
    (ops.SpikeRateEscape, "beta", None),
    (ops.SpikeRateEscape, "slope", None),
]


@pytest.mark.parametrize(("kind", "name", "above"), WRONG_PARAMETERS)
def test_parameters_are_finite_numbers_in_their_range(
    kind: Any, name: str, above: int | None
) -> None:
    wrong = ["x", None, float("nan"), float("inf"), -float("inf"), [1.0], torch.ones(2)]
    for value in [*wrong, *([] if above is None else [0, -1.0])]:
        with pytest.raises(ValueError, match=f"{name} must be a number, .*finite"):
            kind(**{name: value})
    for number in (0.5, np.float32(0.5), torch.tensor(0.5)):
        assert type(getattr(kind(**{name: number}), name)) is float
        assert getattr(kind(**{name: number}), name) == 0.5
