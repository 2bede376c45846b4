"""Kernels of Triton: interpreted by NumPy and compared with the reference, and compiled for CUDA.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist import (
    Classifier,
    DirectEncoder,
    LeakyConvNet,
    LeakyMLP,
    TrainConfig,
    fit,
    gpu,
    load_digits,
    ops,
)
from spikemnist.gpu.proof import SURROGATES
from spikemnist.ops import backends
from tests.gpu.triton_leaky import layer_of, triton_leaky
from tests.ops.oracle import answer, assert_same, our_leaky
from tests.strategies import leaky_problem, leaky_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.strategies import LeakyProblem

pytest.importorskip("triton", reason="needs Triton: pip install triton")
# The interpreter of Triton 3.4 uses what NumPy deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")
scan = importlib.import_module("spikemnist.gpu.scan")
REAL = {"forward": scan.forward, "backward": scan.backward}

# Sums over T <= 12 timesteps of products of up to T factors: at most T**2 / 2 roundings.
TOLERANCE = {torch.float64: 72 * 2.0**-53, torch.float32: 72 * 2.0**-24}
EXPONENTIAL = ("sigmoid", "spike_rate_escape")
"""Surrogates of an exponential function, which NumPy and torch round differently."""


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    """Run the kernels in NumPy: Triton reads the variable when their module is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        yield


@given(leaky_problems(), st.sampled_from(sorted(TOLERANCE, key=str)))
def test_any_layer_equals_the_reference(problem: LeakyProblem, dtype: torch.dtype) -> None:
    problem = problem.to(dtype)
    result, expected = answer(triton_leaky, problem), answer(our_leaky, problem)
    assert_same(result, expected, tolerance=TOLERANCE[dtype])
    if dtype == torch.float32 and problem.spike_grad not in EXPONENTIAL:
        # To the bit, but for beta: the reference's sum over time fuses products and sums.
        for name in ("current", "threshold", "initial"):
            if result.gradients.get(name) is not None:
                torch.testing.assert_close(
                    result.gradients[name], expected.gradients[name], rtol=0, atol=0
                )


@pytest.mark.parametrize("loss_on", [("spikes",), ("membrane",)])
@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
def test_a_loss_on_one_of_the_two(reset_mechanism: str, loss_on: tuple[str, ...]) -> None:
    problem = leaky_problem((6, 2, 300), reset_mechanism=reset_mechanism).to(torch.float32)
    result, expected = answer(triton_leaky, problem, loss_on), answer(our_leaky, problem, loss_on)
    assert_same(result, expected, tolerance=TOLERANCE[torch.float32])


