// The scan of one neuron of one sample over all timesteps: spikemnist/ops/reference.py, operation by
// operation. NUMBER is the type of currents and spikes; arithmetic and membranes are in float.
// EXP and `device` are Metal's own: with a macro for each of them, this text is C99 as well.
// Every pointer is valid; a flag says whether it is used.

enum { SUBTRACT, ZERO, NONE };
enum {
    ATAN,
    FAST_SIGMOID,
    SPARSE_FAST_SIGMOID,
    SIGMOID,
    STRAIGHT_THROUGH,
    TRIANGULAR,
    HEAVISIDE,
    SPIKE_RATE_ESCAPE
};

static inline float within_bounds(float beta) {
    return beta < 0.0f ? 0.0f : (beta > 1.0f ? 1.0f : beta); // NaN stays NaN
}

static inline float surrogate_derivative(float x, long surrogate, float first, float second) {
    float size = x < 0.0f ? -x : x;
    if (surrogate == ATAN) {
        float scaled = x * first;
        return 1.0f / (scaled * scaled + 1.0f) * second;
    }
    if (surrogate == FAST_SIGMOID || surrogate == SPARSE_FAST_SIGMOID) {
        float falling = size * first + 1.0f;
        float slope = 1.0f / (falling * falling);
        return surrogate == FAST_SIGMOID || x > second ? slope : 0.0f;
    }
    if (surrogate == SIGMOID) {
        float power = EXP(-(size * first)); // no overflow
        float left = power / (1.0f + power);
        return left * (1.0f - left) * first;
    }
    if (surrogate == TRIANGULAR)
        return x < 0.0f ? first : -first;
    if (surrogate == HEAVISIDE)
        return x > 0.0f ? 1.0f : 0.0f;
    if (surrogate == SPIKE_RATE_ESCAPE) {
        float distance = x - 1.0f;
        return EXP(-((distance < 0.0f ? -distance : distance) * first)) * second;
    }
    return 1.0f;
}

static inline void scan_forward(
    long index, device const NUMBER *current, device const float *beta,
    device const float *threshold, device const float *initial, device NUMBER *spikes,
    device float *membranes, long steps, long step_stride, long size, long neurons, long each_beta,
    long each_threshold, long has_initial, long has_membranes, long reset) {
    long neuron = index % neurons;
    float decay = within_bounds(beta[each_beta ? neuron : 0]);
    float level = threshold[each_threshold ? neuron : 0];
    float membrane = has_initial ? initial[index] : 0.0f;
    float fired = membrane > level ? 1.0f : 0.0f;
    for (long t = 0; t < steps; t++) {
        if (reset == ZERO)
            membrane = membrane - membrane * fired;
        membrane = membrane * decay + (float)current[t * step_stride + index];
        if (reset == SUBTRACT)
            membrane = membrane - fired * level;
        fired = membrane > level ? 1.0f : 0.0f;
        spikes[t * size + index] = (NUMBER)fired;
        if (has_membranes)
            membranes[t * size + index] = membrane;
    }
}

static inline void scan_backward(
    long index, device const NUMBER *grad_spikes, device const float *grad_membranes,
    device const float *membranes, device const float *beta, device const float *threshold,
    device const float *initial, device NUMBER *grad_current, device float *grad_initial,
    device float *beta_sums, device float *threshold_sums, long steps, long size, long neurons,
    long each_beta, long each_threshold, long has_initial, long has_grad_spikes,
    long has_grad_membranes, long needs_initial, long needs_beta, long needs_threshold, long reset,
    long surrogate, float first, float second) {
    long neuron = index % neurons;
    float decay = within_bounds(beta[each_beta ? neuron : 0]);
    float level = threshold[each_threshold ? neuron : 0];
    float carried = 0.0f, beta_sum = 0.0f, threshold_sum = 0.0f;
    float membrane = membranes[(steps - 1) * size + index];
    for (long t = steps - 1; t >= 0; t--) {
        long place = t * size + index;
        float delta = carried;
        if (has_grad_membranes)
            delta = delta + grad_membranes[place];
        if (has_grad_spikes) {
            float slope = surrogate_derivative(membrane - level, surrogate, first, second);
            float through = slope * (float)grad_spikes[place];
            delta = delta + through;
            threshold_sum = threshold_sum - through;
        }
        grad_current[place] = (NUMBER)delta;
        float previous = t ? membranes[place - size] : (has_initial ? initial[index] : 0.0f);
        float fired = previous > level ? 1.0f : 0.0f;
        membrane = previous;
        carried = delta * decay;
        if (reset == SUBTRACT)
            threshold_sum = threshold_sum - delta * fired;
        if (reset == ZERO) {
            previous = previous - previous * fired;
            carried = carried - carried * fired;
        }
        beta_sum = beta_sum + delta * previous;
    }
    if (needs_initial)
        grad_initial[index] = carried;
    if (needs_beta)
        beta_sums[index] = beta_sum;
    if (needs_threshold)
        threshold_sums[index] = threshold_sum;
}
