// Competing neurons that learn digits without labels, by spike-timing-dependent plasticity (STDP): the
// network of Diehl and Cook, as Python's STDPClassifier. At each timestep, for each neuron,
//
//   g_e <- g_e exp(-dt / tau_e) + sum of the weights of the inputs that fire
//   V   <- (V + dt / tau (E_rest + g_e E_exc + g_i E_inh)) / (1 + dt / tau (1 + g_e + g_i))
//   g_i <- g_i exp(-dt / tau_i)
//
// A neuron fires if V exceeds threshold + theta. It is then reset and refractory, and inhibits the others
// from the next timestep on. If it learns, its theta grows, and its weights move towards its latest input.
//
// A layer: { inputs F, neurons N, parameters, weights [F + 1][N], theta [N] }, which `postMessage` copies.
// The last row of weights is of zeros. Arrays are float32, so that sums are rounded as Python rounds them.

import { seeded } from "./encoders.js";
import { round } from "./network.js";

/** The defaults of STDPClassifier: ms, mV, Hz, and conductances in units of the leak. */
export const STDP = {
  duration: 350, timestep: 1, rest: 150, max_rate: 63.75, min_spikes: 5, rate_step: 32,
  tau_membrane: 100, rest_potential: -65, reset_potential: -65, threshold: -52, refractory: 5,
  excitatory_potential: 0, inhibitory_potential: -100, tau_excitation: 1, tau_inhibition: 2,
  inhibition: 50, tau_theta: 1e7, target_trace: 0.3, weight_dependence: 1, tau_trace: 20,
  max_weight: 1, total_weight: 78.4,
};

/** Return the steps with which all neurons take part after `images`, summed over all passes. */
export function stepSizes(neurons, images) {
  const size = neurons / 400;
  const shortage = 20000 / Math.max(images, 1000);
  return {
    theta_plus: 0.05 * Math.max(size * shortage, size ** 0.75),
    learning_rate: 0.005 * Math.max(1, Math.sqrt(Math.min(size, 4)) * Math.max(1, shortage)),
  };
}

/** Return a layer that has learned nothing. `random` draws its weights; `changes` are to `STDP`. */
export function newCompetitiveLayer(options = {}) {
  const { inputs = 784, neurons = 25, images = 20000, random = seeded(0), ...changes } = options;
  const parameters = { ...STDP, ...stepSizes(neurons, images), ...changes };
  const weights = new Float32Array((inputs + 1) * neurons);
  for (let i = 0; i < inputs * neurons; i++) weights[i] = random();
  const layer = { inputs, neurons, parameters, weights, theta: new Float32Array(neurons) };
  for (let n = 0; n < neurons; n++) normalise(layer, n);
  return layer;
}

/** Return the state of neurons at rest, with the constants of a timestep; `lit` has inputs with a trace. */
export function atRest({ inputs, neurons, parameters }) {
  const { timestep, duration, rest } = parameters;
  const constants = {
    ...parameters,
    leak: timestep / parameters.tau_membrane,
    decayExcitation: Math.exp(-timestep / parameters.tau_excitation),
    decayInhibition: Math.exp(-timestep / parameters.tau_inhibition),
    decayTrace: Math.exp(-timestep / parameters.tau_trace),
    decayTheta: Math.exp(-(duration + rest) / parameters.tau_theta),
    refractorySteps: Math.round(parameters.refractory / timestep),
  };
  for (const name in constants) constants[name] = round(constants[name]);
  return {
    constants,
    membrane: new Float32Array(neurons).fill(constants.rest_potential),
    excitation: new Float32Array(neurons),
    inhibition: new Float32Array(neurons),
    blocked: new Float32Array(neurons),
    inflow: new Float32Array(neurons),
    trace: new Float32Array(inputs),
    isLit: new Uint8Array(inputs),
    lit: [],
  };
}

/** Move on by a timestep in which the inputs `events` fire; return the numbers of the neurons that fire. */
export function step(layer, state, events, learn = false) {
  if (learn) trackInputs(state, events);
  addRows(layer, events, state.inflow);
  const active = updateMembranes(layer, state);
  for (const n of active) {
    state.membrane[n] = state.constants.reset_potential;
    state.blocked[n] = state.constants.refractorySteps;
    if (learn) strengthen(layer, state, n);
  }
  if (active.length) inhibit(state, active);
  return active;
}

function trackInputs({ constants: { decayTrace }, trace, isLit, lit }, events) {
  for (const f of lit) trace[f] *= decayTrace;
  for (const f of events) {
    if (!isLit[f]) lit.push(f);
    isLit[f] = 1;
    trace[f] += 1;
  }
}

/** Set `inflow` to the sum of the rows of weights of inputs, by fours, as Python adds them. */
function addRows({ inputs, neurons, weights }, events, inflow) {
  const row = (i) => (i < events.length ? events[i] : inputs) * neurons;
  inflow.fill(0);
  for (let i = 0; i < events.length; i += 4) {
    const a = row(i), b = row(i + 1), c = row(i + 2), d = row(i + 3);
    for (let n = 0; n < neurons; n++)
      inflow[n] += round(round(weights[a + n] + weights[b + n]) + round(weights[c + n] + weights[d + n]));
  }
}

