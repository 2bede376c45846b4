"""The runner that has snnTorch step what nothing else can run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from spikemnist.interop.stepped import LoopInForwardError, run, unfit
from spikemnist.interop.tracing import advice
from spikemnist.models.architecture import Architecture
from spikemnist.models.runners import NetworkOutput, Request
from spikemnist.models.spiking_layer import SpikingLayer, neuron_shapes


class SnnTorch:
    """The runner that calls a network of snnTorch once for each timestep."""

    def reason_against(self, architecture: Architecture, request: Request) -> str | None:
        """Return why snnTorch cannot step the network either, or None."""
        return None if architecture.network is None else unfit(architecture.network)

    def suits(self, request: Request) -> bool:
        """Return True: it runs what nothing else can."""
        return True

    def run(self, architecture: Architecture, request: Request) -> NetworkOutput:
        """Step the network; warn once of what a user's own modules hold for the next call."""
        assert architecture.network is not None
        spikes, template = request.tensors
        if architecture.layers:
            _check_normalisation(architecture.layers)
            # Raises where the input does not fit.
            neuron_shapes(architecture.layers, spikes.shape[2:], template)
        try:
            output, carry_over = run(architecture.network, spikes, template, request.state)
        except LoopInForwardError as reason:
            raise ValueError(f"{reason}. {advice(architecture.network, spikes)}") from None
        if carry_over:
            text = (
                f"{', '.join(carry_over)} changed in a call, so the next one may differ: give "
                "the module a method reset(), which each call from rest begins with"
            )
            architecture.warn_once(text, UserWarning, stacklevel=6)
        return output


def _check_normalisation(layers: Sequence[SpikingLayer]) -> None:
    """Raise a `ValueError` for batch normalisation, which stepping would train differently."""
    modules = (module for layer in layers for _, module in layer.modules)
    if torch.is_grad_enabled() and any(isinstance(m, _BatchNorm) and m.training for m in modules):
        raise ValueError(
            "backend='snntorch' would normalise each timestep by itself, but this network "
            "normalises all of them together: train it with backend='auto', without hooks on its "
            "neurons"
        )
