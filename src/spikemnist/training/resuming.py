"""Give a model and its optimiser the state in a checkpoint, when it fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from spikemnist._tensor_files import check_tensors
from spikemnist._tensors import not_finite
from spikemnist.training.checkpoint import REMEDY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from spikemnist.training.checkpoint import Checkpoint, Weights

_STATES: dict[type[torch.optim.Optimizer], set[str]] = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
}
"""What optimisers remember of each parameter: a tensor of its shape, or a number."""


def restore(
    checkpoint: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, path: Path
) -> None:
    """Give model and optimiser the state in a checkpoint.

    Raises
    ------
    ValueError
        When it does not fit them, or a weight is NaN or infinite. The model stays as it was.
    """
    try:
        for weights in (checkpoint.model, checkpoint.best):
            if weights is not None:
                _check_weights(weights, model)
        optimizer.load_state_dict(_checked(checkpoint.optimizer, optimizer))
        model.load_state_dict(checkpoint.model)
    except Exception as error:  # an optimiser of one's own may raise anything
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} does not fit the run that it describes: {reason}. {REMEDY}"
        ) from error


def _check_weights(weights: Weights, model: nn.Module) -> None:
    expected = model.state_dict()
    check_tensors(_tensors(weights), _tensors(expected))
    if {*weights} != {*expected}:  # beside tensors a module may have a state of its own
        raise ValueError(f"{sorted({*weights} ^ {*expected})} is missing or unknown")
    learned = {name: weights[name] for name, _ in model.named_parameters()}
    if bad := not_finite(learned):
        raise ValueError(f"{bad} holds NaN or infinity")


def _tensors(state: Mapping[str, Any]) -> Weights:
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _checked(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the state for an optimiser, with the options that a later torch has added to it."""
    usual = optimizer.state_dict()["param_groups"]
    groups, states = state.get("param_groups"), state.get("state")
    if (
        not isinstance(groups, list)
        or not all(isinstance(group, dict) for group in groups)
        or not isinstance(states, dict)
    ):
        raise ValueError("its entry optimizer does not hold state and param_groups")
    if [group.get("params") for group in groups] != [group["params"] for group in usual]:
        raise ValueError("the optimiser is of other parameters")
    for group, own in zip(groups, usual, strict=True):
        for name, value in own.items():
            if name in group and not _is_alike(group[name], value):
                raise ValueError(f"the optimiser's {name} is {group[name]!r}")
    _check_states(states, optimizer)
    merged = [{**own, **group} for group, own in zip(groups, usual, strict=True)]
    return {"state": states, "param_groups": merged}


def _is_alike(found: object, own: object) -> bool:
    if isinstance(own, tuple):
        return isinstance(found, tuple) and [*map(type, found)] == [*map(type, own)]
    if isinstance(own, float) or type(own) is int:
        return isinstance(found, int | float)
    return True  # switches differ from device to device


def _check_states(states: dict[Any, Any], optimizer: torch.optim.Optimizer) -> None:
    wanted = _STATES.get(type(optimizer))
    if wanted is None:
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entries in states.items():
        known = number in range(len(parameters)) and isinstance(entries, dict)
        if not known or {*entries} != wanted:
            raise ValueError(f"the optimiser's state {number!r} does not hold {sorted(wanted)}")
        for name, value in entries.items():
            shape = () if name == "step" else parameters[number].shape
            if not isinstance(value, torch.Tensor) or value.shape != shape:
                raise ValueError(f"the optimiser's {name} of parameter {number} has another shape")
