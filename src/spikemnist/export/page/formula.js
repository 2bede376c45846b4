// The formula of a neuron with its numbers, forwards and backwards.

import { deltas, network, settings, slopeOf, state } from "./state.js";
import { SURROGATES } from "./surrogates.js";

const SHOWN = 3; // inputs that are written out

const number = (value) => (Math.abs(value) < 5e-5 && value ? value.toExponential(1) : value.toFixed(Math.abs(value) < 0.1 ? 3 : 2));
const signed = (value) => (value < 0 ? ` - ${number(-value)}` : ` + ${number(value)}`);
const sum = (values) => values.reduce((a, b) => a + b, 0);

/** Return what a layer receives at a timestep: numbers of inputs and their amounts. */
export function incoming(layer, t) {
  if (layer === 0) return state.run.input[t];
  return { events: state.run.layers[layer - 1].spikes[t], amounts: null };
}

/** Return β, θ and the reset of a neuron as they are now. */
export function neuronOf(layer, n) {
  const channel = n % layer.bias.length;
  const factor = network.digits ? 1 : settings.threshold;
  const beta = network.digits || settings.beta === null ? layer.beta?.[channel] : settings.beta;
  return { beta, threshold: layer.threshold[channel] * factor, bias: layer.bias[channel] };
}

/** Return the membrane of a neuron at each timestep, its threshold and spikes, and the range to draw them in. */
export function membraneOf(layer, n) {
  const { membranes, spikes } = state.run.layers[layer];
  const values = membranes.map((membrane) => membrane[n]);
  const { threshold } = neuronOf(network.layers[layer], n);
  const [low, high] = [Math.min(network.competition ? Infinity : 0, ...values), Math.max(...values, threshold)];
  return { values, threshold, spikes: spikes.map((each) => each.includes(n)), range: [low, high + 0.3 * (high - low)] };
}

/** Return the membrane of a dense neuron at a timestep as a sum of numbers. */
export function membraneFormula(index, n, t) {
  const layer = network.layers[index];
  const { membranes, spikes } = state.run.layers[index];
  const { beta, threshold, bias } = neuronOf(layer, n);
  const before = t ? membranes[t - 1][n] : 0;
  const fired = t > 0 && spikes[t - 1].includes(n);
  const { events, amounts } = incoming(index, t);
  const drives = events.map((event, k) => layer.weight[event * layer.bias.length + n] * (amounts ? amounts[k] : 1));
  drives.sort((a, b) => Math.abs(b) - Math.abs(a));
  const rest = drives.slice(SHOWN);
  const terms = [...drives.slice(0, SHOWN), ...(rest.length ? [sum(rest)] : []), bias];
  const current = terms.map((value, i) => (i ? signed(value) : number(value))).join("");
  const names = [
    drives.length ? `the ${Math.min(SHOWN, drives.length)} largest inputs` : "no input",
    ...(rest.length ? [`the ${rest.length} others together`] : []),
    "the bias",
  ];
  const kept = fired && layer.reset === "zero" ? 0 : before;
  const reset = fired && layer.reset === "subtract" ? ` - ${number(threshold)}` : "";
  const value = membranes[t][n];
  const verdict = value > threshold ? `> ${number(threshold)}: spike` : `≤ ${number(threshold)}: no spike`;
  return {
    general: `U[t] = β · U[t-1]${layer.reset === "zero" ? " · (1 - S[t-1])" : ""} + (Σ w · x[t] + bias)${layer.reset === "subtract" ? " - θ · S[t-1]" : ""}`,
    numbers: `U[${t}] = ${number(beta)} · ${number(kept)} + (${current})${reset} = ${number(value)} ${verdict}`,
    names: `In the bracket: ${names.join(", ")}.`,
  };
}

/** Return the surrogate derivative of a neuron at a timestep as a sentence. */
export function surrogateFormula(index, n, t) {
  const { threshold } = neuronOf(network.layers[index], n);
  const x = state.run.layers[index].membranes[t][n] - threshold;
  const { formula } = SURROGATES[settings.surrogate];
  return `σ'(U - θ) = ${formula}: at x = ${number(x)} it is ${number(slopeOf(settings)(x))}`;
}

/** Return the gradient of a weight, the one of the chosen pixel or else the largest, as a sum over time. */
export function gradientFormula(index, n) {
  const all = deltas();
  if (!all) return null;
  const delta = all[index];
  const inputs = delta.map((_, t) => new Map(incoming(index, t).events.map((event, k) => [event, incoming(index, t).amounts?.[k] ?? 1])));
  const gradientOf = (i) => sum(delta.map((row, t) => row[n] * (inputs[t].get(i) ?? 0)));
  const candidates = [...new Set(inputs.flatMap((each) => [...each.keys()]))];
  if (!candidates.length) return null;
  const largest = () => candidates.reduce((a, b) => (Math.abs(gradientOf(b)) > Math.abs(gradientOf(a)) ? b : a));
  const i = index === 0 && state.pixel !== null ? state.pixel : largest();
  const terms = delta.flatMap((row, t) => (inputs[t].has(i) ? [[t, row[n] * inputs[t].get(i)]] : []));
  const numbers = terms.slice(0, 6).map(([, value], k) => (k ? signed(value) : number(value))).join("");
  const where = index ? `hidden neuron ${i}` : `pixel ${i % 28}, ${Math.floor(i / 28)}`;
  const label = network.classes[state.label ?? state.run.decisions.at(-1)];
  return {
    input: i,
    general: "∂L/∂w = Σ δ[t] · x[t], with δ[t] = ∂L/∂U[t] + σ'(U[t] - θ) · ∂L/∂S[t] + β · δ[t+1]",
    numbers: terms.length
      ? `weight from ${where}, class ${label}: ∂L/∂w = ${numbers}${terms.length > 6 ? " + …" : ""}${terms.length > 1 ? ` = ${number(gradientOf(i))}` : ""}  (t = ${terms.map(([t]) => t).join(", ")})`
      : `weight from ${where}: this input is 0 at every timestep, and so is the gradient`,
  };
}
