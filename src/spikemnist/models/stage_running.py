"""How stages are run: over all timesteps at once, or stepped as snnTorch does.

Shapes: ``T`` timesteps, ``B`` batch, ``F`` input features, ``N`` neurons of a stage.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch

from spikemnist import ops
from spikemnist.models.stages import drop_out
from spikemnist.ops.dynamics import is_constant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from spikemnist.models.stages import Stage

    Shape = tuple[int, ...]


class Ran(NamedTuple):
    """What the neurons of a stage did, and their shape: that of one sample at one timestep."""

    activity: ops.Activity
    shape: Shape


def run_stages(
    stages: Sequence[Stage],
    spikes: Tensor,
    *,
    dtype: torch.dtype,
    backend: str,
    record: str,
    state: Sequence[Tensor] | None,
) -> list[Ran]:
    """Run stages over all timesteps at once, each on the spikes of the one before.

    Parameters
    ----------
    stages
        At least one.
    spikes
        ``[T, B, ...]``.
    dtype
        Of the parameters.
    backend
        ``"reference"`` or ``"event_driven"``.
    record
        ``"output"`` or ``"all"``.
    state
        Membranes ``[B, ...]`` to start from, one for each stage; at rest when ``None``.
    """
    done: list[Ran] = []
    for group in _groups(stages, backend):
        if _is_pooled(group[0], backend):
            membrane = None if state is None else state[len(done)]
            wanted = record == "all" or state is not None or len(done) == len(stages) - 1
            done.append(_run_pooled(group[0], spikes, membrane, dtype, membranes=wanted))
            spikes = asked(done[-1].activity.spikes)
            continue
        signal, linears, shapes = _enter(group, spikes, dtype)
        initial = [None] * len(group) if state is None else state[len(done) :][: len(group)]
        layers = [
            _layer(stage, linear, membrane, (signal.shape[1], *shape), dropout, dtype)
            for stage, linear, membrane, shape, dropout in zip(
                group,
                linears,
                initial,
                shapes,
                [*(stage.dropout for stage in group[1:]), 0.0],
                strict=True,
            )
        ]
        activities = _run_layers(
            signal, layers, backend=backend, record=record, final=state is not None
        )
        done += map(_shaped, activities, shapes)
        spikes = asked(done[-1].activity.spikes)
    return done


def step_stages(
    stages: Sequence[Stage],
    spikes: Tensor,
    *,
    dtype: torch.dtype,
    state: Sequence[Tensor] | None,
) -> list[Ran]:
    """Step the modules themselves, one timestep after the other: the oracle.

    Parameters
    ----------
    stages, spikes, dtype, state
        As in `run_stages`.
    """
    steps: list[list[tuple[Tensor, Tensor]]] = [[] for _ in stages]
    with _own_membranes(stages):
        for index, stage in enumerate(stages):
            # snnTorch starts a membrane of another shape than the current at rest.
            stage.leaky.mem = spikes.new_empty(0) if state is None else state[index]
        for step in spikes:
            signal = step.to(dtype)
            for stage, done in zip(stages, steps, strict=True):
                current = stage(signal)
                _check_state(stage, None if state is None else stage.leaky.mem, current.shape)
                output = stage.leaky(current)
                # snnTorch's surrogates return float32, whatever the membrane is, and promote it.
                signal = (output[0] if isinstance(output, tuple) else output).to(dtype)
                done.append((signal, stage.leaky.mem.to(dtype)))
    return [_ran(*map(torch.stack, zip(*done, strict=True))) for done in steps]


def neuron_shapes(
    stages: Sequence[Stage], sample_shape: Sequence[int], like: Tensor
) -> list[Shape]:
    """Return the shape of the neurons of each stage.

    Parameters
    ----------
    stages
        At least one.
    sample_shape
        Of one sample at one timestep.
    like
        A tensor of the dtype and on the device of the parameters.
    """
    shapes = []
    signal = like.new_zeros(1, *sample_shape)
    with torch.no_grad():
        for stage in stages:
            signal = stage(signal, drop=False)
            shapes.append(tuple(signal.shape[1:]))
    return shapes


def asked(tensor: Tensor | None) -> Tensor:
    """Return a tensor that is there, because it was asked for."""
    assert tensor is not None
    return tensor


def _groups(stages: Sequence[Stage], backend: str) -> list[list[Stage]]:
    """Put each stage that takes spikes as bits behind the one that sends them."""
    groups: list[list[Stage]] = []
    for stage in stages:
        sent = groups and not _is_pooled(groups[-1][0], backend)
        if sent and stage.linear is not None and stage.dropout < 1:
            groups[-1].append(stage)
        else:
            groups.append([stage])
    return groups


def _is_pooled(stage: Stage, backend: str) -> bool:
    """Return whether a kernel takes what comes out of the stage's modules, before its pooling."""
    if backend != "event_driven" or stage.linear is not None or torch.compiler.is_compiling():
        return False
    return ops.is_named(ops.get_surrogate(stage.leaky.spike_grad))


