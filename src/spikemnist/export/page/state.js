// What the page is about: the network, what was drawn, and what the network did with it.

import { direct, fromTable, latency, rate, seeded } from "./encoders.js";
import { decide, runNetwork, runningScores } from "./network.js";
import { noisy, SIZE } from "./picture.js";

export const find = (id) => document.getElementById(id);
export const network = readNetwork(JSON.parse(find("network").textContent));
export const side = find("paper").width;
export const trained = { code: network.code, steps: network.steps, beta: null, threshold: 1 };

export const state = {
  ...trained,
  image: null, // 784 grey values
  erased: new Set(), // pixels whose spikes the eraser took
  noise: 0,
  run: null, // what the network did
  now: 0,
  playing: false,
  neuron: { layer: 0, number: null },
};

/** Decode the network of the page: arrays are base64. */
function readNetwork(stored) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const layers = stored.layers.map((layer) => {
    const [weight, bias, beta, threshold] = [layer.weight, layer.bias, layer.beta, layer.threshold].map(floats);
    return { ...layer, weight, bias, beta, threshold };
  });
  return { ...stored, layers, examples: stored.examples.map((one) => ({ ...one, image: bytes(one.image) })) };
}

function encode(image) {
  const codes = {
    latency: () => latency(image, state.steps),
    rate: () => rate(image, state.steps, seeded(1)),
    direct: () => direct(image, state.steps),
  };
  const asTrained = state.code === trained.code && state.steps === trained.steps;
  const input = asTrained && network.table ? fromTable(image, network.table) : codes[state.code]();
  return input.map(({ events, amounts }) => {
    const kept = events.map((event, i) => i).filter((i) => !state.erased.has(events[i]));
    return { events: kept.map((i) => events[i]), amounts: amounts && kept.map((i) => amounts[i]) };
  });
}

/** Run the network on the image that is there; `state.run` is what it did. */
export function run() {
  if (!state.image) {
    state.run = null;
    return;
  }
  const image = noisy(state.image, state.noise, seeded(2));
  const input = encode(image);
  const started = performance.now();
  const did = runNetwork(network.layers, input, { beta: state.beta, threshold: state.threshold });
  const milliseconds = performance.now() - started;
  const scores = runningScores(did.layers.at(-1), network.readout);
  const decisions = scores.map(decide);
  state.run = { ...did, image, input, scores, decisions, milliseconds };
}
