// What one does on the page: time, drawing, neurons, switches.

import { direct, fromTable, latency, rate, seeded } from "./encoders.js";
import { decide, runNetwork, runningScores } from "./network.js";
import { prepare, SIZE } from "./picture.js";
import { paintImage } from "./plots.js";
import { find, network, run, side, state, trained } from "./state.js";
import { show, showHidden, showInput, showNeuron } from "./views.js";

const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Run the network and show what it did, from the first timestep on or at the last. */
function compute({ play = false } = {}) {
  run();
  const steps = state.run ? state.run.input.length : 1;
  find("slider").max = steps;
  state.playing = Boolean(state.run) && play && !calm;
  state.now = state.playing ? 0 : steps - 1;
  show();
  if (state.playing) requestAnimationFrame(tick);
}

// ------------------------------------------------------------------------------------------ time

let last = 0;

function tick(time) {
  if (!state.playing || !state.run) return;
  if (time - last >= 1000 / Number(find("speed").value)) {
    last = time;
    if (state.now + 1 >= state.run.input.length) state.playing = false;
    else state.now += 1;
    show();
  }
  if (state.playing) requestAnimationFrame(tick);
}

function go(timestep) {
  if (!state.run) return;
  state.playing = false;
  state.now = Math.min(Math.max(timestep, 0), state.run.input.length - 1);
  show();
}

find("slider").addEventListener("input", (event) => go(Number(event.target.value) - 1));
find("back").addEventListener("click", () => go(state.now - 1));
find("forward").addEventListener("click", () => go(state.now + 1));
find("play").addEventListener("click", () => {
  if (!state.run) return;
  state.playing = !state.playing;
  if (state.playing && state.now + 1 >= state.run.input.length) state.now = 0;
  show();
  if (state.playing) requestAnimationFrame(tick);
});

// --------------------------------------------------------------------------------------- drawing

const paper = find("paper");
const ink = paper.getContext("2d", { willReadFrequently: true });
let pen = null;

function wipe() {
  ink.fillStyle = "black";
  ink.fillRect(0, 0, side, side);
}

function readStrokes() {
  const { data } = ink.getImageData(0, 0, side, side);
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
  ink.lineTo(x, y);
  ink.stroke();
  pen = [x, y];
  readStrokes();
  compute();
}

paper.addEventListener("pointerdown", (event) => {
  paper.setPointerCapture(event.pointerId);
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
  state.image = null;
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
  state.erased.clear();
  paper.setAttribute("aria-label", `Drawing area, with an example of the digit ${label}`);
  compute({ play: true });
}

network.examples.forEach((example) => {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", `Example: ${example.label}`);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  paintImage(canvas, example.image, SIZE);
  button.append(canvas);
  button.addEventListener("click", () => pick(example));
  find("examples").append(button);
});

// ----------------------------------------------------------------------------- neurons, switches

network.layers.slice(0, -1).forEach((layer, index) => {
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const canvas = document.createElement("canvas");
  canvas.id = `raster-${index}`;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  figure.append(caption, canvas);
  find("rasters").append(figure);
  const neurons = layer.shape.reduce((a, b) => a * b);
  const choose = (number) => {
    state.neuron = { layer: index, number: Math.min(Math.max(number, 0), neurons - 1) };
    showInput();
    showHidden();
    showNeuron();
  };
  const point = (event) => {
    const frame = canvas.getBoundingClientRect();
    choose(Math.floor(((event.clientY - frame.top) / frame.height) * neurons));
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
    if (!step) return;
    event.preventDefault();
    choose((state.neuron.layer === index ? state.neuron.number ?? -1 : -1) + step);
  });
});

const codes = [...new Set([trained.code, "latency", "rate", "direct"])];
find("code").innerHTML = codes.map((code) => `<option>${code}</option>`).join("");

function restore() {
  Object.assign(state, trained);
  find("code").value = trained.code;
  find("steps").value = trained.steps;
  find("beta").value = network.layers[0].beta[0];
  find("threshold").value = 0;
}

find("code").addEventListener("change", (event) => {
  state.code = event.target.value;
  compute();
});
find("steps").addEventListener("input", (event) => {
  state.steps = Number(event.target.value);
  compute();
});
find("beta").addEventListener("input", (event) => {
  state.beta = Number(event.target.value);
  compute();
});
find("threshold").addEventListener("input", (event) => {
  state.threshold = 2 ** Number(event.target.value);
  compute();
});
find("restore").addEventListener("click", () => {
  restore();
  compute();
});

document.documentElement.classList.toggle("small", new URLSearchParams(window.location.search).has("small"));
find("about").textContent = network.about;
restore();
wipe();
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
window.addEventListener("resize", show);
find("digit").innerHTML = "?<small></small>";
compute();

// For whoever looks from a console: the network and its functions.
window.spikemnist = { network, state, runNetwork, runningScores, decide, fromTable, latency, direct, rate, seeded, prepare };
