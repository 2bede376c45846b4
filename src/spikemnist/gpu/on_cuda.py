"""The runner of the kernels for CUDA. Importing it loads no Triton."""

from __future__ import annotations

import importlib.util
import os

import torch
from torch import Tensor

from spikemnist.gpu.proof import unsupported
from spikemnist.models.architecture import Architecture
from spikemnist.models.runners import (
    NetworkOutput,
    Request,
    run_layers,
    unfit_network,
    unfit_tensors,
)
from spikemnist.ops.layer import LayerParams

DTYPES = torch.float32, torch.float64, torch.bfloat16, torch.float16


class Triton:
    """Runs the neurons of each layer in one kernel for all timesteps."""

    def reason_against(self, architecture: Architecture, request: Request) -> str | None:
        """Return why the kernels cannot run a network on spikes, or None."""
        if reason := self._unfit_here(request) or unfit_network(architecture):
            return reason
        if (template := request.template) is None:
            return None
        device, dtype = template.device, template.dtype
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
        for layer in architecture.layers:
            reset = layer.leaky.reset_mechanism
            if reason := unsupported(device, dtype, reset, layer.spike_grad):
                return f"{reason}, in {layer.path}"
        return None

    def suits(self, request: Request) -> bool:
        """Return whether the weights are on CUDA and the kernels run there."""
        on_cuda = request.template is not None and request.template.device.type == "cuda"
        return on_cuda and self._unfit_here(request) is None

    def _unfit_here(self, request: Request) -> str | None:
        template = request.template
        # For tests, Triton interprets its kernels in NumPy.
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        device = template.device.type if interpreted and template is not None else "cuda"
        if reason := unfit_tensors(request, device, DTYPES):
            return reason
        if importlib.util.find_spec("triton") is None:
            return "its kernels need Triton, which comes with torch for CUDA on Linux"
        return None

    def run(self, architecture: Architecture, request: Request) -> NetworkOutput:
        """Run the layers one after the other; membranes that are not needed are skipped."""
        return run_layers(_scan, architecture, request)


def _scan(
    current: Tensor, params: LayerParams, needed: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    from spikemnist.gpu.scan import scan  # imports Triton

    return scan(current, params, membrane=needed)
