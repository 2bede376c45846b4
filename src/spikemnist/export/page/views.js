// What the page shows of its state.

import { denseOperations, settled } from "./network.js";
import { SIZE } from "./picture.js";
import {
  fit, frame, paintImage, paintMembrane, paintRaster, paintScores, paintWeights,
} from "./plots.js";
import { find, network, state, trained } from "./state.js";

export function show() {
  const { run, now } = state;
  find("play").textContent = state.playing ? "Pause" : "Play";
  find("slider").value = now + 1;
  find("now").textContent = run ? `${now + 1} of ${run.input.length}` : "–";
  for (const id of ["back", "play", "forward", "slider"]) find(id).disabled = !run;
  showInput();
  showAnswer();
  showHidden();
  showOutputs();
  showNeuron();
  showSwitches();
}

export function showInput() {
  const { run, now } = state;
  const blank = new Uint8Array(SIZE * SIZE);
  if (!run) {
    paintImage(find("image"), blank, SIZE);
    find("input-note").textContent = "Nothing yet: draw a digit, or pick one of the examples.";
    find("image").setAttribute("aria-label", "No image yet");
    return;
  }
  const isGrey = run.input[now].amounts !== null;
  const here = isGrey ? [] : run.input[now].events;
  const before = isGrey ? [] : run.input.slice(0, now).flatMap(({ events }) => events);
  paintImage(find("image"), run.image, SIZE, { now: here, before });
  find("input-note").textContent = isGrey
    ? `28 × 28 pixels; each is a current, the same at every timestep.`
    : `28 × 28 pixels; ${here.length} of them spike at this timestep.`;
  const seen = state.neuron.number === null ? null : fieldOfView();
  if (seen) frame(find("image"), SIZE, seen);
  find("image").setAttribute("aria-label", `The prepared image. ${find("input-note").textContent}`);
}

function showAnswer() {
  const { run, now } = state;
  const digit = find("digit");
  if (!run) {
    digit.innerHTML = "?<small>no drawing yet</small>";
    paintScores(find("scores"), new Array(network.classes.length).fill(0), -1);
    find("scores").setAttribute("aria-label", "No scores yet");
    find("settled").textContent = find("counter").innerHTML = "";
    return;
  }
  const silent = run.layers.at(-1).spikes.every((spikes) => !spikes.length);
  digit.firstChild.textContent = String(run.decisions[now]);
  digit.lastChild.textContent = `after timestep ${now + 1}`;
  paintScores(find("scores"), run.scores[now].scores, run.decisions[now]);
  find("scores").setAttribute(
    "aria-label",
    `Scores of the classes: ${run.scores[now].scores.map((s, i) => `${i}: ${s.toFixed(2)}`).join(", ")}`,
  );
  find("settled").textContent =
    `From timestep ${settled(run.decisions)} on the decision is ${run.decisions.at(-1)} and no longer changes.` +
    (silent ? " No output neuron fires." : "");
  const hidden = run.layers.slice(0, -1).reduce((sum, l) => sum + l.spikes.flat().length, 0);
  const rows = [
    ["Input spikes", run.input[0].amounts ? "none: currents" : run.input.reduce((sum, { events }) => sum + events.length, 0)],
    ["Hidden spikes", hidden],
    ["Weights added", run.operations],
    ["Multiplications of the same layers without spikes", denseOperations(network.layers)],
    ["Time to compute", `${run.milliseconds.toFixed(1)} ms`],
  ];
  find("counter").innerHTML = rows
    .map(([name, value]) => `<dt>${name}</dt><dd>${value.toLocaleString("en")}</dd>`)
    .join("");
}

export function showHidden() {
  const { run, now } = state;
  network.layers.slice(0, -1).forEach((layer, index) => {
    const canvas = find(`raster-${index}`);
    const spikes = run ? run.layers[index].spikes : [[]];
    const chosen = state.neuron.layer === index ? state.neuron.number : null;
    const neurons = layer.shape.reduce((a, b) => a * b);
    paintRaster(canvas, spikes, neurons, now, chosen);
    const fired = spikes.flat().length;
    canvas.setAttribute("aria-label", `Spikes of ${neurons} hidden neurons: ${fired} in ${spikes.length} timesteps`);
    canvas.parentElement.querySelector("figcaption").textContent =
      `Layer ${index + 1}: ${neurons} neurons, ${run ? fired : "no"} spikes. Time to the right, neurons downward.`;
  });
}

function showOutputs() {
  const { run, now } = state;
  const narrow = find("membranes").clientWidth < 520;
  const [columns, height] = narrow ? [2, 560] : [5, 440];
  const { context, width } = fit(find("membranes"), height);
  const box = { width: width / columns - 8, height: height / (10 / columns) - 10 };
  const did = run?.layers.at(-1);
  const thresholds = Array.from(network.layers.at(-1).threshold, (value) => value * state.threshold);
  const all = did ? did.membranes.flatMap((membrane) => [...membrane]) : [0, 1];
  const range = [Math.min(0, ...all), Math.max(...all, ...thresholds) * 1.05];
  network.classes.forEach((name, i) => {
    const place = { ...box, x: (i % columns) * (box.width + 8) + 1, y: Math.floor(i / columns) * (box.height + 10) + 1 };
    paintMembrane(context, place, {
      values: did ? did.membranes.map((membrane) => membrane[i]) : [0],
      spikes: did ? did.spikes.map((spikes) => spikes.includes(i)) : [],
      threshold: thresholds[i],
      now,
      range,
      label: name,
      bold: run?.decisions[now] === i,
    });
  });
  find("membranes").setAttribute(
    "aria-label",
    run ? `Membranes after timestep ${now + 1}: ${network.classes.map((name, i) => `${name}: ${did.membranes[now][i].toFixed(2)}`).join(", ")}` : "No membranes yet",
  );
}

