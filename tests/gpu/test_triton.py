"""Kernels of Triton beyond the laws that all runners obey, and compiled for CUDA.

Shapes: ``T`` timesteps, ``B`` batch, ``N`` neurons.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikemnist import (
    Classifier,
    DirectEncoder,
    LeakyConvNet,
    LeakyMLP,
    TrainConfig,
    fit,
    load_digits,
    ops,
)
from spikemnist.gpu import proof
from spikemnist.gpu.on_cuda import Triton
from spikemnist.models import runners
from tests.gpu.cases import by_triton
from tests.laws.layers import by_reference
from tests.laws.runners import (
    INTERPRETED,
    answer,
    loss_weights,
    run,
)
from tests.laws.stacks import Stack, any_neurons, neurons

if TYPE_CHECKING:
    from spikemnist.ops.layer import LayerParams

pytest.importorskip("triton", reason="needs Triton: pip install triton")
pytestmark = INTERPRETED
scan = importlib.import_module("spikemnist.gpu.scan")
REAL = {"forward": scan.forward, "backward": scan.backward}

EXPONENTIAL = ("sigmoid", "spike_rate_escape")
"""Surrogates of an exponential function, which NumPy and torch round differently."""


def layer_of(size: int, **options: Any) -> LayerParams:
    return neurons((1, 1, size), initial=False, **options).to(torch.float32).layers[0]


@given(any_neurons())
def test_gradients_have_the_bits_of_the_reference(given: Stack) -> None:
    """But for beta: the reference's sum over time fuses products and sums."""
    given = given.to(torch.float32)
    assume(given.layers[0].spike_grad.name not in EXPONENTIAL)
    actual, expected = (
        answer(run, given, loss_weights(given)) for run in (by_triton, by_reference)
    )
    for name in actual.gradients.keys() - {"beta 0"}:
        gradients = actual.gradients[name], expected.gradients[name]
        torch.testing.assert_close(*gradients, rtol=0, atol=0)


@given(any_neurons(), st.sampled_from([torch.bfloat16, torch.float16]))
def test_half_precision_has_membranes_in_single(given: Stack, dtype: torch.dtype) -> None:
    half = given.to(dtype)
    actual = answer(by_triton, half, loss_weights(half))
    (output,), (expected,) = actual.layers, run("reference", half.to(torch.float32))
    assert output.spikes.dtype == dtype
    assert torch.equal(output.spikes.float(), expected.spikes)
    assert torch.equal(output.membrane, expected.membrane)
    for name, value in actual.gradients.items():
        assert value is None or value.dtype == dtype, name


@pytest.mark.parametrize("surrogate", ops.SURROGATES)
def test_no_surrogate_has_a_gradient_of_zero_everywhere(surrogate: str) -> None:
    current = torch.randn(5, 2, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    layer = layer_of(64, beta=0.9, spike_grad=ops.SURROGATES[surrogate](**_wide(surrogate)))
    scan.scan(current, layer)[0].sum().backward()
    assert current.grad is not None
    assert current.grad.count_nonzero() > 20


def _wide(surrogate: str) -> dict[str, float]:
    """Return parameters with which a surrogate reaches membranes near the threshold."""
    return {"cutoff": -1.0} if surrogate == "sparse_fast_sigmoid" else {}


def test_membranes_on_demand() -> None:
    current = torch.randn(4, 2, 30)
    spikes, membrane, last = scan.scan(current, layer_of(30), membrane=False)
    assert membrane is None
    all_spikes, membranes, _ = scan.scan(current, layer_of(30))
    assert membranes is not None
    assert torch.equal(spikes, all_spikes)
    assert torch.equal(last, membranes[-1])


@pytest.mark.parametrize(
    "build",
    [
        lambda backend: LeakyMLP(
            (30,), in_features=784, backend=backend, learn_threshold=True, dropout=0.1
        ),
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
    model = LeakyMLP((30, 10), in_features=20, backend="triton")
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
    monkeypatch.setattr(Triton, "suits", lambda *_: True)
    others = {name: x for name, x in runners._runners().items() if name != "event_driven"}
    monkeypatch.setattr(runners, "_loaded", others)
    proof.unsupported.cache_clear()
    yield monkeypatch
    proof.unsupported.cache_clear()


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_kernels_that_agree_with_the_reference_run(dtype: torch.dtype) -> None:
    for reset_mechanism in ops.RESET_MECHANISMS:
        for kind in ops.SURROGATES.values():
            surrogate = kind()
            assert proof.unsupported(torch.device("cpu"), dtype, reset_mechanism, surrogate) is None
    with torch.inference_mode():
        model = LeakyMLP((30,), in_features=20, spike_grad=ops.ATan(3.0)).to(dtype)
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
        ("forward", halves, "AssertionError: Tensor-likes are not close.*"),
        ("backward", forgets, "AssertionError: Tensor-likes are not close.*"),
    ],
)
def test_kernels_that_fail_leave_the_work_to_the_reference(
    stage: str, wrong: Any, reason: str, preferred: pytest.MonkeyPatch
) -> None:
    preferred.setattr(scan, stage, wrong)
    model, spikes = LeakyMLP((30,), in_features=20), torch.rand(4, 2, 20)
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
from spikemnist.ops import SURROGATES

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
    assert len(result) == 1 + len(ops.SURROGATES)
    for report in result:
        assert report["cubin"] > 1000
        assert report["atomic"] == 0
        if report["surrogate"] not in EXPONENTIAL:
            assert report["fused"] == 0
