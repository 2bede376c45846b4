// What the page shows of its state.

import { gradientFormula, incoming, membraneFormula, membraneOf, surrogateFormula } from "./formula.js";
import { showGraph } from "./graph.js";
import { byClass, denseOperations, settled, sizeOf } from "./network.js";
import { SIZE } from "./picture.js";
import {
  colourNames, fit, frame, paintImage, paintMembrane, paintRaster, paintScores, paintSurrogate, paintWeights,
} from "./plots.js";
import { change, find, network, settings, slopeOf, state, trained } from "./state.js";

export function show() {
  const { run, now } = state;
  find("play").textContent = state.playing ? "Pause" : "Play";
  find("slider").value = now;
  find("now").textContent = run ? `t = ${now} of 0 … ${run.input.length - 1}` : "–";
  for (const id of ["back", "play", "forward", "slider"]) find(id).disabled = !run;
  showInput();
  showAnswer();
  showHidden();
  showOutputs();
  showNeuron();
  showGraph();
  showEffect();
}

export function showInput() {
  const { run, now } = state;
  const blank = new Uint8Array(SIZE * SIZE);
  if (!run) {
    paintImage(find("image"), blank, SIZE);
    find("input-note").textContent = "Nothing yet: draw, or take one of the examples.";
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
    paintScores(find("scores"), new Array(network.classes.length).fill(0), network.classes, -1);
    find("scores").setAttribute("aria-label", "No scores yet");
    find("settled").textContent = find("counter").innerHTML = "";
    return;
  }
  const silent = !network.competition && run.layers.at(-1).spikes.every((spikes) => !spikes.length);
  digit.firstChild.textContent = network.classes[run.decisions[now]];
  digit.lastChild.textContent = `after ${now + 1} of ${run.input.length} timesteps`;
  paintScores(find("scores"), run.scores[now], network.classes, run.decisions[now]);
  find("scores").setAttribute(
    "aria-label",
    `Scores of the classes: ${run.scores[now].map((s, i) => `${i}: ${s.toFixed(2)}`).join(", ")}`,
  );
  find("settled").textContent =
    `From t = ${settled(run.decisions) - 1} on the decision is ${network.classes[run.decisions.at(-1)]} and no longer changes.` +
    (silent ? " No output neuron fires." : "");
  const hidden = run.layers.slice(0, network.hidden).reduce((sum, l) => sum + l.spikes.flat().length, 0);
  const rows = [
    ["Input spikes", run.input[0].amounts ? "none: currents" : run.input.reduce((sum, { events }) => sum + events.length, 0)],
    ["Hidden spikes", hidden],
    ["Weights added", run.operations],
    ...(network.competition ? [] : [["Multiplications of the same layers without spikes", denseOperations(network.layers)]]),
    ["Time to compute", `${run.milliseconds.toFixed(1)} ms`],
  ];
  find("counter").innerHTML = rows
    .map(([name, value]) => `<dt>${name}</dt><dd>${value.toLocaleString("en")}</dd>`)
    .join("");
}

export function showHidden() {
  const { run, now } = state;
  network.layers.slice(0, network.hidden).forEach((layer, index) => {
    const canvas = find(`raster-${index}`);
    const spikes = run ? run.layers[index].spikes : [[]];
    const chosen = state.neuron.layer === index ? state.neuron.number : null;
    const neurons = sizeOf(layer.shape);
    paintRaster(canvas, spikes, neurons, now, chosen);
    const fired = spikes.flat().length;
    canvas.setAttribute("aria-label", `Spikes of ${neurons} hidden neurons: ${fired} in ${spikes.length} timesteps`);
    canvas.parentElement.querySelector("figcaption").textContent =
      `Hidden ${index + 1}: ${neurons} neurons, ${run ? fired : "no"} spikes. Time to the right, neurons downward.`;
  });
}

