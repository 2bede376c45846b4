// The network as a picture: the image, the receptive fields of the hidden neurons, the classes, the strongest
// weights between them as lines, and the spikes of a timestep, which run along the lines.

import { membraneOf } from "./formula.js";
import { byClass } from "./network.js";
import { SIZE } from "./picture.js";
import { colourNames, colours, fit, paintFields, paintMembrane } from "./plots.js";
import { calm, find, network, pictureStep, state } from "./state.js";

const TALL = 560; // width below which the picture goes downward
const HEIGHT = 330;
const SMALLEST = 16; // pixels of a field
const MOST = 256; // hidden neurons
const LINES = 2; // of a hidden neuron, from pixels and to classes
const ALL_LINES = 150; // of all of them, from pixels or to classes
const CHOSEN_LINES = 24;

const pixels = Array.from({ length: SIZE * SIZE }, (_, i) => i);
const sheet = document.createElement("canvas"); // of all fields
let [shown, painted, layout] = [{ layer: null, neurons: [] }, "", null];

/** Say whether the network can be drawn: with one hidden layer, which sees all pixels. */
export const isDrawn = () => network.hidden === 1 && (network.layers[0]?.inShape.join() ?? "1,1,784") === "1,1,784";

/** Return the hidden neurons to draw: all, or those with the largest weights, since the others look like noise. */
function neuronsOf({ weight, bias }) {
  const neurons = Array.from(bias, (_, n) => n);
  if (neurons.length <= MOST) return neurons;
  const sizes = new Float64Array(neurons.length);
  weight.forEach((value, i) => (sizes[i % neurons.length] += value * value));
  return neurons.sort((a, b) => sizes[b] - sizes[a]).slice(0, MOST).sort((a, b) => a - b);
}

/** Return in how many columns fields are as large as a room allows, and how large. */
function arrange(neurons, width, height) {
  const cellOf = (columns) => Math.min(width / columns, Math.max(height / Math.ceil(neurons / columns), SMALLEST), 60);
  const merit = (columns) => cellOf(columns) * (neurons % columns ? 0.9 : 1); // rather full rows
  const possible = Array.from({ length: Math.min(neurons, Math.floor(width / SMALLEST)) }, (_, i) => i + 1);
  const columns = possible.reduce((best, more) => (merit(more) >= merit(best) ? more : best));
  return { columns, cell: cellOf(columns), rows: Math.ceil(neurons / columns) };
}

/** Return where image, fields and classes stand: from left to right, or downward where that is too narrow. */
function layOut(width, neurons) {
  const classes = network.classes.length;
  if (width < TALL) {
    const [side, gap] = [Math.min(0.3 * width, 130), 0.13 * width];
    const { columns, cell, rows } = arrange(neurons, width, width < 400 ? 90 : 250);
    const [left, top, bottom] = [(width - side) / 2, side + gap, side + 2 * gap + rows * cell];
    const [free, x] = [Math.min(left - 10, side), (width - columns * cell) / 2];
    return {
      isTall: true, height: bottom + 50, columns, cell, x, y: top,
      image: { x: left, y: 0, side }, field: { x: 0, y: 0, side: free },
      trace: { x: left + side + 10, y: 1, width: left - 12, height: free - 2 },
      output: (c) => [((c + 0.5) * width) / classes, bottom],
    };
  }
  const [side, gap, names] = [Math.min(0.23 * width, 150), 0.09 * width, 92];
  const room = width - side - 2 * gap - names;
  const { columns, cell, rows } = arrange(neurons, room, HEIGHT);
  const height = Math.max(HEIGHT, rows * cell);
  const [top, x] = [(height - side) / 2, side + gap + (room - columns * cell) / 2];
  const free = Math.min(top - 10, side);
  return {
    isTall: false, height, columns, cell, x, y: (height - rows * cell) / 2,
    image: { x: 0, y: top, side }, field: { x: 0, y: 0, side: free },
    trace: { x: 1, y: top + side + 10, width: side - 2, height: free - 2 },
    output: (c) => [width - names + 10, ((c + 0.5) * height) / classes],
  };
}