def _enter(
    group: Sequence[Stage], spikes: Tensor, dtype: torch.dtype
) -> tuple[Tensor, list[nn.Linear | None], list[Shape]]:
    """Return the input ``[T, B, F]`` of a group, its weights, and the shapes of its neurons.

    The first stage has no weights left when its input is the current that they made.
    """
    first = group[0]
    linears = [stage.linear for stage in group]
    if linears[0] is None or first.dropout:
        linears[0] = None
        current = _current(first, spikes, dtype)
        spikes = current.expand(len(spikes), *current.shape[1:])
        shapes = [tuple(spikes.shape[2:])]
    else:
        shapes = [_shape_behind(first, spikes.shape[2:])]
    for stage in group[1:]:
        shapes.append(_shape_behind(stage, shapes[-1]))
    return spikes.flatten(2), linears, shapes


def _shape_behind(stage: Stage, shape: Sequence[int]) -> Shape:
    stage.check_features(shape)
    assert stage.linear is not None
    return (stage.linear.out_features,)


def _current(stage: Stage, signal: Tensor, dtype: torch.dtype, *, engine: bool = False) -> Tensor:
    """Return the current of all timesteps, folded into the batch on the way, ``[T, B, ...]``.

    What is the same at each timestep is computed once, ``[1, B, ...]``; dropout makes it differ.
    On the engine, the pooling that comes last is left to do.
    """
    constant = is_constant(signal) and not stage.is_random
    steps = signal[:1] if constant else signal
    folded = steps.flatten(0, 1).to(dtype)
    if engine and folded.dim() == 4:
        # As a convolution on the CPU is fastest, and as `ops.run_pooled` reads what it makes.
        folded = folded.to(memory_format=torch.channels_last)
    entered = drop_out(folded, stage.dropout)
    current = stage.behind_dropout(entered, pool=not engine, events=engine)
    return current.reshape(*steps.shape[:2], *current.shape[1:])


