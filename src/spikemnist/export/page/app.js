// What one does on the page: time, drawing, neurons, settings.

import { direct, fromTable, latency, rate, seeded } from "./encoders.js";
import { followTheme, shareHeight } from "./frame.js";
import { fieldColumns, isDrawn, neuronAt, showGraph, strongest } from "./graph.js";
import { buildKnobs, linkOf, showKnobs, takeLink } from "./knobs.js";
import { learn, moveByAdam, newAdam, zerosLike } from "./learning.js";
import { decide, runNetwork, runningScores, sizeOf } from "./network.js";
import { prepare, SIZE } from "./picture.js";
import { paintImage } from "./plots.js";
import { calm, find, network, pictureStep, run, settings, state, trained } from "./state.js";
import { SURROGATES } from "./surrogates.js";
import { startTraining } from "./training.js";
import { show, showHidden, showInput, showNeuron } from "./views.js";

/** Run the network and show what it did, from the first timestep on or at the last. */
function compute({ play = false } = {}) {
  run();
  const steps = state.run ? state.run.input.length : 1;
  find("slider").max = steps - 1;
  state.now = steps - 1;
  state.playing = false;
  if (state.run && play && !calm.matches) playFrom(0);
  else show();
}

// ------------------------------------------------------------------------------------------ time

let [began, picture] = [0, 0]; // when this timestep began to be shown; the request of its next picture

function playFrom(timestep) {
  Object.assign(state, { playing: true, now: timestep, phase: 0 });
  began = performance.now();
  cancelAnimationFrame(picture);
  picture = requestAnimationFrame(tick);
  show();
}

function tick(time) {
  if (!state.playing || !state.run) return;
  const steps = state.run.input.length;
  state.phase = Math.max(time - began, 0) * (Number(find("speed").value) / 1000);
  if (state.phase < 1) showGraph();
  else {
    if (state.now === steps - 1) state.playing = false;
    state.now = Math.min(state.now + pictureStep(), steps - 1);
    [state.phase, began] = [0, time];
    show();
  }
  if (state.playing) picture = requestAnimationFrame(tick);
}

function go(timestep) {
  if (!state.run) return;
  state.playing = false;
  state.now = Math.min(Math.max(timestep, 0), state.run.input.length - 1);
  show();
}

find("slider").addEventListener("input", (event) => go(Number(event.target.value)));
find("back").addEventListener("click", () => go(state.now - 1));
find("forward").addEventListener("click", () => go(state.now + 1));
find("play").addEventListener("click", () => {
  if (!state.run) return;
  if (!state.playing) return playFrom(state.now + 1 < state.run.input.length ? state.now : 0);
  state.playing = false;
  show();
});

// --------------------------------------------------------------------------------------- drawing

const paper = find("paper");
const side = paper.width;
const ink = paper.getContext("2d", { willReadFrequently: true });
let pen = null;

function wipe() {
  ink.fillStyle = "black";
  ink.fillRect(0, 0, side, side);
}

function readStrokes() {
  const { data } = ink.getImageData(0, 0, side, side);
  state.label = null;
  state.image = prepare(Float32Array.from({ length: side * side }, (_, i) => data[4 * i] / 255), side);
}

function place(event) {
  const frame = paper.getBoundingClientRect();
  return [((event.clientX - frame.left) / frame.width) * side, ((event.clientY - frame.top) / frame.height) * side];
}

function stroke(event) {
  const [x, y] = place(event);
  const erasing = find("erase").getAttribute("aria-pressed") === "true";
  ink.strokeStyle = erasing ? "black" : "white";
  ink.lineWidth = erasing ? 34 : 22;
  ink.lineCap = ink.lineJoin = "round";
  ink.beginPath();
  ink.moveTo(...(pen ?? [x, y]));
  ink.lineTo(x + 0.01, y); // a line without length is not drawn
  ink.stroke();
  pen = [x, y];
  readStrokes();
  compute();
}