/** Return the corner of the field of a hidden neuron. */
function cornerOf(n) {
  const place = shown.neurons.indexOf(n);
  return [layout.x + (place % layout.columns) * layout.cell, layout.y + Math.floor(place / layout.columns) * layout.cell];
}

/** Return where a line from a pixel ends at a field, `share` 0, or one to a class begins, 1. */
function edgeOf(n, share) {
  const [x, y] = cornerOf(n);
  const [across, along] = [0.5 * layout.cell, share * layout.cell];
  return layout.isTall ? [x + across, y + along] : [x + along, y + across];
}

function placeOf(pixel) {
  const { x, y, side } = layout.image;
  return [x + ((pixel % SIZE) + 0.5) * (side / SIZE), y + (Math.floor(pixel / SIZE) + 0.5) * (side / SIZE)];
}

/** Return the `count` numbers of `from` with the largest weights of either sign, with their weights. */
export function strongest(count, from, weightOf) {
  const found = [];
  for (const i of from) {
    const weight = weightOf(i);
    if (found.length === count && Math.abs(weight) <= Math.abs(found.at(-1).weight)) continue;
    const place = found.findIndex((other) => Math.abs(other.weight) < Math.abs(weight));
    found.splice(place < 0 ? found.length : place, 0, { i, weight });
    if (found.length > count) found.pop();
  }
  return found;
}

/** Return what a spike of a hidden neuron does to each class: by its weights, or by its vote. */
function classWeights(n) {
  const { competition, votes, population, layers } = network;
  if (competition) return votes ? votes.shares.proportional.map((share) => share[n]) : [];
  const { weight, bias } = layers[1];
  return byClass(weight.subarray(n * bias.length, (n + 1) * bias.length), population);
}

/** Return lines from pixels of the image, those that take part in it, to a hidden neuron. */
function linesInto(n, count, lit) {
  const { weight, bias } = network.layers[0];
  const end = edgeOf(n, 0);
  return strongest(count, lit, (i) => weight[i * bias.length + n]).map(({ i, weight }) => ({ source: i, weight, start: placeOf(i), end }));
}

/** Return lines from a hidden neuron to classes. */
function linesOut(n, count) {
  const [weights, start] = [classWeights(n), edgeOf(n, 1)];
  return strongest(count, weights.keys(), (c) => weights[c]).map(({ i, weight }) => ({ source: n, weight, start, end: layout.output(i) }));
}

/** Return all lines from pixels and all lines to classes that belong to the chosen neuron. */
function linesOfChosen({ layer, number }, lit) {
  if (number === null || (layer === 0 && !shown.neurons.includes(number))) return [[], []];
  if (layer === 0) return [linesInto(number, CHOSEN_LINES, lit), linesOut(number, network.classes.length)];
  const c = Math.floor(number / network.population);
  const end = layout.output(c);
  const found = strongest(CHOSEN_LINES, shown.neurons, (n) => classWeights(n)[c]);
  return [[], found.map(({ i, weight }) => ({ source: i, weight, start: edgeOf(i, 1), end }))];
}

const strength = ({ weight }) => Math.abs(weight);

/** Paint lines around the image: the stronger, the thicker; those whose source fires are clear. */
function paintLines(context, lines, firing, opacity) {
  const { up, down } = colours();
  const most = Math.max(1e-9, ...lines.map(strength));
  const { x, y, side } = layout.image;
  const around = new Path2D();
  around.rect(0, 0, context.canvas.width, context.canvas.height);
  around.rect(x, y, side, side);
  context.save();
  context.clip(around, "evenodd"); // lines would hide the image
  for (const line of lines) {
    const share = strength(line) / most;
    context.globalAlpha = firing.has(line.source) ? Math.max(opacity, 0.6) : opacity * (0.25 + 0.75 * share);
    context.strokeStyle = line.weight > 0 ? up : down;
    context.lineWidth = 0.5 + 1.5 * share;
    context.beginPath();
    context.moveTo(...line.start);
    context.lineTo(...line.end);
    context.stroke();
  }
  context.restore();
}

