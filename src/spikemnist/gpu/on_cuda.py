"""The runner of the kernels for CUDA. Importing it loads no Triton."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from spikemnist.gpu.proof import unsupported
from spikemnist.models.runners import NetworkOutput, run_layers, unfit_network, unfit_tensors
from spikemnist.models.sequential import Plan
from spikemnist.ops.layer import LayerParams

DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16


class Triton:
    """Runs the neurons of each layer in one kernel for all timesteps."""

    def reason_against(self, plan: Plan, spikes: Tensor | None, like: Tensor | None) -> str | None:
        """Return why the kernels cannot run a network on spikes, or None."""
        if reason := self._unfit_here(spikes, like) or unfit_network(plan):
            return reason
        if like is None:
            return None
        device, dtype = like.device, like.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        for layer in plan.layers:
            reset = layer.leaky.reset_mechanism
            if reason := unsupported(device, dtype, reset, layer.spike_grad):
                return f"{reason}, in {layer.path}"
        return None

    def suits(self, spikes: Tensor | None, like: Tensor | None) -> bool:
        """Return whether the weights are on CUDA and the kernels run there."""
        on_cuda = like is not None and like.device.type == "cuda"
        return on_cuda and self._unfit_here(spikes, like) is None

    def _unfit_here(self, spikes: Tensor | None, like: Tensor | None) -> str | None:
        # For tests, Triton interprets its kernels in NumPy.
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        device = like.device.type if interpreted and like is not None else "cuda"
        if reason := unfit_tensors(spikes, like, device, DTYPES):
            return reason
        if importlib.util.find_spec("triton") is None:
            return "its kernels need Triton, which comes with torch for CUDA on Linux"
        return None

    def run(
        self,
        plan: Plan,
        spikes: Tensor,
        like: Tensor,
        *,
        record: str,
        state: Sequence[Tensor] | None,
        final: bool,
    ) -> NetworkOutput:
        """Run the layers one after the other; membranes that are not needed are skipped."""
        return run_layers(_scan, plan.layers, spikes, like, record=record, state=state, final=final)


def _scan(
    current: Tensor, params: LayerParams, needed: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    from spikemnist.gpu.scan import scan  # imports Triton

    return scan(current, params, membrane=needed)