function updateMembranes({ neurons, theta }, state) {
  const { membrane, excitation, inhibition, blocked, inflow } = state;
  const { leak, threshold, rest_potential, reset_potential, excitatory_potential } = state.constants;
  const { inhibitory_potential, decayExcitation, decayInhibition } = state.constants;
  const active = [];
  for (let n = 0; n < neurons; n++) {
    const excited = round(round(decayExcitation * excitation[n]) + inflow[n]);
    const inhibited = inhibition[n];
    const pull = round(round(excited * excitatory_potential) + round(inhibited * inhibitory_potential));
    const drive = round(leak * round(rest_potential + pull));
    const conductance = round(leak * round(1 + round(excited + inhibited)));
    let value = round(round(membrane[n] + drive) / round(1 + conductance));
    if (blocked[n] > 0) {
      value = Math.min(value, reset_potential);
      blocked[n] -= 1;
    }
    membrane[n] = value;
    excitation[n] = excited;
    inhibition[n] = decayInhibition * inhibited;
    if (value > round(threshold + theta[n])) active.push(n);
  }
  return active;
}

/** Let each neuron that fired inhibit all the others. */
function inhibit({ constants, inhibition }, active) {
  const pressure = active.reduce((sum) => round(sum + constants.inhibition), 0);
  for (let n = 0; n < inhibition.length; n++) inhibition[n] += pressure;
  for (const n of active) inhibition[n] -= constants.inhibition;
}

/** Raise theta, and change weights: w <- w + learning_rate (trace - target_trace) (max_weight - w)^mu. */
function strengthen({ neurons, weights, theta }, { constants, trace }, n) {
  const { learning_rate, target_trace, max_weight, weight_dependence } = constants;
  for (let f = 0, at = n; f < trace.length; f++, at += neurons) {
    let headroom = round(max_weight - weights[at]);
    if (weight_dependence !== 1) headroom = round(Math.max(headroom, 0) ** weight_dependence);
    const change = round(round(learning_rate * round(trace[f] - target_trace)) * headroom);
    weights[at] = Math.min(Math.max(weights[at] + change, 0), max_weight);
  }
  theta[n] += constants.theta_plus;
}

/** Scale the weights of a neuron to their total. */
function normalise({ neurons, weights, parameters }, n) {
  let total = 0;
  for (let at = n; at < weights.length; at += neurons) total += weights[at];
  const factor = total > 0 ? round(parameters.total_weight) / total : 1;
  for (let at = n; at < weights.length; at += neurons) weights[at] *= factor;
}

/** Present `input[t].events` to neurons at rest; return how often each neuron fires. */
export function present(layer, input, { learn = false } = {}) {
  const state = atRest(layer);
  const counts = new Int32Array(layer.neurons);
  for (const { events } of input) for (const n of step(layer, state, events, learn)) counts[n] += 1;
  for (let n = 0; learn && n < layer.neurons; n++) {
    if (counts[n]) normalise(layer, n);
    layer.theta[n] *= state.constants.decayTheta;
  }
  return counts;
}

/** Present grey values, at higher rates after too few spikes. In `draw(gain)` white fires with `gain`. */
export function presentImage(layer, pixels, draw, options) {
  const { max_rate, rate_step, timestep, min_spikes } = layer.parameters;
  for (let gain = (max_rate * timestep) / 1000; ; gain += (rate_step * timestep) / 1000) {
    const counts = present(layer, draw(gain), options);
    const isEnough = counts.reduce((a, b) => a + b) >= min_spikes;
    if (isEnough || !rate_step || gain >= 1 || !pixels.some((grey) => grey)) return counts;
  }
}

/**
 * Assign neurons to classes from their counts for labelled images: `responses` [C][N], mean spikes for an
 * image; `classOf` [N], or -1; by voting rule `shares` [C][N], what a spike of a neuron counts for a class.
 */
export function assign(counts, labels, classes) {
  const images = new Array(classes).fill(0);
  const responses = images.map(() => new Float64Array(counts[0].length));
  labels.forEach((label, i) => {
    images[label] += 1;
    counts[i].forEach((count, n) => (responses[label][n] += count));
  });
  responses.forEach((row, label) => row.forEach((sum, n) => (row[n] = sum / (images[label] || 1))));
  const columns = Array.from(counts[0], (_, n) => responses.map((row) => row[n]));
  const classOf = columns.map((one) => (Math.max(...one) > 0 ? one.indexOf(Math.max(...one)) : -1));
  const totals = columns.map((one) => one.reduce((a, b) => a + b) || 1);
  const sizes = responses.map((_, label) => classOf.filter((other) => other === label).length || 1);
  const proportional = responses.map((row) => row.map((mean, n) => mean / totals[n]));
  const assigned = sizes.map((size, label) => classOf.map((other) => (other === label ? 1 / size : 0)));
  return { responses, classOf, shares: { proportional, assigned } };
}

/** Return the score of each class from the counts for an image, by "proportional" or "assigned" votes. */
export function vote(counts, { shares }, kind = "proportional") {
  return shares[kind].map((share) => counts.reduce((score, count, n) => score + count * share[n], 0));
}
