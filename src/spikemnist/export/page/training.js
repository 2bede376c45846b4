// The panel of the playground: training in a worker, its curves, the two doors, the lessons.

import { buildKnobs, linkOf, showKnobs, takeLink } from "./knobs.js";
import { paintCurves } from "./plots.js";
import { find, network, settings } from "./state.js";

/** Links to networks that ask why. */
const LESSONS = [
  {
    title: "Silent",
    set: { threshold: 3, surrogate: "heaviside" },
    text: "No hidden neuron fires, and the accuracy stays at a guess. The derivative of heaviside is 0 below the threshold: which gradient do the weights get? Choose another surrogate, and watch the neurons wake.",
  },
  {
    title: "Saturated",
    set: { beta: 1, threshold: 0.05, reset: "none" },
    text: "Many hidden neurons fire at every timestep, the others never, and yet the network learns. What do the output neurons read, if not time? Count the spikes that it costs.",
  },
  {
    title: "Too fast",
    set: { lr: 1 },
    text: "The loss jumps far above 2.3, the loss of a guess. Divide the learning rate by ten, again and again: where does it learn best?",
  },
  {
    title: "Too slow",
    set: { lr: 1e-5 },
    text: "The loss hardly moves. After how many images would it be where a learning rate of 0.01 is after 2,000?",
  },
];

const POINTS = 1000; // of a curve
const curves = { images: [], loss: [], accuracy: [], held: [] };
let [worker, running, changed] = [null, false, () => {}];

const tell = (kind, contents = {}) => worker.postMessage({ kind, ...contents });

/** Read the digits of the page: they are compressed, images first, then labels. */
async function readDigits() {
  const packed = Uint8Array.from(atob(network.digits.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const all = new Uint8Array(await new Response(stream).arrayBuffer());
  const { number, training } = network.digits;
  const images = Array.from({ length: number }, (_, i) => all.subarray(784 * i, 784 * (i + 1)));
  return { images, labels: all.subarray(784 * number), training, classes: network.classes.length };
}

/** Show how the training stands: the network of the page is now the one of the worker. */
function take({ data }) {
  // The worker waits for this answer with its next report, so that none queue before a slow page.
  requestAnimationFrame(() => tell("painted"));
  Object.assign(network, { layers: data.layers, competition: data.competition, votes: data.votes });
  document.documentElement.classList.toggle("competes", Boolean(data.competition));
  running = data.running;
  if (data.isNew) for (const values of Object.values(curves)) values.length = 0;
  if (data.images > (curves.images.at(-1) ?? 0)) for (const name of Object.keys(curves)) curves[name].push(data[name]);
  // Old points are thinned out, so that a long training is painted as fast as a short one.
  if (curves.images.length > POINTS) for (const name of Object.keys(curves)) curves[name] = curves[name].filter((_, i) => i % 2);
  showTraining(data);
  changed();
}

function showTraining({ epoch }) {
  const [loss, accuracy, held] = [curves.loss, curves.accuracy, curves.held].map((values) => values.at(-1) ?? null);
  find("run").textContent = running ? "Pause" : "Train";
  const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);
  find("metrics").innerHTML = [
    ["Epoch", epoch.toFixed(1)],
    ...(network.competition ? [["Images", curves.images.at(-1) ?? 0]] : [
      ["Loss", loss === null ? "–" : loss.toFixed(2)],
      ["Accuracy in training", percent(accuracy)],
    ]),
    [`On ${network.digits.number - network.digits.training} digits held out`, percent(held)],
  ].map(([name, value]) => `<div><dt>${name}</dt><dd>${value}</dd></div>`).join("");
  paintCurves(find("curves"), curves);
  find("curves").setAttribute("aria-label", `Loss and accuracy over ${curves.images.at(-1) ?? 0} images`);
}

/** Show by which door one came: whether the network learns with labels or without. */
function showDoors() {
  for (const door of find("doors").children) door.setAttribute("aria-pressed", door.dataset.rule === settings.rule);
}

/** Start the panel; `refresh` is called when the network has changed. */
export async function startTraining(refresh) {
  changed = refresh;
  const code = new Blob([find("worker").textContent], { type: "text/javascript" });
  worker = new Worker(URL.createObjectURL(code));
  const apply = (name) => {
    history.replaceState(null, "", linkOf(settings));
    tell("settings", { settings: { ...settings, seed: 0 } });
    tell(["rule", "hidden"].includes(name) ? "reset" : "report");
  };
  buildKnobs(apply);
  takeLink(location.hash);
  showKnobs();
  showDoors();
  worker.onmessage = take;
  worker.onerror = (event) => (find("lesson").textContent = `The training stopped: ${event.message}`);
  tell("data", await readDigits());
  tell("settings", { settings: { ...settings, seed: 0 } });
  tell("reset");
  find("run").addEventListener("click", () => tell(running ? "pause" : "run"));
  find("one").addEventListener("click", () => tell("step"));
  find("reset").addEventListener("click", () => tell("reset"));
  find("doors").addEventListener("click", (event) => {
    settings.rule = event.target.closest("button")?.dataset.rule ?? settings.rule;
    showDoors();
    apply("rule");
  });
  LESSONS.forEach(({ title, set, text }) => {
    const link = document.createElement("a");
    link.textContent = title;
    link.href = linkOf(set);
    link.dataset.text = text;
    find("lessons").append(link);
  });
  window.addEventListener("hashchange", open);
  open();
}

/** Take the settings of the link, and say the sentence of its lesson, or what the page does not understand. */
function open() {
  const refusals = takeLink(location.hash);
  showKnobs();
  showDoors();
  tell("settings", { settings: { ...settings, seed: 0 } });
  tell("reset");
  const lesson = [...find("lessons").children].find((link) => link.hash === location.hash);
  find("lesson").textContent = lesson ? lesson.dataset.text : refusals.join(" ");
}
