// The settings that one can turn: how each is shown, and the link that holds them.

import { find, network, settings, trained } from "./state.js";
import { SURROGATES } from "./surrogates.js";

const plain = (value) => String(value);
const either = new Intl.ListFormat("en-GB", { type: "disjunction" });
const short = (value) => String(Number(value.toPrecision(2)));
// A value from the slider has two digits, so that a link holds it as it is.
const power = (low, high) => ({ low: Math.log10(low), high: Math.log10(high), step: 0.05, from: (x) => Number(short(10 ** x)), to: Math.log10, text: short });

const learns = network.digits ? "Acts on learning only: press Train." : "Acts on learning only: see the formulas of a neuron.";

/**
 * Each has the values to choose from, or a range: `from` maps the slider to the value, `to` back; `help` says
 * what it does, and `term` is its place in the glossary. The rule, without a title, is chosen by the doors.
 */
const KNOBS = {
  rule: { values: ["gradient", "STDP"] },
  code: {
    title: "Code", values: [...new Set([trained.code, "latency", "rate", "direct"])], term: "code",
    help: "How a pixel becomes spikes. Latency: the brighter, the earlier. Rate: the brighter, the more often. Direct: a current, no spikes.",
  },
  steps: {
    title: "Timesteps T", low: 1, high: 40, step: 1, term: "T",
    help: "For how many timesteps the network sees an image. More give its neurons more time to fire, and take more work.",
  },
  hidden: {
    title: "Hidden neurons", values: [16, 25, 36, 64, 100, 256], term: "hidden neurons",
    help: "The neurons between image and answer. Each has a weight for every pixel. Another number starts the training anew.",
  },
  beta: {
    title: "Beta β", low: 0, high: 1, step: 0.01, text: (value) => (value === null ? "trained" : value.toFixed(2)), term: "beta",
    help: "How much of a membrane is left after a timestep: at 0 a neuron forgets at once, at 1 it forgets nothing.",
  },
  threshold: {
    title: network.digits ? "Threshold θ" : "Threshold ×", ...power(0.05, 20), term: "threshold",
    help: `A neuron fires when its membrane is above ${network.digits ? "it" : "its threshold, here times this factor"}: the higher, the fewer spikes.`,
  },
  reset: {
    title: "Reset", values: ["subtract", "zero", "none"], term: "reset",
    help: "What a spike does to the membrane of its neuron: subtract the threshold, set it to zero, or nothing.",
  },
  surrogate: {
    title: "Surrogate", values: Object.keys(SURROGATES), term: "surrogate",
    help: `Takes the place of the slope of a spike, which is zero nearly everywhere. ${learns}`,
  },
  width: {
    title: "Its steepness", ...power(0.1, 100), term: "steepness",
    help: `How narrow the surrogate is: the steeper, the closer to its threshold a neuron must be to learn. ${learns}`,
  },
  lr: {
    title: "Learning rate", ...power(1e-5, 1), term: "learning rate",
    help: `How far the weights move after each batch of 32 images. ${learns}`,
  },
};

/** Return the steepness that a surrogate has by default, or 1 where it has none. */
const steepness = (surrogate) => SURROGATES[surrogate].steepness ?? 1;

/** Build a control for each setting that the page has; `changed(name)` is called when one is turned. */
export function buildKnobs(changed) {
  for (const [name, knob] of Object.entries(KNOBS)) {
    if (!(name in trained) || !knob.title) continue;
    const label = document.createElement("label");
    label.className = name === "hidden" ? "knob" : "knob gradient";
    label.append(knob.title);
    const control = document.createElement(knob.values ? "select" : "input");
    control.id = label.htmlFor = `knob-${name}`;
    if (knob.values) control.append(...knob.values.map((value) => new Option(plain(value).replaceAll("_", " "), value)));
    else {
      Object.assign(control, { type: "range", min: knob.low, max: knob.high, step: knob.step });
      const output = document.createElement("output");
      output.id = `knob-${name}-value`;
      label.append(output);
    }
    control.addEventListener("input", () => {
      settings[name] = knob.values ? knob.values.find((value) => plain(value) === control.value) : (knob.from ?? Number)(Number(control.value));
      if (name === "surrogate") settings.width = steepness(settings.surrogate);
      showKnobs();
      changed(name);
    });
    label.append(control);
    control.setAttribute("aria-description", knob.help);
    for (const kind of ["pointerenter", "focusin"]) label.addEventListener(kind, () => showHelp(knob));
    find("knobs").append(label);
  }
  showKnobs();
}

/** Say what a setting does, with a link to the glossary where the page stands beside one. */
function showHelp({ title, help, term }) {
  const glossary = document.querySelector('link[rel="glossary"]');
  find("help").textContent = `${title}: ${help} `;
  if (!glossary) return;
  const link = document.createElement("a");
  link.textContent = `Glossary: ${term}`;
  link.href = `${glossary.href}#term-${term.replaceAll(" ", "-")}`;
  link.target = "_top";
  find("help").append(link);
}

/** Show the settings as they are. */
export function showKnobs() {
  for (const [name, knob] of Object.entries(KNOBS)) {
    const control = find(`knob-${name}`);
    if (!control) continue;
    const value = settings[name] ?? network.layers[0].beta[0];
    control.value = knob.to ? knob.to(value) : value;
    if (!knob.values) find(`knob-${name}-value`).textContent = (knob.text ?? plain)(settings[name]);
  }
}

/** Return the part of a link that holds what differs from the settings of the page. */
export function linkOf(values) {
  const usual = { ...trained, width: steepness(values.surrogate ?? trained.surrogate) };
  return `#${new URLSearchParams(Object.entries(values).filter(([name, value]) => value !== usual[name]))}`;
}

/** Return the value that a text of a link stands for, or undefined where the knob has no such value. */
function read(knob, text) {
  if (knob.values) return knob.values.find((value) => plain(value) === text);
  const number = text.trim() ? Number(text) : NaN;
  const place = (knob.to ?? Number)(number);
  const isThere = place >= knob.low && place <= knob.high && (knob.step !== 1 || Number.isInteger(place));
  return isThere ? number : undefined;
}

/** Say why a part of a link is left out. */
function refusal(name, text, knob) {
  const said = `The link says ${name}=${text}, but `;
  if (!knob) return `${said}the page has no setting of this name.`;
  if (knob.values) return `${said}${name} can be ${either.format(knob.values.map(plain))}.`;
  const [low, high] = [knob.low, knob.high].map(knob.from ?? Number);
  return `${said}${name} can be a ${knob.step === 1 ? "whole " : ""}number from ${low} to ${high}.`;
}

/** Take the settings of a link; return a sentence about each part that is left out. */
export function takeLink(hash) {
  const [taken, refusals] = [{}, []];
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    const knob = Object.hasOwn(trained, name) ? KNOBS[name] : undefined;
    const value = knob && read(knob, text);
    if (value === undefined) refusals.push(refusal(name, text, knob));
    else taken[name] = value;
  }
  Object.assign(settings, trained, { width: steepness(taken.surrogate ?? trained.surrogate) }, taken);
  return refusals;
}