/** Return the weights that a neuron of the first layer reads, laid out like its input. */
function receptiveField(layer, number) {
  const channels = layer.shape[2];
  const channel = number % channels;
  const weights = [];
  for (let i = channel; i < layer.weight.length; i += channels) weights.push(layer.weight[i]);
  return weights;
}

/** Return the square of the image that the chosen neuron sees: of a first layer that convolves. */
function fieldOfView() {
  const layer = network.layers[0];
  if (state.neuron.layer !== 0 || layer.inShape[0] === 1) return null;
  const place = Math.floor(state.neuron.number / layer.shape[2]);
  const step = layer.stride * layer.pool;
  return {
    top: Math.floor(place / layer.shape[1]) * step - layer.padding,
    left: (place % layer.shape[1]) * step - layer.padding,
    size: layer.stride * (layer.pool - 1) + layer.kernel,
  };
}

export function showNeuron() {
  const { run, now, neuron } = state;
  const note = find("neuron-note");
  const { context, width, height } = fit(find("trace"), 90);
  if (neuron.number === null) {
    paintWeights(find("field"), [0], 1);
    note.textContent = "Point at a hidden neuron to see its weights, its membrane and what made it fire.";
    find("field").setAttribute("aria-label", "No neuron chosen");
    find("trace").setAttribute("aria-label", "No neuron chosen");
    return;
  }
  const layer = network.layers[neuron.layer];
  const weights = receptiveField(layer, neuron.number);
  const square = Math.ceil(Math.sqrt(weights.length));
  const readsImage = neuron.layer === 0 && layer.inShape[0] === 1;
  const input = run?.input[now];
  paintWeights(find("field"), weights, square, readsImage && input && !input.amounts ? input.events : []);
  const [up, down] = colourNames();
  let text = `Neuron ${neuron.number} of layer ${neuron.layer + 1}. Its ${weights.length} weights: ${up} drive it up, ${down} drive it down.`;
  if (run) {
    const did = run.layers[neuron.layer];
    const values = did.membranes.map((membrane) => membrane[neuron.number]);
    const threshold = layer.threshold[neuron.number % layer.threshold.length] * state.threshold;
    const spikes = did.spikes.map((each) => each.includes(neuron.number));
    const range = [Math.min(0, ...values), Math.max(...values, threshold) * 1.3];
    const box = { x: 1, y: 1, width: width - 2, height: height - 2 };
    paintMembrane(context, box, { values, threshold, spikes, now, range, label: "membrane", bold: true });
    const times = spikes.flatMap((fired, t) => (fired ? [t + 1] : []));
    text += times.length ? ` It fires at timestep ${times.join(", ")}.` : " It stays silent.";
    if (readsImage) text += reasons(layer, neuron.number, now);
    else if (fieldOfView()) text += " It sees the framed square of the image.";
  }
  note.textContent = text;
  find("field").setAttribute("aria-label", `Weights of neuron ${neuron.number}`);
  find("trace").setAttribute("aria-label", text);
}

/** Return how the two colours of weights are called, by day or by night. */
function colourNames() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  return dark ? ["light blue", "light orange"] : ["blue", "orange"];
}

/** Say how much the inputs of this timestep, framed above, drive a dense neuron of the first layer. */
function reasons(layer, number, now) {
  const { events, amounts } = state.run.input[now];
  const channels = layer.shape[2];
  const drives = events.map((event, i) => layer.weight[event * channels + number] * (amounts ? amounts[i] : 1));
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const up = drives.filter((drive) => drive > 0);
  const down = drives.filter((drive) => drive < 0);
  return (
    ` At timestep ${now + 1}, ${up.length} of the framed inputs drive it up by ${sum(up).toFixed(2)} and ` +
    `${down.length} down by ${Math.abs(sum(down)).toFixed(2)}.`
  );
}

function showSwitches() {
  const change = state.beta !== null || state.threshold !== 1;
  find("steps-value").textContent = state.steps;
  find("beta-value").textContent = state.beta === null ? "trained" : state.beta.toFixed(2);
  find("threshold-value").textContent = state.threshold.toFixed(2);
  const { run } = state;
  let text = "The network as it was trained.";
  if (change || state.code !== trained.code || state.steps !== trained.steps) text = "Not as it was trained.";
  if (state.erased.size) text += ` The eraser took the spikes of ${state.erased.size} pixels.`;
  if (run) {
    const [hidden] = run.layers;
    const share = hidden.spikes.flat().length / (hidden.rest.length * hidden.spikes.length);
    if (share === 0) text += " The first layer is silent: nothing reaches its threshold.";
    else if (share > 0.5) text += ` The first layer is saturated: it fires at ${Math.round(100 * share)} % of all timesteps.`;
    else text += ` Neurons of the first layer fire at ${(100 * share).toFixed(1)} % of all timesteps.`;
  }
  find("effect").textContent = text;
}