paper.addEventListener("pointerdown", (event) => {
  paper.setPointerCapture(event.pointerId);
  find("hint").hidden = true;
  if (state.label !== null) wipe(); // an example makes room for a drawing
  event.preventDefault();
  pen = null;
  state.erased.clear();
  stroke(event);
});
paper.addEventListener("pointermove", (event) => {
  if (paper.hasPointerCapture(event.pointerId)) stroke(event);
});
paper.addEventListener("pointerup", () => compute({ play: true }));

find("clear").addEventListener("click", () => {
  wipe();
  find("hint").hidden = false;
  state.image = state.label = null;
  state.erased.clear();
  compute();
});
find("erase").addEventListener("click", (event) => {
  const on = event.target.getAttribute("aria-pressed") !== "true";
  event.target.setAttribute("aria-pressed", on);
});
find("noise").addEventListener("input", (event) => {
  state.noise = Number(event.target.value);
  compute();
});

/** Erase spikes of the image itself: of the pixels under the pointer. */
function rub(event) {
  if (find("erase").getAttribute("aria-pressed") !== "true" || !event.buttons || !state.image) return;
  const frame = find("image").getBoundingClientRect();
  const x = Math.floor(((event.clientX - frame.left) / frame.width) * SIZE);
  const y = Math.floor(((event.clientY - frame.top) / frame.height) * SIZE);
  for (let i = -1; i <= 1; i++)
    for (let j = -1; j <= 1; j++)
      if (x + j >= 0 && x + j < SIZE && y + i >= 0 && y + i < SIZE) state.erased.add((y + i) * SIZE + x + j);
  compute();
}
find("image").addEventListener("pointerdown", rub);
find("image").addEventListener("pointermove", rub);

function pick({ image, label }) {
  wipe();
  const small = new OffscreenCanvas(SIZE, SIZE);
  const pixels = new ImageData(SIZE, SIZE);
  image.forEach((grey, i) => pixels.data.set([grey, grey, grey, 255], 4 * i));
  small.getContext("2d").putImageData(pixels, 0, 0);
  ink.drawImage(small, 0, 0, side, side);
  state.image = image;
  state.label = label;
  state.erased.clear();
  paper.setAttribute("aria-label", `Drawing area, with an example of ${network.classes[label] ?? label}`);
  compute({ play: true });
}

network.examples.forEach((example) => {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", `Example: ${network.classes[example.label] ?? example.label}`);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  paintImage(canvas, example.image, SIZE);
  button.append(canvas);
  button.addEventListener("click", () => pick(example));
  find("examples").append(button);
});

// ----------------------------------------------------------------------------- neurons, settings

let kept = null; // the neuron that was clicked, to which the page returns

/** Choose a neuron, and show what the page knows of it. */
function choose({ layer, number }) {
  const neurons = sizeOf(network.layers[layer].shape);
  state.neuron = { layer, number: Math.min(Math.max(number, 0), neurons - 1) };
  state.pixel = null;
  showInput();
  showHidden();
  showNeuron();
  showGraph();
}

function keep(neuron) {
  choose(neuron);
  kept = state.neuron;
}

/** Let a picture choose the neuron at a place of it: while one points there, and until the next by a click. */
function chooseByPointer(element, neuronHere) {
  const at = ({ clientX, clientY }) => {
    const frame = element.getBoundingClientRect();
    return neuronHere(clientX - frame.left, clientY - frame.top, frame);
  };
  element.addEventListener("pointermove", (event) => {
    const neuron = event.pointerType === "mouse" && !event.buttons ? at(event) : null;
    if (neuron && (neuron.layer !== state.neuron.layer || neuron.number !== state.neuron.number)) choose(neuron);
  });
  element.addEventListener("pointerleave", () => kept && kept !== state.neuron && choose(kept));
  element.addEventListener("click", (event) => at(event) && keep(at(event)));
}

