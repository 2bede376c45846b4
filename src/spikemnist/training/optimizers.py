"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch
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
    optimizer : str or callable
        ``"adam"``, ``"adamw"``, ``"sgd"`` (with momentum 0.9), or a factory that is called as
        ``factory(parameters, lr=lr)``, such as ``torch.optim.RMSprop``.
    model : torch.nn.Module
        Model whose trainable parameters are optimised.
    lr : float
        Learning rate.
    weight_decay : float, default None
        Decay of the weights of layers. Biases, beta, thresholds and the scales of batch
        normalisation do not decay. ``"adamw"`` subtracts the decay from the weights, the other
        optimisers add it to the gradient. ``None`` leaves the optimiser's own default, for all
        parameters.

    Raises
    ------
    ValueError
        If the name is unknown, or the model has no trainable parameters.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = parameters if weight_decay is None else _groups(model, parameters, weight_decay)
    if not isinstance(optimizer, str):
        return optimizer(groups, lr=lr)
    if optimizer not in OPTIMIZERS:
        raise ValueError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)} or a factory; got {optimizer!r}"
        )
    options: dict[str, Any] = {"momentum": 0.9} if optimizer == "sgd" else {}
    if all(parameter.device.type in ("cpu", "cuda") for parameter in parameters):
        options["fused"] = True  # one pass over the parameters instead of ten
    return OPTIMIZERS[optimizer](groups, lr=lr, **options)  # type: ignore[call-arg]


def _groups(model: nn.Module, parameters: list[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: weights, which decay, and all other parameters."""
    # After a convolution, beta and threshold have as many axes as an image.
    of_neurons = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, snntorch.SpikingNeuron)
        for parameter in module.parameters(recurse=False)
    }
    weights = [p for p in parameters if p.dim() >= 2 and id(p) not in of_neurons]
    others = [p for p in parameters if p.dim() < 2 or id(p) in of_neurons]
    groups = ((weights, decay), (others, 0.0))
    return [{"params": group, "weight_decay": rate} for group, rate in groups if group]
