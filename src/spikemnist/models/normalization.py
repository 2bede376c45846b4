"""Batch normalisation of a batch that is split over several processes.

A module takes one of these classes while it trains: see
`spikemnist.training.processes.Processes.synchronized_batch_norm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn

if TYPE_CHECKING:
    from torch import Tensor


class _Sum(torch.autograd.Function):
    """Sum over the processes. Its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor) -> Tensor:
        return _added(numbers)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _added(grad)


class SynchronizedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the samples of all processes.

    `torch.nn.SyncBatchNorm` runs on CUDA only.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - named as in its base
        """Normalise this process's samples ``[B, C, ...]`` by the mean and variance of all."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        number = input.new_full((1,), input.numel() / input.shape[1])
        sums = _sum(torch.cat([input.sum(axes), number]))
        number = sums[-1:].detach()
        mean = sums[:-1] / number
        centred = input - mean.view(shape)
        variance = _sum(centred.square().sum(axes)) / number
        with torch.no_grad():
            self._remember(mean, variance * (number / (number - 1)))
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        normed = centred * scale.view(shape)
        return normed + self.bias.view(shape) if self.affine else normed

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        part = self.momentum
        if part is None:
            part = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)


class SynchronizedBatchNorm1d(SynchronizedBatchNorm, nn.BatchNorm1d):
    """Synchronised normalisation of features."""


class SynchronizedBatchNorm2d(SynchronizedBatchNorm, nn.BatchNorm2d):
    """Synchronised normalisation of channels."""


SYNCHRONIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: SynchronizedBatchNorm1d,
    nn.BatchNorm2d: SynchronizedBatchNorm2d,
}


def _sum(numbers: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(numbers)  # type: ignore[no-untyped-call]
    return total


def _added(numbers: Tensor) -> Tensor:
    total = numbers.clone()
    distributed.all_reduce(total)
    return total
