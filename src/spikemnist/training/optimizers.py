"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

OptimizerFactory = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def make_optimizer(
    optimizer: str | OptimizerFactory,
    model: nn.Module,
    lr: float,
    weight_decay: float | None = None,
) -> torch.optim.Optimizer:
    """Build the optimiser of a model's parameters.

    Parameters
    ----------
    optimizer
        ``"adam"``, ``"adamw"``, ``"sgd"`` (with momentum 0.9), or a factory that is called as
        ``factory(parameters, lr=lr)``, such as ``torch.optim.RMSprop``.
    model
        Its trainable parameters are optimised.
    lr
        Learning rate.
    weight_decay
        Of weights alone, the parameters with two axes or more: biases, beta, thresholds and the
        scales of batch normalisation have none. ``"adamw"`` decays weights by themselves, the other
        optimisers add the decay to the gradient. ``None`` leaves the optimiser's own default.

    Raises
    ------
    ValueError
        For an unknown name, or a model without trainable parameters.
    """
    parameters: list[Any] = [p for p in model.parameters() if p.requires_grad]
    device = parameters[0].device.type if parameters else ""
    if not parameters:
        raise ValueError("the model has no trainable parameters")
    if weight_decay is not None:
        weights = [p for p in parameters if p.dim() >= 2]
        others = [p for p in parameters if p.dim() < 2]
        parameters = [
            {"params": group, "weight_decay": decay}
            for group, decay in ((weights, weight_decay), (others, 0.0))
            if group
        ]
    if not isinstance(optimizer, str):
        return optimizer(parameters, lr=lr)
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)} or a factory; got {optimizer!r}"
        )
    options: dict[str, Any] = {"momentum": 0.9} if optimizer == "sgd" else {}
    if device in ("cpu", "cuda"):
        options["fused"] = True  # one pass over the parameters instead of ten
    return OPTIMIZERS[optimizer](parameters, lr=lr, **options)  # type: ignore[call-arg]