/** Let arrow keys on a picture choose a neuron of a layer; `columns` is how many stand in a row of it. */
function chooseByKeys(canvas, layer, columns) {
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    const row = columns?.() ?? 1;
    const step = { ArrowLeft: columns && -1, ArrowRight: columns && 1, ArrowUp: -row, ArrowDown: row, PageUp: -10 * row, PageDown: 10 * row }[event.key];
    if (!step || !network.layers[layer]) return;
    event.preventDefault();
    const { neuron } = state;
    keep({ layer, number: neuron.layer !== layer || neuron.number === null ? 0 : neuron.number + step });
  });
}

for (let index = 0; index < network.hidden; index++) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.id = `raster-${index}`;
  canvas.setAttribute("role", "img");
  figure.append(document.createElement("figcaption"), canvas);
  find("rasters").append(figure);
  chooseByPointer(canvas, (x, y, { height }) =>
    network.layers.length ? { layer: index, number: Math.floor((y / height) * sizeOf(network.layers[index].shape)) } : null);
  chooseByKeys(canvas, index);
}
chooseByPointer(find("membranes"), (x, y, { width, height }) => {
  const columns = width < 520 ? 2 : 5;
  const number = Math.floor((y / height) * (10 / columns)) * columns + Math.floor((x / width) * columns);
  return number < network.classes.length && network.layers.length > 1 ? { layer: network.layers.length - 1, number: number * network.population } : null;
});
chooseByKeys(find("membranes"), network.hidden);
if (isDrawn()) {
  find("stage").className = "drawn";
  find("input-title").textContent = "The network";
  chooseByPointer(find("stage"), neuronAt);
  chooseByKeys(find("graph"), 0, fieldColumns);
  find("stage").addEventListener("click", () => find("graph").focus({ preventScroll: true, focusVisible: false }));
} else find("graph").remove();

find("field").addEventListener("pointerdown", (event) => {
  if (state.neuron.layer !== 0 || state.neuron.number === null) return;
  const frame = find("field").getBoundingClientRect();
  const [x, y] = [event.clientX - frame.left, event.clientY - frame.top].map((value) => Math.floor((value / frame.width) * SIZE));
  state.pixel = y * SIZE + x;
  showNeuron();
  showGraph();
});

/** Show what a changed network or setting does, at the same timestep or, from the end, at the end. */
function refresh() {
  const { layer, number } = state.neuron;
  if (number >= sizeOf(network.layers[layer]?.shape ?? [0])) {
    state.neuron = { layer: 0, number: null }; // the new network does not have it
    kept = null;
  }
  const [first, playing, last] = [!state.run, state.playing, state.run?.input.length - 1];
  const now = state.now;
  if (first) return compute({ play: true });
  run();
  const steps = state.run.input.length;
  find("slider").max = steps - 1;
  state.now = playing || now < last ? Math.min(now, steps - 1) : steps - 1;
  show();
}

followTheme(show);
shareHeight();
find("about").textContent = network.about;
document.documentElement.classList.toggle("small", new URLSearchParams(window.location.search).has("small"));
document.documentElement.classList.toggle("learns", Boolean(network.digits));
if (network.digits) startTraining(refresh);
else buildKnobs(refresh);
find("restore").addEventListener("click", () => {
  Object.assign(settings, trained);
  showKnobs();
  if (network.digits) location.hash = "";
  refresh();
});

wipe();
window.addEventListener("resize", show);
find("digit").innerHTML = "?<small></small>";
pick(network.examples.find(({ label }) => label === 8) ?? network.examples[0]);

// For whoever looks from a console: the network and its functions.
window.spikemnist = {
  network, settings, state, runNetwork, runningScores, decide, fromTable, latency, direct, rate, seeded, prepare,
  learn, moveByAdam, newAdam, zerosLike, SURROGATES, linkOf, takeLink, neuronAt, strongest,
};
