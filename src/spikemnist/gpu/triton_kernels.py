"""The scan of a layer on CUDA: all timesteps of a neuron in one kernel, its membrane in a register.

Each program runs a block of the ``size = B N`` neurons of a batch through all timesteps. It
repeats the arithmetic of `spikemnist.ops.reference` operation by operation, in the dtype
``NUMBER``: float32 or float64.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Triton must not compile variants for values of these arguments or for their divisors: one machine
# code serves any number of timesteps.
_UNSPECIALIZED = ["steps", "step_stride"]


@triton.jit(do_not_specialize=_UNSPECIALIZED)
def forward_kernel(
    current,
    beta,
    threshold,
    initial,
    spikes,
    membranes,
    last,
    steps,
    step_stride,
    size,
    neurons,
    EACH_BETA: tl.constexpr,
    EACH_THRESHOLD: tl.constexpr,
    RESET: tl.constexpr,
    NUMBER: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the spikes ``[T, size]``, the membranes unless ``membranes`` is None, and the last one.

    ``initial`` may be None; ``step_stride`` is 0 for a constant current.
    """
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    decay, level = _parameters(
        beta, threshold, index % neurons, inside, EACH_BETA, EACH_THRESHOLD, NUMBER
    )
    membrane = tl.full((BLOCK,), 0, NUMBER)
    if initial is not None:
        membrane = tl.load(initial + index, inside, 0).to(NUMBER)
    spike = (membrane > level).to(NUMBER)
    current += index
    spikes += index
    if membranes is not None:
        membranes += index
    for _ in range(steps):
        inflow = tl.load(current, inside, 0).to(NUMBER)
        if RESET == "zero":
            membrane = (membrane - membrane * spike) * decay + inflow
        elif RESET == "subtract":
            membrane = membrane * decay + inflow - spike * level
        else:
            membrane = membrane * decay + inflow
        spike = (membrane > level).to(NUMBER)
        tl.store(spikes, spike.to(spikes.dtype.element_ty), inside)
        if membranes is not None:
            tl.store(membranes, membrane.to(membranes.dtype.element_ty), inside)
            membranes += size
        current += step_stride
        spikes += size
    tl.store(last + index, membrane, inside)


@triton.jit(do_not_specialize=["steps"])
def backward_kernel(
    grad_spikes,
    grad_membranes,
    membranes,
    beta,
    threshold,
    initial,
    grad_current,
    grad_initial,
    beta_sums,
    threshold_sums,
    steps,
    size,
    neurons,
    EACH_BETA: tl.constexpr,
    EACH_THRESHOLD: tl.constexpr,
    RESET: tl.constexpr,
    SURROGATE: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    NUMBER: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Write the gradients of the current, ``[T, size]``, and the other ones wanted, ``[size]``.

    Each neuron of each sample sums its own share of the gradients of beta and threshold, timestep
    by timestep. Every tensor but membranes, beta, threshold and grad_current may be None.
    """
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = index < size
    decay, level = _parameters(
        beta, threshold, index % neurons, inside, EACH_BETA, EACH_THRESHOLD, NUMBER
    )
    carried = tl.full((BLOCK,), 0, NUMBER)
    beta_sum = tl.full((BLOCK,), 0, NUMBER)
    threshold_sum = tl.full((BLOCK,), 0, NUMBER)
    offset = index + (steps - 1).to(tl.int64) * size
    membrane = tl.load(membranes + offset, inside, 0).to(NUMBER)
    for _ in range(steps):
        delta = carried
        if grad_membranes is not None:
            delta += tl.load(grad_membranes + offset, inside, 0).to(NUMBER)
        if grad_spikes is not None:
            slope = _derivative(membrane - level, SURROGATE, FIRST, SECOND, NUMBER)
            through = slope * tl.load(grad_spikes + offset, inside, 0).to(NUMBER)
            delta += through
            threshold_sum -= through
        tl.store(grad_current + offset, delta.to(grad_current.dtype.element_ty), inside)
        offset -= size  # negative before the first timestep
        previous = tl.load(membranes + offset, inside & (offset >= 0), 0).to(NUMBER)
        if initial is not None:
            previous += tl.load(initial + index, inside & (offset < 0), 0).to(NUMBER)
        spike = (previous > level).to(NUMBER)
        membrane = previous
        carried = delta * decay
        if RESET == "subtract":
            threshold_sum -= delta * spike
        if RESET == "zero":
            previous -= previous * spike
            carried -= carried * spike
        beta_sum += delta * previous
    if grad_initial is not None:
        tl.store(grad_initial + index, carried.to(grad_initial.dtype.element_ty), inside)
    if beta_sums is not None:
        tl.store(beta_sums + index, beta_sum, inside)
    if threshold_sums is not None:
        tl.store(threshold_sums + index, threshold_sum, inside)


@triton.jit
def _parameters(
    beta,
    threshold,
    neuron,
    inside,
    EACH_BETA: tl.constexpr,
    EACH_THRESHOLD: tl.constexpr,
    NUMBER: tl.constexpr,
):
    """Return the decay, clamped to [0, 1], and the threshold of each neuron of the block."""
    decay = tl.load(beta + neuron, inside, 0) if EACH_BETA else tl.load(beta)
    level = tl.load(threshold + neuron, inside, 0) if EACH_THRESHOLD else tl.load(threshold)
    decay = tl.clamp(decay.to(NUMBER), 0.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
    return decay, level.to(NUMBER)


@triton.jit
def _derivative(
    x,
    SURROGATE: tl.constexpr,
    FIRST: tl.constexpr,
    SECOND: tl.constexpr,
    NUMBER: tl.constexpr,
):
    """Return the derivative of a surrogate: see `spikemnist.ops.surrogate`."""
    first = tl.full(x.shape, FIRST, NUMBER)
    second = tl.full(x.shape, SECOND, NUMBER)
    if SURROGATE == "atan":
        scaled = x * first
        slope = 1 / (scaled * scaled + 1) * second
    elif SURROGATE == "fast_sigmoid":
        falling = tl.abs(x) * first + 1
        slope = 1 / (falling * falling)
    elif SURROGATE == "sparse_fast_sigmoid":
        falling = tl.abs(x) * first + 1
        slope = 1 / (falling * falling) * (x > second).to(NUMBER)
    elif SURROGATE == "sigmoid":
        power = tl.exp(-(tl.abs(x) * first))  # no overflow
        left = power / (1 + power)
        slope = left * (1 - left) * first
    elif SURROGATE == "straight_through":
        slope = tl.full(x.shape, 1, NUMBER)
    elif SURROGATE == "triangular":
        slope = ((x < 0).to(NUMBER) * 2 - 1) * first
    elif SURROGATE == "heaviside":
        slope = (x > 0).to(NUMBER)
    else:
        tl.static_assert(SURROGATE == "spike_rate_escape")
        slope = tl.exp(-(tl.abs(x - 1) * first)) * second
    return slope
