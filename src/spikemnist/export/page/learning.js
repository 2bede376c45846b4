// Backpropagation through time with a surrogate gradient, in double precision, for dense layers as in
// network.js. The gradient treats the reset as a constant, as snnTorch does.

import { runNetwork, scoresOf, sizeOf } from "./network.js";

/**
 * Return new dense layers for `sizes`, such as [784, 64, 10].
 *
 * Weights and biases are uniform in ±1/√inputs, as torch draws them; `random` returns numbers in [0, 1).
 */
export function newLayers(sizes, { beta, threshold, reset }, random) {
  return sizes.slice(1).map((outputs, i) => {
    const inputs = sizes[i];
    const bound = 1 / Math.sqrt(inputs);
    const uniform = (length) => Float64Array.from({ length }, () => bound * (2 * random() - 1));
    return {
      weight: uniform(inputs * outputs), // [inputs][outputs]
      bias: uniform(outputs),
      beta: new Float64Array(outputs).fill(beta),
      threshold: new Float64Array(outputs).fill(threshold),
      kernel: 1, stride: 1, padding: 0, pooling: null, pool: 1, reset,
      inShape: [1, 1, inputs], weighedShape: [1, 1, outputs], shape: [1, 1, outputs],
    };
  });
}

/** Return gradients, or other numbers for each parameter, of zero. */
export const zerosLike = (layers) =>
  layers.map(({ weight, bias }) => ({
    weight: new Float64Array(weight.length),
    bias: new Float64Array(bias.length),
  }));

/** How each readout passes the slope of a neuron's score on: to `into`, the gradients of spikes and membranes. */
const GRADIENTS = {
  mean_membrane: ({ membranes }, c, slope, into) =>
    membranes.forEach((_, t) => (into.membranes[t][c] = slope / membranes.length)),
  max_membrane: ({ membranes }, c, slope, into) => {
    const most = Math.max(...membranes.map((row) => row[c]));
    const ties = membranes.filter((row) => row[c] === most).length;
    membranes.forEach((row, t) => (into.membranes[t][c] = row[c] === most ? slope / ties : 0));
  },
  spike_count: ({ spikes }, c, slope, into) => spikes.forEach((_, t) => (into.spikes[t][c] = slope)),
  first_spike: ({ spikes }, c, slope, into) => {
    // A spike at t would be the first until the next other one: that many timesteps it moves.
    spikes.forEach((_, t) => {
      if (spikes.slice(0, t).some((fired) => fired.includes(c))) return;
      const next = spikes.findIndex((fired, later) => later > t && fired.includes(c));
      into.spikes[t][c] = slope * ((next < 0 ? spikes.length : next) - t);
    });
  },
};

/** Return the cross-entropy of scores with a label, and its gradient. */
function crossEntropy(scores, label) {
  const most = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - most));
  const total = exponentials.reduce((a, b) => a + b);
  const gradient = exponentials.map((value, c) => value / total - (c === label ? 1 : 0));
  return { loss: Math.log(total) + most - scores[label], gradient };
}

/**
 * Return the gradient of the current of each neuron at each timestep.
 *
 *   δ[t] = ∂L/∂U[t] + σ'(U[t] - θ) ∂L/∂S[t] + β k[t] δ[t + 1]
 *
 * with k[t] = 1 - S[t] where the reset is to zero, else 1. `above` has the first two gradients.
 */
export function adjoint(layer, { spikes, membranes, rest }, above, slope) {
  const deltas = [];
  let later = rest; // of zeros
  for (let t = membranes.length - 1; t >= 0; t--) {
    const delta = new Float64Array(rest.length);
    const fired = layer.reset === "zero" ? new Set(spikes[t]) : null;
    for (let n = 0; n < delta.length; n++) {
      delta[n] = fired?.has(n) ? 0 : layer.beta[n] * later[n];
      if (above.membranes) delta[n] += above.membranes[t][n];
      if (above.spikes && above.spikes[t][n]) delta[n] += slope(membranes[t][n] - layer.threshold[n]) * above.spikes[t][n];
    }
    deltas[t] = later = delta;
  }
  return deltas;
}