def _run_pooled(
    stage: Stage,
    signal: Tensor,
    initial: Tensor | None,
    dtype: torch.dtype,
    *,
    membranes: bool,
) -> Ran:
    """Run the neurons behind a convolution, its pooling included."""
    size = stage.window
    current = _current(stage, signal, dtype, engine=True)
    shape = tuple(current.shape[2:])
    if len(shape) != 3:  # pixels without channels; or what is no picture, as channels of one pixel
        current = current.unsqueeze(2) if size > 1 else current.flatten(2)[..., None, None]
    if size > 1:
        shape = (*shape[:-2], *(side // size for side in shape[-2:]))
    layer = _layer(stage, None, initial, (signal.shape[1], *shape), 0.0, dtype)
    ran = ops.run_pooled(current, layer, num_steps=len(signal), size=size, membranes=membranes)
    fired, membrane = (
        None if tensor is None else tensor.reshape(*tensor.shape[:2], *shape) for tensor in ran
    )
    return Ran(_activity(asked(fired), membrane), shape)


def _layer(
    stage: Stage,
    linear: nn.Linear | None,
    initial: Tensor | None,
    shape: Shape,
    dropout: float,
    dtype: torch.dtype,
) -> ops.Layer:
    _check_state(stage, initial, shape)
    return ops.Layer(
        weight=None if linear is None else linear.weight,
        bias=None if linear is None else linear.bias,
        beta=_for_neurons(stage, "beta", shape[1:], dtype),
        threshold=_for_neurons(stage, "threshold", shape[1:], dtype),
        reset_mechanism=stage.reset_mechanism,
        spike_grad=ops.get_surrogate(stage.leaky.spike_grad),
        initial=None if initial is None else initial.flatten(1).to(dtype),
        dropout=dropout,
    )


def _for_neurons(stage: Stage, name: str, shape: Shape, dtype: torch.dtype) -> Tensor:
    """Return a parameter of the neurons as a scalar, or for each of them, ``[N]``."""
    value: Tensor = getattr(stage.leaky, name).to(dtype)
    if not value.dim():
        return value
    try:
        return value.broadcast_to((1, *shape)).flatten()
    except RuntimeError:
        raise ValueError(
            f"{name} of {stage.path} must be a number or broadcast against its neurons, {shape}; "
            f"got shape {tuple(value.shape)}"
        ) from None


def _check_state(stage: Stage, membrane: Tensor | None, shape: Sequence[int]) -> None:
    if membrane is not None and membrane.shape != tuple(shape):
        raise ValueError(
            f"the state of {stage.path} must have the shape {tuple(shape)}; "
            f"got {tuple(membrane.shape)}"
        )


def _run_layers(
    signal: Tensor, layers: Sequence[ops.Layer], *, backend: str, record: str, final: bool
) -> list[ops.Activity]:
    """Run layers in one call where the engine knows their surrogates, else one by one."""
    named = all(ops.is_named(layer.spike_grad) for layer in layers)
    if backend == "event_driven" and named:
        return ops.run_layers(signal, layers, record=record, final=final)
    activities = []
    for layer in layers:
        fired, membrane = _run_layer(signal, layer, backend)
        activities.append(_activity(fired, membrane))
        signal = drop_out(fired, layer.dropout)
    return activities


def _run_layer(signal: Tensor, layer: ops.Layer, backend: str) -> tuple[Tensor, Tensor]:
    weigh = ops.weigh_events if backend == "event_driven" else ops.linear
    return ops.leaky(
        signal if layer.weight is None else weigh(signal, layer.weight, layer.bias),
        layer.beta,
        layer.threshold,
        reset_mechanism=layer.reset_mechanism,
        spike_grad=layer.spike_grad,
        initial=layer.initial,
    )


def _activity(fired: Tensor, membrane: Tensor | None) -> ops.Activity:
    # float32 counts exactly up to 2**24 spikes of one layer for one sample.
    exact = torch.promote_types(fired.dtype, torch.float32)
    counts = fired.detach().sum((0, *range(2, fired.dim())), dtype=exact).long()
    return ops.Activity(fired, membrane, counts, None if membrane is None else membrane[-1])


def _shaped(activity: ops.Activity, shape: Shape) -> Ran:
    """Give neurons back the shape that their current came in."""

    def shaped(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.reshape(*tensor.shape[:-1], *shape)

    if len(shape) > 1:
        tensors = map(shaped, (activity.spikes, activity.membrane, activity.final))
        spikes, membrane, final = tensors
        activity = ops.Activity(spikes, membrane, activity.counts, final)
    return Ran(activity, shape)


def _ran(fired: Tensor, membrane: Tensor) -> Ran:
    return Ran(_activity(fired, membrane), tuple(membrane.shape[2:]))


@contextmanager
def _own_membranes(stages: Sequence[Stage]) -> Iterator[None]:
    """Give the neurons back what they held, which a call must not change."""
    kept = [(stage.leaky.mem, getattr(stage.leaky, "reset", None)) for stage in stages]
    try:
        yield
    finally:
        for stage, (membrane, reset) in zip(stages, kept, strict=True):
            stage.leaky.mem, stage.leaky.reset = membrane, reset
