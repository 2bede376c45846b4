// What the page is about: the settings, the network, the image, and what the network did with it.

import { direct, fromTable, latency, rate, seeded } from "./encoders.js";
import { learn, zerosLike } from "./learning.js";
import { decide, runNetwork, runningScores } from "./network.js";
import { noisy } from "./picture.js";
import { atRest, step, vote } from "./stdp.js";
import { SURROGATES } from "./surrogates.js";

export const find = (id) => document.getElementById(id);

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);

/** The network of the page; in the playground its layers change while it learns. */
export const network = JSON.parse(find("network").textContent);
network.layers = network.layers.map((layer) => {
  const [weight, bias, beta, threshold] = [layer.weight, layer.bias, layer.beta, layer.threshold].map(floats);
  return { ...layer, weight, bias, beta, threshold };
});
network.examples = network.examples.map((one) => ({ ...one, image: bytes(one.image) }));

if (!(network.settings.surrogate in SURROGATES)) Object.assign(network.settings, { surrogate: "atan", width: 2 });

/** What one can set, as the network was trained; `beta` null stands for the betas of its neurons. */
export const trained = { ...network.settings };
export const settings = { ...trained };

export const state = {
  image: null, // 784 grey values
  label: null, // class of an example, null for a drawing
  erased: new Set(), // pixels whose spikes the eraser took
  noise: 0,
  run: null, // what the network did
  now: 0,
  playing: false,
  phase: 0, // how much of the present timestep is over while it plays, from 0 to 1
  neuron: { layer: 0, number: null },
  pixel: null, // a weight of the neuron
};

/** Who wants no motion gets none, but by pressing Play. */
export const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

/** Return how many timesteps on the next picture is, of 40 at most. */
export const pictureStep = () => Math.ceil(state.run.input.length / 40);

/** Return the input of the network for an image, at each timestep. */
export function encode(image, { code, steps }) {
  if (network.table && code === trained.code && steps === trained.steps) return fromTable(image, network.table);
  if (code === "rate") return rate(image, steps, seeded(1));
  return code === "direct" ? direct(image, steps) : latency(image, steps);
}

function withoutErased(input) {
  if (!state.erased.size) return input;
  return input.map(({ events, amounts }) => {
    const kept = events.map((event, i) => i).filter((i) => !state.erased.has(events[i]));
    return { events: kept.map((i) => events[i]), amounts: amounts && kept.map((i) => amounts[i]) };
  });
}

/** Run the network on the image that is there; `state.run` is what it did. */
export function run() {
  if (!state.image || !network.layers.length) {
    state.run = null;
    return;
  }
  const image = noisy(state.image, state.noise, seeded(2));
  const started = performance.now();
  const did = network.competition ? compete(image) : classify(image);
  state.run = { ...did, image, milliseconds: performance.now() - started };
}

function classify(image) {
  const input = withoutErased(encode(image, settings));
  const did = runNetwork(network.layers, input, change());
  const scores = runningScores(did.layers.at(-1), network.readout, network.population);
  return { ...did, input, scores: scores.map((each) => each.scores), decisions: scores.map(decide) };
}

/** Run the competing neurons, at higher rates until enough of them fire; the scores are their votes. */
function compete(image) {
  const { competition: layer, votes } = network;
  const { duration, timestep, max_rate, rate_step, min_spikes } = layer.parameters;
  const record = { rest: new Float32Array(layer.neurons) };
  let [input, total] = [null, 0];
  for (let hertz = max_rate; !input || (total < min_spikes && hertz < 1000); hertz += rate_step) {
    input = withoutErased(rate(image, duration / timestep, seeded(1), (hertz * timestep) / 1000));
    const neurons = atRest(layer);
    [record.spikes, record.membranes] = [[], []];
    for (const { events } of input) {
      record.spikes.push(step(layer, neurons, events));
      record.membranes.push(neurons.membrane.slice());
    }
    total = record.spikes.flat().length;
  }
  const counts = new Int32Array(layer.neurons);
  const scores = record.spikes.map((active) => {
    for (const n of active) counts[n] += 1;
    return votes ? vote(counts, votes) : network.classes.map(() => 0);
  });
  const operations = layer.neurons * input.reduce((sum, { events }) => sum + events.length, 0);
  const decisions = scores.map((each) => each.indexOf(Math.max(...each)));
  return { layers: [record], operations, input, scores, decisions };
}

/** Return how the neurons differ from those of the network: not at all in the playground. */
export function change() {
  return network.digits ? undefined : { beta: settings.beta, threshold: settings.threshold };
}

/** Return the surrogate derivative that is set. */
export const slopeOf = ({ surrogate, width }) => (x) => SURROGATES[surrogate].derivative(x, width);

/** Return δ of each layer for the image and its class, or null where the layers are not dense. */
export function deltas() {
  if (!state.run || network.competition || network.layers.some((layer) => layer.inShape[1] !== 1)) return null;
  const label = state.label ?? state.run.decisions.at(-1);
  const options = { readout: network.readout, slope: slopeOf(settings), population: network.population };
  return learn(network.layers, state.run.input, label, zerosLike(network.layers), options).deltas;
}