/**
 * Add the gradient of an image to `gradients`; return its loss, its scores, what the network did, and
 * the gradient of each layer's currents.
 *
 * `options` is { readout, slope, population }: slope(x) is the surrogate derivative, and `population`
 * the number of output neurons of a class; `share` is the factor on the gradient, 1 / batch.
 */
export function learn(layers, input, label, gradients, { readout, slope, population = 1 }, share = 1) {
  const { layers: record } = runNetwork(layers, input);
  const output = record.at(-1);
  const scores = scoresOf(output, readout, population);
  const { loss, gradient } = crossEntropy(scores, label);
  const zeros = () => input.map(() => new Float64Array(scores.length * population));
  let above = { spikes: zeros(), membranes: zeros() };
  for (let n = 0; n < scores.length * population; n++)
    GRADIENTS[readout](output, n, (gradient[Math.floor(n / population)] / population) * share, above);
  const deltas = [];
  for (let i = layers.length - 1; i >= 0; i--) {
    const layer = layers[i];
    deltas[i] = adjoint(layer, record[i], above, slope);
    const incoming = i ? record[i - 1].spikes.map((events) => ({ events, amounts: null })) : input;
    addGradient(gradients[i], incoming, deltas[i]);
    if (i) above = { spikes: deltas[i].map((delta) => through(layer, delta)), membranes: null };
  }
  return { loss, scores, record, deltas };
}

/** Add the gradient of the weights, δ[t] times the input at t, and of the biases. */
function addGradient({ weight, bias }, input, deltas) {
  const width = bias.length;
  const isConstant = input.every((each) => each === input[0]);
  let rows = deltas;
  if (isConstant) {
    const sum = new Float64Array(width);
    for (const delta of deltas) for (let n = 0; n < width; n++) sum[n] += delta[n];
    rows = [sum];
  }
  for (const delta of deltas) for (let n = 0; n < width; n++) bias[n] += delta[n];
  rows.forEach((delta, t) => {
    const { events, amounts } = input[t];
    if (delta.every((value) => value === 0)) return;
    events.forEach((event, k) => {
      const amount = amounts ? amounts[k] : 1;
      for (let n = 0, to = event * width; n < width; n++, to++) weight[to] += amount * delta[n];
    });
  });
}

/** Return the gradient of the spikes that came in at a timestep: W δ. */
function through(layer, delta) {
  const width = delta.length;
  const result = new Float64Array(sizeOf(layer.inShape));
  for (let i = 0, from = 0; i < result.length; i++) {
    let sum = 0;
    for (let n = 0; n < width; n++, from++) sum += layer.weight[from] * delta[n];
    result[i] = sum;
  }
  return result;
}

/** Return the state of Adam (Kingma and Ba, 2015) for some layers. */
export const newAdam = (layers) => ({ step: 0, mean: zerosLike(layers), square: zerosLike(layers) });

/** Move the parameters by Adam, with torch's constants. */
export function moveByAdam(layers, gradients, adam, lr) {
  const [first, second, epsilon] = [0.9, 0.999, 1e-8];
  adam.step += 1;
  const size = lr / (1 - first ** adam.step);
  const scale = Math.sqrt(1 - second ** adam.step);
  layers.forEach((layer, i) => {
    for (const name of ["weight", "bias"]) {
      const [values, slopes] = [layer[name], gradients[i][name]];
      const [mean, square] = [adam.mean[i][name], adam.square[i][name]];
      for (let k = 0; k < values.length; k++) {
        mean[k] += (1 - first) * (slopes[k] - mean[k]);
        square[k] = second * square[k] + (1 - second) * slopes[k] * slopes[k];
        values[k] -= (size * mean[k]) / (Math.sqrt(square[k]) / scale + epsilon);
      }
    }
  });
}
