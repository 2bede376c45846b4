"""Triton's kernel for the tests of all that runs a stack of layers."""

from __future__ import annotations

import importlib.util

from torch import Tensor

from spikemnist.ops.layer import LayerParams
from tests.laws.layers import layer_by_layer


def _triton(current: Tensor, params: LayerParams) -> tuple[Tensor, Tensor]:
    from spikemnist.gpu.scan import scan

    spikes, membrane, _ = scan(current, params)
    assert membrane is not None
    return spikes, membrane


by_triton = layer_by_layer(_triton)
# Where Triton is not installed, test_triton.py says so.
RUNNERS = [("triton", by_triton)] if importlib.util.find_spec("triton") else []
