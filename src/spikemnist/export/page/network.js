// A spiking network of leaky neurons, event-driven: work is done only where a spike is.
//
// A layer: { weight [I][K][K][O], bias, beta, threshold [O], kernel, stride, padding, inShape [H, W, I],
// weighedShape, shape [H, W, O], pooling, pool, reset }. A dense layer is a convolution of one pixel
// with a kernel of one pixel. Its arrays are all Float32Array or all Float64Array, and every sum is
// rounded to their precision, as Python rounds it.

export const round = Math.fround;
const SINGLE = { Real: Float32Array, round };
const DOUBLE = { Real: Float64Array, round: (value) => value };

const precisionOf = (layer) => (layer.weight instanceof Float64Array ? DOUBLE : SINGLE);

/** Return the number of elements of a shape. */
export const sizeOf = (shape) => shape.reduce((a, b) => a * b);

/** Add a row of weights, `amount` times each, to the currents from `to` on. */
function addRow(weight, from, amount, current, to, length, round) {
  const end = to + length;
  if (amount === 1) while (to < end) current[to++] += weight[from++];
  else while (to < end) current[to++] += round(amount * weight[from++]);
}

/** Add one input to the currents that it reaches; return how many weights were added. */
function addInput(layer, event, amount, current) {
  const { round } = precisionOf(layer);
  const [, inWidth, inChannels] = layer.inShape;
  const [height, width, channels] = layer.weighedShape;
  if (inWidth === 1) {
    addRow(layer.weight, event * channels, amount, current, 0, channels, round);
    return channels;
  }
  const channel = event % inChannels;
  const x = (Math.floor(event / inChannels) % inWidth) + layer.padding;
  const y = Math.floor(event / inChannels / inWidth) + layer.padding;
  let operations = 0;
  for (let row = 0; row < layer.kernel; row++) {
    const down = (y - row) / layer.stride;
    if (!Number.isInteger(down) || down < 0 || down >= height) continue;
    for (let column = 0; column < layer.kernel; column++) {
      const right = (x - column) / layer.stride;
      if (!Number.isInteger(right) || right < 0 || right >= width) continue;
      const from = ((channel * layer.kernel + row) * layer.kernel + column) * channels;
      addRow(layer.weight, from, amount, current, (down * width + right) * channels, channels, round);
      operations += channels;
    }
  }
  return operations;
}

/** Return the current of each neuron: what its weights received, pooled where the layer pools. */
function pool(layer, weighed) {
  if (!layer.pooling) return weighed;
  const { Real, round } = precisionOf(layer);
  const [height, width, channels] = layer.shape;
  const row = layer.weighedShape[1] * channels;
  const side = layer.pool;
  const pooled = new Real(height * width * channels);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < channels; channel++, to++) {
        const from = y * side * row + x * side * channels + channel;
        let found = weighed[from];
        for (let i = 0; i < side * side; i++) {
          const next = weighed[from + Math.floor(i / side) * row + (i % side) * channels];
          if (layer.pooling === "max") found = Math.max(found, next);
          else if (i) found = round(found + next);
        }
        pooled[to] = layer.pooling === "max" ? found : found / (side * side);
      }
  return pooled;
}

/** Move the neurons on by one timestep; return the numbers of those that fire. */
function integrate(layer, current, before, membrane, change) {
  const { round } = precisionOf(layer);
  const channels = layer.beta.length;
  const spikes = [];
  for (let n = 0; n < membrane.length; n++) {
    const channel = n % channels;
    const threshold = round(layer.threshold[channel] * change.threshold);
    const beta = change.beta === null ? layer.beta[channel] : round(change.beta);
    const fired = before[n] > threshold;
    let value = layer.reset === "zero" && fired ? 0 : before[n];
    value = round(round(beta * value) + round(current[n] + layer.bias[channel]));
    if (layer.reset === "subtract" && fired) value = round(value - threshold);
    membrane[n] = value;
    if (value > threshold) spikes.push(n);
  }
  return spikes;
}

