"""Compare the kernels with the reference at their first use in a process, on a small layer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from spikemnist import ops
from spikemnist.ops.layer import LayerParams


@functools.cache
def unsupported(
    device: torch.device,
    dtype: torch.dtype,
    reset_mechanism: str,
    surrogate: Callable[[Tensor], Tensor],
) -> str | None:
    """Return why the kernels cannot run neurons of this kind, or None.

    Parameters
    ----------
    device, dtype
        Device and dtype of the input current.
    reset_mechanism, surrogate
        Reset mechanism and surrogate of the neurons.

    Returns
    -------
    str or None
        The error that they raise, also where a result differs from the reference's by more than
        rounding, or Triton finds no C compiler.
    """
    try:
        _compare(device, dtype, reset_mechanism, surrogate)
    except Exception as error:  # Triton and the driver may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return f"its kernels fail on {device} ({reason})"
    return None


@torch.inference_mode(mode=False)
@torch.enable_grad()
def _compare(
    device: torch.device,
    dtype: torch.dtype,
    reset_mechanism: str,
    surrogate: Callable[[Tensor], Tensor],
) -> None:
    """Raise an error unless spikes, membranes and gradients are those of the reference."""
    from spikemnist.gpu.scan import scan  # imports Triton

    number = torch.promote_types(dtype, torch.float32)
    random = torch.Generator().manual_seed(0)
    shapes = ((6, 3, 100), (100,), (100,), (6, 3, 100), (6, 3, 100))  # more than one block
    current, beta, threshold, *weights = (
        torch.rand(shape, generator=random, dtype=number, device="cpu").to(device)
        for shape in shapes
    )
    current, threshold = (2 * current).to(dtype), threshold + 0.5  # about half of them fire
    weights = [weight.to(dtype) for weight in weights]

    options: dict[str, Any] = {"reset_mechanism": reset_mechanism, "spike_grad": surrogate}

    def kernels(current: Tensor, beta: Tensor, threshold: Tensor) -> tuple[Any, ...]:
        layer = LayerParams(beta=beta, threshold=threshold, **options)
        return scan(current, layer, membrane=True)[:2]

    results = _results(kernels, (current, beta, threshold), weights)
    reference = functools.partial(ops.leaky, **options)
    expected = _results(reference, (current.to(number), beta, threshold), weights)
    for actual, one in zip(results, expected, strict=True):
        rounding = max(torch.finfo(actual.dtype).eps, 128 * torch.finfo(number).eps)
        tolerance = rounding * float(one.detach().abs().max())
        torch.testing.assert_close(actual.to(number), one, rtol=0.0, atol=tolerance)


def _results(
    run: Callable[..., tuple[Any, ...]], inputs: Sequence[Tensor], weights: Sequence[Tensor]
) -> list[Tensor]:
    """Return spikes and membranes, and the gradients of their weighted sum."""
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    outputs = run(*leaves)
    loss = sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True))
    return [*outputs, *torch.autograd.grad(loss, leaves)]
