"""Fused kernels on the GPU of this machine, if there is one, beside the reference on its CPU."""

from __future__ import annotations

import pytest
import torch

from spikemnist import DirectEncoder, LeakyMLP, fit, fused, load_digits, ops
from tests.fused.fused_leaky import SINGLE, layer_of

GPU = next(
    (
        (device, backend)
        for device, backend, present in (
            ("cuda", "triton", torch.cuda.is_available()),
            ("mps", "metal", torch.backends.mps.is_available()),
        )
        if present
    ),
    ("", ""),
)

if not GPU[0]:
    pytest.skip("needs a GPU: CUDA or MPS", allow_module_level=True)


@pytest.mark.parametrize("reset_mechanism", ops.RESET_MECHANISMS)
@pytest.mark.parametrize("surrogate", sorted(ops.SURROGATES))
def test_a_layer(reset_mechanism: str, surrogate: str) -> None:
    device, backend = GPU
    random = torch.Generator().manual_seed(0)
    current = torch.randn(12, 3, 500, generator=random) * 0.8 + 0.3
    weights = torch.randn(2, *current.shape, generator=random)
    found = []
    for where, run in (("cpu", None), (device, backend)):
        layer = layer_of(
            500, reset_mechanism=reset_mechanism, spike_grad=ops.SURROGATES[surrogate]()
        )
        leaves = [
            each.detach().to(where).requires_grad_()
            for each in (current, layer.beta, layer.threshold)
        ]
        if run is None:
            outputs = ops.leaky(
                *leaves, reset_mechanism=reset_mechanism, spike_grad=layer.spike_grad
            )
        else:
            moved = layer_of(
                500,
                beta=leaves[1],
                threshold=leaves[2],
                reset_mechanism=reset_mechanism,
                spike_grad=layer.spike_grad,
            )
            spikes, membrane = fused.run(run, leaves[0], moved)
            assert membrane is not None
            outputs = (spikes, membrane)
        loss = sum((out * w.to(where)).sum() for out, w in zip(outputs, weights, strict=True))
        found.append([*outputs, *torch.autograd.grad(loss, leaves)])
    for i, (expected, got) in enumerate(zip(*found, strict=True)):
        scale = float(expected.detach().abs().max()) * (0 if i < 2 else 12 * SINGLE)
        torch.testing.assert_close(got.detach().cpu(), expected.detach(), rtol=0, atol=scale)


def test_a_training_run() -> None:
    device, backend = GPU
    torch.manual_seed(0)
    model = LeakyMLP(784, (50,), backend=backend)
    train, _ = load_digits()
    history = fit(
        model, train[:600], encoder=DirectEncoder(num_steps=5), epochs=4, device=device, lr=0.01
    )
    assert history.epochs[-1].accuracy > 0.6