@given(leaky_problems(), st.sampled_from([torch.bfloat16, torch.float16]))
def test_half_precision_has_membranes_in_single(problem: LeakyProblem, dtype: torch.dtype) -> None:
    half = problem.to(dtype)
    result = answer(triton_leaky, half)
    expected = answer(our_leaky, half.to(torch.float32))
    assert result.spikes.dtype == dtype
    assert torch.equal(result.spikes.float(), expected.spikes)
    assert torch.equal(result.membrane, expected.membrane)
    for name, value in result.gradients.items():
        assert value is None or value.dtype == dtype, name


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_no_surrogate_has_a_gradient_of_zero_everywhere(surrogate: str) -> None:
    current = torch.randn(5, 2, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    layer = layer_of(64, spike_grad=ops.SURROGATES[surrogate](**_wide(surrogate)))
    gpu.run(current, layer)[0].sum().backward()
    assert current.grad is not None
    assert current.grad.count_nonzero() > 20


def _wide(surrogate: str) -> dict[str, float]:
    """Return parameters with which a surrogate reaches membranes near the threshold."""
    return {"cutoff": -1.0} if surrogate == "sparse_fast_sigmoid" else {}


def test_a_constant_current_is_read_once_a_timestep() -> None:
    once = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    constant, repeated = once.expand(9, 3, 40), once.expand(9, 3, 40).contiguous()
    layer = layer_of(40)
    for result, expected in zip(gpu.run(constant, layer), gpu.run(repeated, layer), strict=True):
        assert result is not None
        assert expected is not None
        assert torch.equal(result, expected)


def test_membranes_on_demand() -> None:
    current = torch.randn(4, 2, 30)
    spikes, membrane, last = gpu.run(current, layer_of(30), membrane=False)
    assert membrane is None
    all_spikes, membranes, _ = gpu.run(current, layer_of(30))
    assert membranes is not None
    assert torch.equal(spikes, all_spikes)
    assert torch.equal(last, membranes[-1])


def test_a_second_derivative_is_refused() -> None:
    current = torch.randn(4, 2, 30).requires_grad_()
    spikes, _, last = gpu.run(current, layer_of(30))
    loss = spikes.sum() + last.square().sum()
    (first,) = torch.autograd.grad(loss, current, create_graph=True)
    with pytest.raises(RuntimeError, match=r"second derivatives .* backend='snntorch'"):
        torch.autograd.grad(first.sum(), current)


def test_membranes_that_are_not_a_number_stay_so() -> None:
    current = torch.full((3, 1, 2), torch.nan)
    spikes, membrane, _ = gpu.run(current, layer_of(2))
    assert membrane is not None
    assert membrane.isnan().all()
    assert not spikes.any()


@pytest.mark.parametrize(
    "build",
    [
        lambda backend: LeakyMLP(784, (30,), backend=backend, learn_threshold=True, dropout=0.1),
        lambda backend: LeakyConvNet("2C5-P2-3C5-P2-10", batch_norm=True, backend=backend),
    ],
)
def test_training_equals_training_on_the_reference(
    build: Callable[[str], torch.nn.Module],
) -> None:
    train, _ = load_digits()
    trained = []
    for backend in ("triton", "reference"):
        torch.manual_seed(0)
        classifier = Classifier(build(backend), DirectEncoder(num_steps=4))
        fit(classifier, train[:30], TrainConfig(epochs=1, batch_size=15), progress=False)
        with torch.no_grad():
            assert classifier(torch.rand(2, 28, 28)).backend == backend
        trained.append(classifier.state_dict())
    for name, value in trained[0].items():
        torch.testing.assert_close(value, trained[1][name], rtol=0, atol=0)


def test_hidden_membranes_on_demand() -> None:
    model = LeakyMLP(20, (30, 10), backend="triton")
    spikes = torch.rand(4, 2, 20) < 0.5
    with torch.no_grad():
        everything = model(spikes, record="all", state=None)
        output = model(spikes)
    assert torch.equal(output.membrane, everything.membrane)
    for layer, last in zip(everything.layers, everything.state, strict=True):
        assert torch.equal(layer.membrane[-1], last)


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let `auto` take Triton on the CPU, and forget which kernels have been tested."""
    monkeypatch.setattr(backends, "_preference", lambda weight: "triton")
    gpu.obstacle.cache_clear()
    yield monkeypatch
    gpu.obstacle.cache_clear()


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_kernels_that_agree_with_the_reference_run(dtype: torch.dtype) -> None:
    for reset_mechanism in ops.RESET_MECHANISMS:
        for name in SURROGATES:
            surrogate = ops.SURROGATES[name]()
            assert gpu.obstacle(torch.device("cpu"), dtype, reset_mechanism, surrogate) is None
    with torch.inference_mode():
        model = LeakyMLP(20, (30,), spike_grad=ops.ATan(3.0)).to(dtype)
        assert model(torch.rand(4, 2, 20)).backend == "triton"


def raises(*_: object, **__: object) -> None:
    raise RuntimeError("Failed to find C compiler")


def halves(current: torch.Tensor, *arguments: Any, **options: Any) -> Any:
    return REAL["forward"](current / 2, *arguments, **options)


def forgets(grad_spikes: Any, grad_membrane: Any, *arguments: Any) -> None:
    REAL["backward"](None, grad_membrane, *arguments)


@pytest.mark.parametrize(
    ("stage", "wrong", "reason"),
    [
        ("forward", raises, "RuntimeError: Failed to find C compiler"),
        ("backward", raises, "RuntimeError: Failed to find C compiler"),
        ("forward", halves, "they compute other spikes than plain torch"),
        ("backward", forgets, "they compute other gradients of the current than plain torch"),
    ],
)
def test_kernels_that_fail_leave_the_work_to_the_reference(
    stage: str, wrong: Any, reason: str, preferred: pytest.MonkeyPatch
) -> None:
    preferred.setattr(scan, stage, wrong)
    model, spikes = LeakyMLP(20, (30,)), torch.rand(4, 2, 20)
    with pytest.warns(RuntimeWarning, match=rf"fail on cpu \({reason}\)") as caught:
        assert model(spikes).backend == model(spikes).backend == "reference"
    assert sum("fail on cpu" in str(report.message) for report in caught) == 1
    model.backend = "triton"
    with pytest.raises(ValueError, match=rf"its kernels fail on cpu \({reason}\)"):
        model(spikes)


COMPILE = """
import json
import os
import re

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from spikemnist.gpu import triton_kernels as kernels
from spikemnist.gpu.proof import SURROGATES

HALF = ("current", "spikes", "grad_spikes", "grad_current")


def signature(kernel, half):
    def kind(name):
        if name.isupper():
            return "constexpr"
        if name in ("steps", "step_stride", "size", "neurons"):
            return "i32"
        return "*fp16" if half and name in HALF else "*fp32"
    return {name: kind(name) for name in kernel.arg_names}


both = [(kernels.forward_kernel, [None]), (kernels.backward_kernel, SURROGATES)]
for kernel, surrogates in both:
    for surrogate in surrogates:
        constants = dict(
            EACH_BETA=True, EACH_THRESHOLD=False, RESET="zero", NUMBER=tl.float32, BLOCK=256
        )
        if surrogate:
            constants.update(SURROGATE=surrogate, FIRST=2.0, SECOND=1.0)
        source = ASTSource(kernel, signature(kernel, surrogate == "atan"), constants)
        compiled = triton.compile(source, GPUTarget("cuda", 80, 32), {"enable_fp_fusion": False})
        text = compiled.asm["ptx"]
        print(json.dumps({
            "fused": len(re.findall(r"\\bfma\\.rn\\.f32", text)),
            "atomic": len(re.findall(r"\\b(atom|red)\\.", text)),
            "cubin": len(compiled.asm["cubin"]),
            "surrogate": surrogate,
        }))
"""


def test_the_kernels_compile_for_cuda(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In a process of its own, in which nothing is interpreted, without a driver."""
    folder = tmp_path_factory.mktemp("compiled")
    script = folder / "compile.py"  # Triton reads the source of functions from files
    script.write_text(textwrap.dedent(COMPILE), encoding="utf-8")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(folder), "TRITON_INTERPRET": "0"}
    printed = subprocess.run(
        [sys.executable, script], env=environment, check=True, capture_output=True, text=True
    ).stdout
    result = [json.loads(line) for line in printed.splitlines()]
    assert len(result) == 1 + len(SURROGATES)
    for report in result:
        assert report["cubin"] > 1000
        assert report["atomic"] == 0
        if report["surrogate"] not in EXPONENTIAL:
            assert report["fused"] == 0
