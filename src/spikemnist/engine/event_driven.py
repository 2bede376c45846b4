"""The runner of compiled kernels for the CPU: its questions, which load no Numba."""

from __future__ import annotations

import torch

from spikemnist.kernels import compiler
from spikemnist.models.architecture import Architecture
from spikemnist.models.runners import NetworkOutput, Request, unfit_network, unfit_tensors

FEW_FRAMES = 4
"""Timesteps times samples below which inference by the reference is faster, in a network that
begins with a convolution."""


class EventDriven:
    """Runs layers in kernels that do work only where there is a spike."""

    def reason_against(self, architecture: Architecture, request: Request) -> str | None:
        """Return why the kernels cannot run a network on spikes, or None."""
        return self._unfit_here(request) or unfit_network(architecture)

    def suits(self, request: Request) -> bool:
        """Return whether the kernels run here, and are faster than the reference."""
        spikes, template = request.spikes, request.template
        few = spikes is not None and spikes.shape[:2].numel() < FEW_FRAMES
        convolves = template is not None and template.dim() > 2
        return not (few and convolves) and self._unfit_here(request) is None

    def _unfit_here(self, request: Request) -> str | None:
        if reason := unfit_tensors(request, "cpu", (torch.float32, torch.float64)):
            return reason
        template = request.template
        if template is not None and torch.is_autocast_enabled("cpu"):
            return f"it computes in {template.dtype}, and autocast asks for another precision"
        missing = compiler.missing()
        return missing and f"its kernels need {missing}"

    def run(self, architecture: Architecture, request: Request) -> NetworkOutput:
        """Run layers one after the other, and dense ones that exchange packed spikes together."""
        from spikemnist.engine.network_run import run  # loads Numba

        return run(architecture, request)
