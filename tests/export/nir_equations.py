"""The equations of NIR's nodes, integrated by Euler's method."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def equations(graph: Any, spikes: Tensor, dt: float = 1e-4) -> list[Tensor]:
    """Return the spikes of each layer, ``[T, B, ...]``."""
    signal, trains = spikes.double(), []
    for node in graph.nodes.values():
        kind = type(node).__name__
        values = {k: torch.as_tensor(np.asarray(v)) for k, v in vars(node).items() if is_array(v)}
        if kind == "Affine":
            signal = signal @ values["weight"].double().T + values["bias"].double()
        elif kind == "Conv2d":
            weights = values["weight"].double(), values["bias"].double()
            space = {k: tuple(np.broadcast_to(getattr(node, k), 2)) for k in ("stride", "padding")}
            folded = functional.conv2d(signal.flatten(0, 1), *weights, **space)
            signal = folded.reshape(*signal.shape[:2], *folded.shape[1:])
        elif kind in ("AvgPool2d", "SumPool2d"):
            area = {"AvgPool2d": None, "SumPool2d": 1}[kind]
            sides = tuple(node.kernel_size.tolist())
            pooled = functional.avg_pool2d(signal.flatten(0, 1), sides, divisor_override=area)
            signal = pooled.reshape(*signal.shape[:2], *pooled.shape[1:])
        elif kind == "Flatten":
            signal = signal.flatten(2)
        elif kind == "LIF":
            signal = integrate(values, signal, dt)
            trains.append(signal.float())
    return trains


def is_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, Tensor))


def integrate(neuron: dict[str, Tensor], current: Tensor, dt: float) -> Tensor:
    membrane, fired = torch.zeros_like(current[0]), []
    for inflow in current:
        slope = (neuron["v_leak"] - membrane + neuron["r"] * inflow) / neuron["tau"]
        membrane = membrane + dt * slope
        fired.append(membrane > neuron["v_threshold"])
        membrane = membrane.masked_fill(fired[-1], 0)
    return torch.stack(fired).double()