/**
 * Run all layers over all timesteps.
 *
 * `input[t]` is { events: [numbers], amounts: [numbers] or null }; `change` is { beta: a number or
 * null, threshold: a factor }. Returns, for each layer, `spikes[t]` (numbers of neurons) and
 * `membranes[t]`, and the weights that were added.
 */
export function runNetwork(layers, input, change = { beta: null, threshold: 1 }) {
  let operations = 0;
  const record = layers.map((layer) => {
    const { Real } = precisionOf(layer);
    return { spikes: [], membranes: [], rest: new Real(sizeOf(layer.shape)) };
  });
  let constant = null; // what a first layer receives at every timestep
  for (const now of input) {
    let incoming = now.events;
    layers.forEach((layer, index) => {
      const did = record[index];
      const { Real } = precisionOf(layer);
      let weighed = !index && now === input[0] ? constant : null;
      if (!weighed) {
        weighed = new Real(sizeOf(layer.weighedShape));
        const amounts = index ? null : now.amounts;
        for (let i = 0; i < incoming.length; i++)
          operations += addInput(layer, incoming[i], amounts ? amounts[i] : 1, weighed);
        if (!index && now === input[0]) constant = weighed;
      }
      const membrane = new Real(did.rest.length);
      const before = did.membranes.at(-1) ?? did.rest;
      incoming = integrate(layer, pool(layer, weighed), before, membrane, change);
      did.spikes.push(incoming);
      did.membranes.push(membrane);
    });
  }
  return { layers: record, operations };
}

/** The score of an output neuron by each readout, from spikes[t] and membranes[t] of the output layer. */
const READOUTS = {
  mean_membrane: ({ membranes }, c) => membranes.reduce((sum, row) => sum + row[c], 0) / membranes.length,
  max_membrane: ({ membranes }, c) => Math.max(...membranes.map((row) => row[c])),
  spike_count: ({ spikes }, c) => spikes.filter((fired) => fired.includes(c)).length,
  first_spike: ({ spikes }, c) => {
    const first = spikes.findIndex((fired) => fired.includes(c));
    return -(first < 0 ? spikes.length : first);
  },
};

/** Return the means of values of the output neurons over the `population` neurons of each class. */
export function byClass(values, population) {
  const sums = new Array(values.length / population).fill(0);
  values.forEach((value, n) => (sums[Math.floor(n / population)] += value));
  return sums.map((sum) => sum / population); // not of quotients: ties stay ties
}

/** Return the scores of the classes. */
export const scoresOf = (output, readout, population = 1) =>
  byClass(Array.from(output.membranes[0], (_, n) => READOUTS[readout](output, n)), population);

/** Return the scores of the classes, and their mean membranes, after each timestep. */
export function runningScores({ spikes, membranes }, readout, population = 1) {
  return membranes.map((_, t) => {
    const soFar = { spikes: spikes.slice(0, t + 1), membranes: membranes.slice(0, t + 1) };
    return { scores: scoresOf(soFar, readout, population), mean: scoresOf(soFar, "mean_membrane", population) };
  });
}

/** Return the class with the highest score; a tie goes to the highest mean membrane. */
export function decide({ scores, mean }) {
  const best = Math.max(...scores);
  const leading = scores.map((score, i) => (score === best ? mean[i] : -Infinity));
  return leading.indexOf(Math.max(...leading));
}

/** Return the timestep, from 1, after which the decision no longer changes. */
export function settled(decisions) {
  let last = decisions.length - 1;
  while (last > 0 && decisions[last - 1] === decisions.at(-1)) last -= 1;
  return last + 1;
}

/** Return how many multiplications the same layers take without spikes. */
export function denseOperations(layers) {
  return layers.reduce(
    (sum, layer) => sum + sizeOf(layer.weighedShape) * layer.kernel ** 2 * layer.inShape[2],
    0,
  );
}
