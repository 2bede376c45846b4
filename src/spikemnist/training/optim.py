"""Optimisers and learning-rate schedules.

Schedules are pure functions of the progress of the training, so a resumed run has nothing to
restore of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist._arguments import check_choice, must_be, takes
from spikemnist._tensor_files import check_tensors

OptimizerFactory = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
MOMENTS = {
    "betas": ("exp_avg", "exp_avg_sq"),
    "amsgrad": ("max_exp_avg_sq",),
    "momentum": ("momentum_buffer",),
}
"""Tensors of the size of a parameter that these optimisers keep for it, by the setting behind."""

BOUND = torch.finfo(torch.float32).eps
"""Distance of a learned beta from 0 and 1."""


def make_optimizer(
    optimizer: str | OptimizerFactory,
    model: nn.Module,
    lr: float,
    weight_decay: float | None = None,
) -> torch.optim.Optimizer:
    """Build the optimiser of a model's parameters, whose steps keep each beta within [0, 1].

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
        optimisers add it to the gradient. ``None`` is 0.01 for ``"adamw"`` and 0 for the other
        names; a factory keeps its own default, for all parameters.

    Raises
    ------
    TypeError
        If the factory returns no optimiser.
    ValueError
        If the name is unknown, the model has no trainable parameters, or the optimiser has no
        weight decay.
    """
    if not callable(optimizer):
        factory = ", or a factory such as torch.optim.RMSprop, which fit calls with the parameters"
        check_choice("optimizer", optimizer, OPTIMIZERS, factory)
    if weight_decay is None and optimizer == "adamw":
        weight_decay = 0.01  # torch's own default, which is for all parameters
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("nothing would be trained: set requires_grad=True of some parameters")
    groups = parameters if weight_decay is None else _groups(model, parameters, weight_decay)
    if isinstance(optimizer, str):
        options: dict[str, Any] = {"momentum": 0.9} if optimizer == "sgd" else {}
        if all(parameter.device.type in ("cpu", "cuda") for parameter in parameters):
            options["fused"] = True  # one pass over the parameters instead of ten
        built = OPTIMIZERS[optimizer](groups, lr=lr, **options)  # type: ignore[call-arg]
    else:
        built = optimizer(groups, lr=lr)
        if not hasattr(built, "param_groups"):
            raise must_be("optimizer", "a function that returns an optimiser", built, TypeError)
        if weight_decay is not None and "weight_decay" not in built.defaults:
            raise ValueError(f"{weight_decay=} does nothing with {type(built).__name__}; remove it")
    neurons = [module for module in model.modules() if isinstance(module, snntorch.Leaky)]
    if betas := [neuron.beta for neuron in neurons if neuron.beta.requires_grad]:
        built.register_step_post_hook(lambda *_: _clip(betas))
    return built


@torch.no_grad()
def _clip(betas: list[Tensor]) -> None:
    """Clip betas to just inside [0, 1]: neurons clip them, and beyond it they have no gradient."""
    for beta in betas:
        beta.clamp_(BOUND, 1 - BOUND)


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


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state dict into an optimiser.

    The state of torch's own optimisers is checked, since their fused kernels do not compare its
    shapes and strides with those of the parameters, and read and write outside of it. Their
    settings stay. Other optimisers check theirs.

    Raises
    ------
    ValueError
        If a tensor does not fit its parameter.
    """
    if type(optimizer) in OPTIMIZERS.values():
        groups = optimizer.state_dict()["param_groups"]
        parameters = [(one, group) for group in optimizer.param_groups for one in group["params"]]
        fitted = {}
        for index, entry in state["state"].items():
            parameter, group = parameters[index]
            names = [name for key, kept in MOMENTS.items() if group.get(key) for name in kept]
            expected = dict.fromkeys(names, parameter.detach())
            if "exp_avg" in names:
                expected["step"] = torch.zeros(())
            check_tensors(entry, expected)
            fitted[index] = {
                name: torch.empty_like(expected[name]).copy_(tensor)
                for name, tensor in entry.items()
            }
        state = {"state": fitted, "param_groups": groups}
    optimizer.load_state_dict(state)


Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def cosine(progress: float) -> float:
    r"""Decay to zero along a cosine: :math:`(1 + \cos \pi p) / 2`.

    Loshchilov, Hutter, *SGDR: stochastic gradient descent with warm restarts*, ICLR 2017.

    Examples
    --------
    >>> cosine(0.0), cosine(0.5), cosine(1.0)
    (1.0, 0.5, 0.0)
    """
    return round((1 + math.cos(math.pi * progress)) / 2, 15)


def one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1 in the first 30 %, then decay to zero, both along a cosine.

    Smith, Topin, *Super-convergence*, arXiv:1708.07120, 2017.

    Examples
    --------
    >>> [round(one_cycle(p), 2) for p in (0.0, 0.3, 1.0)]
    [0.04, 1.0, 0.0]
    """
    warm_up, start = 0.3, 1 / 25
    if progress < warm_up:
        return 1 - (1 - start) * cosine(progress / warm_up)
    return cosine((progress - warm_up) / (1 - warm_up))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
}


def get_schedule(schedule: str | Schedule) -> Schedule:
    """Return the schedule of this name; a function is returned unchanged.

    Parameters
    ----------
    schedule : str or callable
        ``"constant"``, ``"cosine"``, ``"one_cycle"``, or a function from progress in [0, 1] to
        the factor on the learning rate.

    Raises
    ------
    ValueError
        If the name is unknown, or the object is no such function.
    """
    if not isinstance(schedule, str) and takes(schedule, 1):
        return schedule
    function = (
        ", or a function of the progress in [0, 1] that returns a factor on the learning rate, "
        "such as lambda progress: 1 - progress"
    )
    check_choice("schedule", schedule, SCHEDULES, function)
    return SCHEDULES[str(schedule)]
