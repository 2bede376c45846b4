// Training in a Web Worker. Messages in: { kind: "data" | "settings" | "reset" | "run" | "pause" |
// "step" | "painted", ... }; messages out: how the training stands, with the weights.

import { direct, latency, rate, seeded } from "./encoders.js";
import { learn, moveByAdam, newAdam, newLayers, zerosLike } from "./learning.js";
import { runNetwork, scoresOf } from "./network.js";
import { assign, newCompetitiveLayer, presentImage, vote } from "./stdp.js";
import { SURROGATES } from "./surrogates.js";

const SLICE = 48; // milliseconds of training between two looks at the messages
const TESTED = 400; // images of a competition between two assignments of classes
const RULES = { gradient: () => new Gradient(data, settings), STDP: () => new Competition(data, settings) };
const CODES = { latency, rate, direct };

let [data, settings, learner, running] = [null, null, null, false];
let [painting, due, shown] = [false, false, null]; // `shown` is the learner of the latest report

const best = (scores) => scores.indexOf(Math.max(...scores));

/** Learning from labels: backpropagation through time, 32 images a step. */
class Gradient {
  constructor(data, settings) {
    this.data = data;
    this.random = seeded(settings.seed);
    const sizes = [data.images[0].length, settings.hidden, data.classes];
    this.layers = newLayers(sizes, settings, this.random);
    this.adam = newAdam(this.layers);
    this.set(settings);
    this.order = [];
    this.recent = { steps: 0, loss: 0, accuracy: 0 }; // sums since the latest report
    this.held = null;
    this.images = 0;
  }

  /** Take other settings; all but the number of hidden neurons apply to the next step. */
  set(settings) {
    const sameInput = this.settings?.code === settings.code && this.settings?.steps === settings.steps;
    this.settings = settings;
    if (!sameInput) this.inputs = [];
    for (const layer of this.layers) {
      layer.beta.fill(settings.beta);
      layer.threshold.fill(settings.threshold);
      layer.reset = settings.reset;
    }
  }

  input(i) {
    const { code, steps } = this.settings;
    if (code === "rate") return rate(this.data.images[i], steps, this.random); // drawn anew
    return (this.inputs[i] ??= CODES[code](this.data.images[i], steps));
  }

  step() {
    if (!this.order.length) this.order = shuffled(this.data.training, this.random);
    const batch = this.order.splice(0, 32);
    const gradients = zerosLike(this.layers);
    const { surrogate, width } = this.settings;
    const options = { readout: "mean_membrane", slope: (x) => SURROGATES[surrogate].derivative(x, width) };
    let [loss, right] = [0, 0];
    for (const i of batch) {
      const label = this.data.labels[i];
      const did = learn(this.layers, this.input(i), label, gradients, options, 1 / batch.length);
      loss += did.loss;
      right += best(did.scores) === label;
    }
    moveByAdam(this.layers, gradients, this.adam, this.settings.lr);
    this.images += batch.length;
    this.recent.steps += 1;
    this.recent.loss += loss / batch.length;
    this.recent.accuracy += right / batch.length;
    if (!this.order.length) this.held = this.test();
  }

  /** Return the accuracy on the images that are held out. */
  test() {
    let right = 0;
    for (let i = this.data.training; i < this.data.images.length; i++) {
      const output = runNetwork(this.layers, this.input(i)).layers.at(-1);
      right += best(scoresOf(output, "mean_membrane")) === this.data.labels[i];
    }
    return right / (this.data.images.length - this.data.training);
  }

  /** Return how the training stands; the weights in single precision. */
  report() {
    const { steps, loss, accuracy } = this.recent;
    this.recent = { steps: 0, loss: 0, accuracy: 0 };
    const layers = this.layers.map((layer) => {
      const names = ["weight", "bias", "beta", "threshold"];
      return { ...layer, ...Object.fromEntries(names.map((name) => [name, Float32Array.from(layer[name])])) };
    });
    const metrics = steps ? { loss: loss / steps, accuracy: accuracy / steps } : { loss: null, accuracy: null };
    return { images: this.images, ...metrics, held: this.held, layers };
  }
}

/** Learning without labels: competing neurons and STDP, one image a step. */
class Competition {
  constructor(data, settings) {
    this.data = data;
    this.random = seeded(settings.seed);
    this.layer = newCompetitiveLayer({
      inputs: data.images[0].length, neurons: settings.hidden, images: 2 * data.training, random: this.random,
    });
    this.order = [];
    this.counts = []; // of the latest images
    this.labels = [];
    this.images = 0;
    this.votes = null;
    this.held = null;
  }

  set() {}

  present(i, learn) {
    const { duration, timestep } = this.layer.parameters;
    const pixels = this.data.images[i];
    const draw = (gain) => rate(pixels, duration / timestep, this.random, gain);
    return presentImage(this.layer, pixels, draw, { learn });
  }

  step() {
    if (!this.order.length) this.order = shuffled(this.data.training, this.random);
    const i = this.order.pop();
    this.counts.push(this.present(i, true));
    this.labels.push(this.data.labels[i]);
    this.images += 1;
    if (this.images % TESTED) return;
    this.votes = assign(this.counts.splice(0), this.labels.splice(0), this.data.classes);
    let right = 0;
    for (let k = 0; k < TESTED / 2; k++) {
      const held = this.data.training + ((this.images / 2 + k) % (this.data.images.length - this.data.training));
      right += best(vote(this.present(held, false), this.votes)) === this.data.labels[held];
    }
    this.held = right / (TESTED / 2);
  }

  report() {
    const { weights, theta, neurons, inputs, parameters } = this.layer;
    const layer = {
      weight: weights.slice(0, inputs * neurons), bias: theta.slice(), threshold: theta.map((each) => parameters.threshold + each),
      kernel: 1, inShape: [1, 1, inputs], weighedShape: [1, 1, neurons], shape: [1, 1, neurons],
    };
    return { images: this.images, loss: null, accuracy: null, held: this.held, layers: [layer], competition: this.layer, votes: this.votes };
  }
}

/** Return the numbers 0 to length - 1 in random order. */
function shuffled(length, random) {
  const order = Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Report how the training stands; while the page paints, reports wait and become one. */
function report() {
  due = painting;
  if (painting) return;
  painting = true;
  postMessage({ ...learner.report(), epoch: learner.images / data.training, running, isNew: learner !== shown });
  shown = learner;
}

// A timer would wait for some milliseconds before the next turn.
const next = new MessageChannel();
next.port1.onmessage = turn;

function turn() {
  if (!running) return;
  const end = performance.now() + SLICE;
  while (performance.now() < end) learner.step();
  report();
  next.port2.postMessage(null);
}

const actions = {
  data: (message) => (data = message),
  settings: (message) => {
    settings = message.settings;
    learner?.set(settings);
  },
  reset: () => {
    learner = RULES[settings.rule]();
    report();
  },
  report: () => report(),
  painted: () => {
    painting = false;
    if (due) report();
  },
  run: () => {
    if (running) return;
    running = true;
    turn();
  },
  pause: () => {
    running = false;
    report();
  },
  step: () => {
    learner.step();
    report();
  },
};

self.onmessage = ({ data: message }) => actions[message.kind](message);
