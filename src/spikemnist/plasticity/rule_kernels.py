"""The rules of plasticity in compiled kernels that work only where a spike is.

A unit of work is a postsynaptic neuron, whose weights nobody else writes: the result is the same
for any number of threads. Presynaptic traces are wanted only at timesteps at which a postsynaptic
neuron fires, and only there they are written down.

Shapes: ``T`` timesteps, ``B`` batch, ``I`` presynaptic and ``J`` postsynaptic neurons, ``K`` pairs
of a timestep and a sample at which a postsynaptic neuron fires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spikemnist.kernels import events, memory
from spikemnist.kernels.compiler import inlined, kernel
from spikemnist.kernels.teams import borrowed, by_team
from spikemnist.kernels.threads import parallel
from spikemnist.kernels.tickets import next_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from spikemnist.kernels.events import ByTimestep
    from spikemnist.plasticity.rule import Rule

    Array = NDArray[Any]


def change(
    rule: Rule, pre: Tensor, post: Tensor, weight: Tensor, gain: Tensor | None
) -> Tensor | None:
    """Compute `spikemnist.plasticity.reference.change`; None if the spikes are not 0 and 1."""
    before, after = events.pack(pre), events.pack(post)
    if before is None or after is None:
        return None
    steps, batch, inputs = pre.shape
    listed = events.by_timestep(*before)
    fired = post.detach().bool()
    seen, traces = _traces(rule, listed, fired.any(2), inputs, weight.dtype)
    number = traces.dtype.type
    numbers = rule._replace(
        **{name: number(x) for name, x in rule._asdict().items() if not isinstance(x, bool)}
    )
    new = weight.clone(memory_format=torch.contiguous_format)
    worth = torch.ones((steps, batch), dtype=weight.dtype) if gain is None else gain.contiguous()
    parallel(
        _change,
        len(new),
        numbers,
        listed,
        fired.permute(2, 0, 1).contiguous().numpy(),
        seen,
        traces,
        worth.numpy(),
        gain is None,
        new.numpy(),
        work=len(new) * (len(listed.neurons) + steps * batch) + traces.size,
    )
    return new.clamp_(rule.w_min, rule.w_max)


def _traces(
    rule: Rule, listed: ByTimestep, wanted: Tensor, inputs: int, dtype: torch.dtype
) -> tuple[Array, Array]:
    """Return where the trace of each sample at each timestep is, int64 ``[T, B]``, and traces."""
    flat = wanted.numpy().reshape(-1)
    seen = np.where(flat, np.cumsum(flat) - 1, -1).reshape(wanted.shape)
    traces = memory.empty((int(flat.sum()), inputs), dtype).numpy()
    decay = traces.dtype.type(rule.decay_plus)
    parallel(
        _write_traces,
        wanted.shape[1],
        listed,
        decay,
        rule.nearest,
        rule.at_once,
        seen,
        traces,
        work=traces.size + seen.size * inputs // 8,
    )
    return seen, traces


@kernel
def _write_traces(
    ticket: Array,
    units: int,
    listed: ByTimestep,
    decay: Any,
    nearest: bool,
    at_once: bool,
    seen: Array,
    traces: Array,
) -> None:
    """Follow the presynaptic traces of a sample in each unit of work."""
    if by_team(ticket):
        return
    listed, seen, traces = borrowed((listed, seen, traces))
    trace = np.empty(traces.shape[1], traces.dtype)
    b = next_unit(ticket)
    while b < units:
        trace[:] = 0
        for t in range(len(seen)):
            for i in range(len(trace)):
                trace[i] *= decay
            if at_once:
                _add_spikes(trace, listed, b, t, nearest)
            if seen[t, b] >= 0:
                traces[seen[t, b]] = trace
            if not at_once:
                _add_spikes(trace, listed, b, t, nearest)
        b = next_unit(ticket)


@inlined
def _add_spikes(trace: Array, listed: ByTimestep, b: int, t: int, nearest: bool) -> None:
    for event in range(listed.starts[b, t], listed.starts[b, t + 1]):
        i = listed.neurons[event]
        trace[i] = 1 if nearest else trace[i] + 1


@kernel
def _change(
    ticket: Array,
    units: int,
    rule: Rule,
    listed: ByTimestep,
    fired: Array,
    seen: Array,
    traces: Array,
    worth: Array,
    bounded: bool,
    weight: Array,
) -> None:
    """Change the weights of a postsynaptic neuron in each unit of work.

    ``fired`` is ``[J, T, B]``; ``bounded`` says whether weights are kept between their bounds.
    """
    if by_team(ticket):
        return
    listed, fired, seen, traces, worth, weight = borrowed(
        (listed, fired, seen, traces, worth, weight)
    )
    steps, batch = seen.shape
    low, high = (rule.w_min, rule.w_max) if bounded else (-np.inf, np.inf)
    own, sums = np.empty(batch, weight.dtype), np.zeros(weight.shape[1], weight.dtype)
    j = next_unit(ticket)
    while j < units:
        row, here = weight[j], fired[j]
        own[:] = 0
        for t in range(steps):
            for b in range(batch):
                own[b] *= rule.decay_minus
            if rule.a_minus != 0:
                _depress(rule, row, sums, own, listed, worth, t, low, high)
            _potentiate(rule, row, sums, here[t], seen[t], traces, worth[t], low, high)
            for b in range(batch):
                if here[t, b]:
                    own[b] = 1 if rule.nearest else own[b] + 1
        j = next_unit(ticket)


@inlined
def _depress(
    rule: Rule,
    row: Array,
    sums: Array,
    own: Array,
    listed: ByTimestep,
    worth: Array,
    t: int,
    low: Any,
    high: Any,
) -> None:
    for b in range(len(own)):
        if own[b] != 0:
            for event in range(listed.starts[b, t], listed.starts[b, t + 1]):
                sums[listed.neurons[event]] += own[b] * worth[t, b]
    for b in range(len(own)):
        if own[b] != 0:
            for event in range(listed.starts[b, t], listed.starts[b, t + 1]):
                i = listed.neurons[event]
                room = _room(row[i] - rule.w_min, rule.weight_dependence)
                row[i] = min(max(row[i] - rule.a_minus * room * sums[i], low), high)
                sums[i] = 0  # of all samples at once: it is not taken twice


@inlined
def _potentiate(
    rule: Rule,
    row: Array,
    sums: Array,
    fired: Array,
    seen: Array,
    traces: Array,
    worth: Array,
    low: Any,
    high: Any,
) -> None:
    anybody = False
    for b in range(len(fired)):
        if fired[b]:
            anybody = True
            trace = traces[seen[b]]
            for i in range(len(row)):
                sums[i] += worth[b] * (trace[i] - rule.target)
    if anybody:
        for i in range(len(row)):
            room = _room(rule.w_max - row[i], rule.weight_dependence)
            row[i] = min(max(row[i] + rule.a_plus * room * sums[i], low), high)
            sums[i] = 0


@inlined
def _room(distance: Any, exponent: Any) -> Any:
    """Return the power of a distance from a bound, the usual ones without a function call."""
    if exponent == 1:
        return distance
    if exponent == 0:
        return exponent + 1
    return distance**exponent