function showOutputs() {
  if (network.competition) return;
  const { run, now } = state;
  const narrow = find("membranes").clientWidth < 520;
  const [columns, height] = narrow ? [2, 480] : [5, 240];
  const { context, width } = fit(find("membranes"), height);
  const box = { width: width / columns - 8, height: height / (10 / columns) - 10 };
  const did = run?.layers.at(-1);
  const last = network.layers.at(-1);
  const means = (values) => byClass(values, network.population);
  const thresholds = means(last?.threshold ?? []).map((value) => value * (change()?.threshold ?? 1));
  const membranes = did?.membranes.map(means);
  const firing = did?.spikes.map((spikes) => means(did.rest.map((_, n) => spikes.includes(n))));
  const all = did ? membranes.flat() : [0, 1];
  const range = [Math.min(0, ...all), Math.max(...all, ...thresholds) * 1.05];
  network.classes.forEach((name, i) => {
    const place = { ...box, x: (i % columns) * (box.width + 8) + 1, y: Math.floor(i / columns) * (box.height + 10) + 1 };
    paintMembrane(context, place, {
      values: did ? membranes.map((membrane) => membrane[i]) : [0],
      spikes: did ? firing.map((share) => share[i] >= 0.5) : [],
      threshold: thresholds[i] ?? 1,
      now,
      range,
      label: name,
      bold: run?.decisions[now] === i,
    });
  });
  find("membranes").setAttribute(
    "aria-label",
    run ? `Membranes at t = ${now}: ${network.classes.map((name, i) => `${name}: ${membranes[now][i].toFixed(2)}`).join(", ")}` : "No membranes yet",
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

/** Show the neuron that is chosen: its weights, its membrane, its surrogate, and its formulas. */
export function showNeuron() {
  const { run, now, neuron } = state;
  const note = find("neuron-note");
  find("views").hidden = neuron.number === null;
  const { context, width, height } = fit(find("trace"), 100);
  find("formulas").hidden = neuron.number === null || !run || Boolean(network.competition);
  find("surrogate").hidden = find("formulas").hidden;
  const layer = network.layers[neuron.layer];
  if (neuron.number === null || !layer) {
    note.textContent = "Point at a neuron to see its weights, its membrane and the numbers that made it fire; click or tap to keep it here.";
    find("field").setAttribute("aria-label", "No neuron chosen");
    find("trace").setAttribute("aria-label", "No neuron chosen");
    return;
  }
  const weights = receptiveField(layer, neuron.number);
  const square = Math.ceil(Math.sqrt(weights.length));
  const { events, amounts } = run ? incoming(neuron.layer, now) : { events: [], amounts: null };
  const isDense = layer.inShape[1] === 1;
  paintWeights(find("field"), weights, square, isDense && !amounts ? events : []);
  const [up, down] = colourNames();
  const size = network.population;
  const place = size > 1 ? ` (${(neuron.number % size) + 1} of ${size})` : "";
  const output = () => `Output neuron ${network.classes[Math.floor(neuron.number / size)]}${place}`;
  const name = neuron.layer === network.hidden ? output() : `Neuron ${neuron.number} of hidden ${neuron.layer + 1}`;
  let text = `${name}. Its ${weights.length} weights: ${up} excites, ${down} inhibits.`;
  if (run) {
    const membrane = membraneOf(neuron.layer, neuron.number);
    const { values, threshold, spikes } = membrane;
    const box = { x: 1, y: 1, width: width - 2, height: height - 2 };
    paintMembrane(context, box, { ...membrane, now, label: "membrane", bold: true });
    const times = spikes.flatMap((fired, t) => (fired ? [t] : []));
    text += times.length ? ` It fires at t = ${times.slice(0, 20).join(", ")}${times.length > 20 ? ", …" : ""}.` : " It is silent.";
    if (isDense) text += reasons(layer, neuron.number, events, amounts);
    else if (fieldOfView()) text += " It sees the framed square of the image.";
    if (!network.competition) showFormulas(isDense, values.map((value) => value - threshold));
  }
  note.textContent = text;
  find("field").setAttribute("aria-label", `Weights of ${name}`);
  find("trace").setAttribute("aria-label", text);
}

/** Show the formulas of the chosen neuron with its numbers. */
function showFormulas(isDense, distances) {
  const { neuron: { layer, number }, now } = state;
  const forward = isDense ? membraneFormula(layer, number, now) : null;
  const gradient = gradientFormula(layer, number);
  const lines = [
    ["Forwards", forward?.general, forward?.numbers, forward?.names],
    ["Surrogate", surrogateFormula(layer, number, now)],
    ["Backwards", gradient?.general, gradient?.numbers],
  ];
  find("formulas").replaceChildren(
    ...lines.filter(([, first]) => first).flatMap(([title, ...texts]) => {
      const term = document.createElement("dt");
      term.textContent = title;
      return [term, ...texts.filter(Boolean).map((text) => Object.assign(document.createElement("dd"), { textContent: text }))];
    }),
  );
  paintSurrogate(find("surrogate"), slopeOf(settings), distances, now);
  if (gradient && layer === 0) frame(find("field"), SIZE, { top: Math.floor(gradient.input / SIZE), left: gradient.input % SIZE, size: 1 });
}

/** Say how much the inputs of this timestep, framed above, drive a dense neuron. */
function reasons(layer, number, events, amounts) {
  const channels = layer.shape[2];
  const drives = events.map((event, i) => layer.weight[event * channels + number] * (amounts ? amounts[i] : 1));
  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const up = drives.filter((drive) => drive > 0);
  const down = drives.filter((drive) => drive < 0);
  return (
    ` At t = ${state.now}, ${up.length} of its inputs drive it up by ${sum(up).toFixed(2)} and ` +
    `${down.length} down by ${Math.abs(sum(down)).toFixed(2)}.`
  );
}

/** Say whether the first layer is silent or saturated, and whether the network is as it was trained. */
function showEffect() {
  let text = "";
  if (!network.digits) {
    const same = Object.keys(trained).every((name) => settings[name] === trained[name]);
    text = same ? "The network as it was trained." : "Not as it was trained.";
  }
  if (state.erased.size) text += ` The eraser took the spikes of ${state.erased.size} pixels.`;
  if (state.run) {
    const [{ spikes, rest }] = state.run.layers;
    const counts = new Array(rest.length).fill(0);
    for (const n of spikes.flat()) counts[n] += 1;
    const share = counts.reduce((a, b) => a + b) / (rest.length * spikes.length);
    const saturated = counts.filter((count) => count === spikes.length).length / rest.length;
    const percent = (value) => `${(100 * value).toFixed(1)} %`;
    if (share === 0) text += " Hidden 1 is silent: nothing reaches its threshold.";
    else if (saturated > 0.2) text += ` Saturated: ${percent(saturated)} of the neurons of hidden 1 fire at every timestep.`;
    else text += ` Neurons of hidden 1 fire at ${percent(share)} of all timesteps.`;
  }
  find("effect").textContent = text;
}