/** Paint the spikes that are on lines, `along` of the way; none where it is null. */
function paintSpikes(context, lines, firing, along) {
  if (along === null) return;
  const { up, down, card } = colours();
  context.strokeStyle = card;
  context.lineWidth = 1;
  for (const { source, weight, start, end } of lines) {
    if (!firing.has(source)) continue;
    context.fillStyle = weight > 0 ? up : down;
    context.beginPath();
    context.arc(start[0] + along * (end[0] - start[0]), start[1] + along * (end[1] - start[1]), 3.5, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

/** Paint the fields; frame those that fire and the chosen one, and write the class of each that has one. */
function paintHidden(context, firing) {
  const { columns, cell, x, y } = layout;
  const key = [columns, document.documentElement.dataset.theme].join();
  if (shown.isNew || painted !== key) paintFields(sheet, network.layers[0], shown.neurons, columns);
  [shown.isNew, painted] = [false, key];
  context.drawImage(sheet, x, y, columns * cell, (sheet.height / sheet.width) * columns * cell);
  const { spike, accent, ink } = colours();
  const ring = (n, colour, width) => {
    const [left, top] = cornerOf(n);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(left + 1, top + 1, cell - 2, cell - 2);
  };
  for (const n of shown.neurons) if (firing.has(n)) ring(n, spike, 1.5);
  const { layer, number } = state.neuron;
  if (layer === 0 && shown.neurons.includes(number)) ring(number, accent, 3);
  context.fillStyle = ink;
  context.font = `700 ${Math.max(0.3 * cell, 9)}px system-ui, sans-serif`;
  if (cell >= 26) network.votes?.classOf.forEach((label, n) => {
    if (label >= 0 && shown.neurons.includes(n)) context.fillText(network.classes[label], cornerOf(n)[0] + 3, cornerOf(n)[1] + 0.3 * cell + 4);
  });
}

/** Paint a neuron, its name and its score for each class, from the lowest to the highest. */
function paintClasses(context, firing) {
  const { run, now } = state;
  const { ink, soft, line, accent, spike, card } = colours();
  const scores = run?.scores[now] ?? network.classes.map(() => 0);
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  network.classes.forEach((name, c) => {
    const [x, y] = layout.output(c);
    const isBest = run?.decisions[now] === c && high > low;
    const isChosen = state.neuron.layer === 1 && Math.floor(state.neuron.number / network.population) === c;
    const share = high > low ? (scores[c] - low) / (high - low) : 0;
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.fillStyle = firing.has(c) ? spike : card;
    context.strokeStyle = isChosen || isBest ? accent : soft;
    context.lineWidth = isChosen ? 3.5 : 2;
    context.fill();
    context.stroke();
    context.fillStyle = isBest ? ink : soft;
    context.font = `${isBest ? "700 " : ""}${layout.isTall ? 12 : 14}px system-ui, sans-serif`;
    context.textAlign = layout.isTall ? "center" : "left";
    const bar = (length) => (layout.isTall ? [x - 4, y + 26, 8, length * 20] : [x + 13, y + 7, length * 60, 4]);
    context.fillText(name.slice(0, layout.isTall ? 4 : 11), ...(layout.isTall ? [x, y + 21] : [x + 13, y + 3]));
    context.fillStyle = line;
    context.fillRect(...bar(1));
    context.fillStyle = isBest ? accent : soft;
    context.fillRect(...bar(share));
  });
  context.textAlign = "start";
}

/** Paint the weights and the membrane of the chosen neuron, in the room beside the image. */
function paintChosen(context) {
  const { run, now, neuron: { layer, number } } = state;
  if (number === null) return;
  const { x, y, side } = layout.field;
  context.imageSmoothingEnabled = false;
  context.drawImage(find("field"), x, y, side, side);
  context.imageSmoothingEnabled = true;
  context.strokeStyle = colours().accent;
  context.lineWidth = 2;
  context.strokeRect(x + 1, y + 1, side - 2, side - 2);
  const label = layer ? `class ${network.classes[Math.floor(number / network.population)]}` : `neuron ${number}`;
  if (run) paintMembrane(context, layout.trace, { ...membraneOf(layer, number), now, label, bold: true });
}

/** Return the numbers that fire at this timestep, or since the picture before it: pixels, hidden neurons, classes. */
function firingNow() {
  const { run, now } = state;
  if (!run) return [new Set(), new Set(), new Set()];
  const lately = (rows) => new Set(rows.slice(Math.max(now + 1 - pictureStep(), 0), now + 1).flat());
  const output = network.competition ? new Set() : lately(run.layers[1].spikes);
  const counts = byClass(Array.from({ length: network.classes.length * network.population }, (_, n) => Number(output.has(n))), network.population);
  return [lately(run.input.map(({ events }) => events)), lately(run.layers[0].spikes), new Set([...counts.keys()].filter((c) => counts[c] >= 0.5))];
}

/** Draw the network at this timestep. */
export function showGraph() {
  const layer = network.layers[0];
  if (!isDrawn() || !layer) return;
  if (shown.layer !== layer) shown = { layer, neurons: neuronsOf(layer), isNew: true };
  const canvas = find("graph");
  layout = layOut(canvas.clientWidth || 300, shown.neurons.length);
  const { context } = fit(canvas, layout.height);
  const { x, y, side } = layout.image;
  Object.assign(find("image").style, { left: `${x}px`, top: `${y}px`, width: `${side}px` });
  const { run, now, phase, playing, neuron } = state;
  const lit = run ? new Set(run.input.flatMap(({ events }) => events)) : pixels;
  const [input, hidden, output] = firingNow();
  // In the first half of a timestep its spikes run to the hidden neurons, in the second half from there on.
  const runs = playing && !calm.matches;
  const isCurrent = Boolean(run?.input[now].amounts);
  const alongInto = isCurrent || (runs && phase >= 0.5) ? null : runs ? 2 * phase : 0.6;
  const alongOut = runs && phase < 0.5 ? null : runs ? 2 * phase - 1 : 0.6;
  const some = (lines) => lines.sort((a, b) => strength(b) - strength(a)).slice(0, ALL_LINES);
  const into = some(shown.neurons.flatMap((n) => linesInto(n, LINES, lit)));
  const out = some(shown.neurons.flatMap((n) => linesOut(n, LINES)));
  const [chosenInto, chosenOut] = linesOfChosen(neuron, lit);
  const opacity = neuron.number === null ? 0.35 : 0.12;
  paintLines(context, into, input, opacity);
  paintLines(context, out, hidden, opacity);
  paintHidden(context, hidden);
  paintLines(context, chosenInto, input, 1);
  paintLines(context, chosenOut, hidden, 1);
  paintSpikes(context, [...into, ...chosenInto], input, alongInto);
  paintSpikes(context, [...out, ...chosenOut], hidden, alongOut);
  paintClasses(context, output);
  paintChosen(context);
  describe(canvas, input, hidden);
}

/** Say in words what the picture shows. */
function describe(canvas, input, hidden) {
  const [up, down] = colourNames();
  const all = network.layers[0].bias.length;
  const some = shown.neurons.length < all ? ` Of ${all} hidden neurons, the ${MOST} with the largest weights.` : "";
  const legend = network.competition
    ? `Lines: strongest weights, and votes. Dots: spikes. Framed neurons fire.${some}`
    : `Strongest weights: ${up} excites, ${down} inhibits. Dots: spikes. Framed neurons fire.${some}`;
  if (find("legend").textContent !== legend) find("legend").textContent = legend; // or the page is laid out again
  canvas.setAttribute("aria-label", `Network of ${SIZE * SIZE} pixels, ${all} hidden neurons and ${network.classes.length} classes: `
    + `${input.size} pixels and ${hidden.size} hidden neurons fire now. Arrow keys choose a hidden neuron.`);
}

/** Return the neuron of the picture at a place in it, or null. */
export function neuronAt(x, y) {
  if (!layout) return null;
  const [column, row] = [Math.floor((x - layout.x) / layout.cell), Math.floor((y - layout.y) / layout.cell)];
  const number = column >= 0 && column < layout.columns && row >= 0 ? shown.neurons[row * layout.columns + column] : undefined;
  if (number !== undefined) return { layer: 0, number };
  if (network.competition) return null;
  const c = network.classes.findIndex((_, c) => Math.hypot(layout.output(c)[0] - x, layout.output(c)[1] - y) < 16);
  return c < 0 ? null : { layer: 1, number: c * network.population };
}

/** Return how many fields stand in a row. */
export const fieldColumns = () => layout?.columns ?? 1;
