// Pictures on canvases. Each function paints what it is given, in the colours of the page.

/** Return the colours that the style sheet has now, by day or by night. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "line", "accent", "spike", "up", "down", "card"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Return how the colours of weights are called that excite and that inhibit, by day or by night. */
export const colourNames = () => (document.documentElement.dataset.theme === "dark" ? ["light orange", "light blue"] : ["orange", "blue"]);

/** Fit a canvas to its width on the page and a height in pixels; return what paints on it. */
export function fit(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    [canvas.width, canvas.height] = [wide, high];
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** Paint grey values, and marks on the pixels that spike: `strong` now, the others before. */
export function paintImage(canvas, image, side, { now = [], before = [] } = {}) {
  const context = canvas.getContext("2d");
  const cell = canvas.width / side;
  const { spike } = colours();
  context.clearRect(0, 0, canvas.width, canvas.height);
  image.forEach((grey, i) => {
    context.fillStyle = `rgb(${grey},${grey},${grey})`;
    context.fillRect((i % side) * cell, Math.floor(i / side) * cell, cell, cell);
  });
  context.fillStyle = spike;
  for (const [events, alpha] of [[before, 0.35], [now, 1]]) {
    context.globalAlpha = alpha;
    for (const i of events)
      context.fillRect((i % side) * cell + 1, Math.floor(i / side) * cell + 1, cell - 2, cell - 2);
  }
  context.globalAlpha = 1;
}

/** Paint signed weights, side x side: one colour above zero, another below; frame some of them. */
export function paintWeights(canvas, weights, side, framed = []) {
  const context = canvas.getContext("2d");
  const { up, down, ink } = colours();
  const [cell, most] = [canvas.width / side, Math.max(1e-9, ...weights.map(Math.abs))];
  context.clearRect(0, 0, canvas.width, canvas.height);
  weights.forEach((weight, i) => {
    context.globalAlpha = Math.abs(weight) / most;
    context.fillStyle = weight > 0 ? up : down;
    context.fillRect((i % side) * cell, Math.floor(i / side) * cell, cell, cell);
  });
  context.globalAlpha = 1;
  context.strokeStyle = ink;
  context.lineWidth = 1;
  for (const i of framed)
    context.strokeRect((i % side) * cell + 0.5, Math.floor(i / side) * cell + 0.5, cell - 1, cell - 1);
}

/** Frame a square of an image, side pixels wide. */
export function frame(canvas, side, { top, left, size }) {
  const context = canvas.getContext("2d");
  const cell = canvas.width / side;
  context.strokeStyle = colours().spike;
  context.lineWidth = 2;
  context.strokeRect(left * cell, top * cell, size * cell, size * cell);
}

/** Paint the spikes of a layer up to a timestep: time to the right, neurons downward. */
export function paintRaster(canvas, spikes, neurons, now, chosen) {
  const rows = Math.min(Math.max(4 * neurons, 60), 280);
  const { context, width, height } = fit(canvas, rows);
  const { spike, line, accent } = colours();
  const [column, row] = [width / spikes.length, height / neurons];
  context.fillStyle = line;
  if (column > 12) for (let t = 1; t < spikes.length; t++) context.fillRect(t * column, 0, 1, height);
  const radius = Math.min(Math.max(row / 2, 1.2), 4);
  context.fillStyle = spike;
  spikes.slice(0, now + 1).forEach((events, t) => {
    context.beginPath();
    for (const neuron of events) {
      const [x, y] = [(t + 0.5) * column, (neuron + 0.5) * row];
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
    context.fill();
  });
  context.fillStyle = accent;
  context.globalAlpha = 0.18;
  context.fillRect(now * column, 0, column, height);
  context.globalAlpha = 1;
  if (chosen !== null) {
    context.strokeStyle = accent;
    context.lineWidth = 1.5;
    const high = Math.max(row, 2 * radius);
    context.strokeRect(0.75, Math.max(0.75, (chosen + 0.5) * row - high / 2 - 1), width - 1.5, high + 2);
  }
}

/** Paint one membrane up to a timestep into a box, with its threshold and its spikes. */
export function paintMembrane(context, box, { values, threshold, spikes, now, range, label, bold }) {
  const palette = colours();
  const x = (t) => box.x + ((t + 0.5) / values.length) * box.width;
  const y = (value) => {
    const share = (Math.min(Math.max(value, range[0]), range[1]) - range[0]) / (range[1] - range[0]);
    return box.y + box.height - share * box.height;
  };
  context.strokeStyle = palette.line;
  context.lineWidth = 1;
  context.strokeRect(box.x, box.y, box.width, box.height);
  context.strokeStyle = palette.soft;
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(box.x, y(threshold));
  context.lineTo(box.x + box.width, y(threshold));
  context.stroke();
  context.setLineDash([]);
  context.strokeStyle = palette.accent;
  context.lineWidth = bold ? 2.5 : 1.5;
  context.beginPath();
  values.slice(0, now + 1).forEach((value, t) => context.lineTo(x(t), y(value)));
  context.stroke();
  context.fillStyle = palette.spike;
  for (let t = 0; t <= now; t++)
    if (spikes[t]) {
      context.beginPath();
      context.arc(x(t), y(values[t]), 3.2, 0, 2 * Math.PI);
      context.fill();
    }
  context.fillStyle = bold ? palette.ink : palette.soft;
  context.font = `${bold ? "700 " : ""}13px system-ui, sans-serif`;
  context.fillText(label, box.x + 5, box.y + 15);
}

/** Paint a bar for each class from zero to its score, with the scale at the left. */
export function paintScores(canvas, scores, names, best) {
  const below = Math.max(...names.map((name) => name.length)) > 2 ? 84 : 20; // long names stand upright
  const { context, width, height } = fit(canvas, 96 + below);
  const { ink, soft, accent, line } = colours();
  const [low, high] = [Math.min(0, ...scores), Math.max(0, ...scores)];
  const [left, top, bottom] = [44, 8, height - below];
  const y = (value) => bottom - ((value - low) / (high - low || 1)) * (bottom - top);
  const column = (width - left) / scores.length;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "right";
  for (const value of new Set([0, low, high])) {
    context.fillStyle = line;
    context.fillRect(left, y(value), width - left, 1);
    context.fillStyle = soft;
    if (value === 0 || Math.abs(y(value) - y(0)) > 14) context.fillText(Number(value.toPrecision(2)), left - 5, y(value) + 4);
  }
  context.textAlign = below > 20 ? "right" : "center";
  scores.forEach((score, i) => {
    context.fillStyle = i === best ? accent : soft;
    context.fillRect(left + i * column + 3, Math.min(y(0), y(score)), column - 6, Math.max(Math.abs(y(score) - y(0)), 1));
    context.fillStyle = i === best ? ink : soft;
    context.font = `${i === best ? "700 " : ""}13px system-ui, sans-serif`;
    context.save();
    context.translate(left + (i + 0.5) * column, height - below);
    if (below > 20) context.rotate(-Math.PI / 2);
    context.fillText(names[i].slice(0, 12), ...(below > 20 ? [-6, 4] : [0, 16]));
    context.restore();
  });
  context.textAlign = "start";
}

/** Paint a surrogate derivative, and where a membrane stands on it at each timestep; `now` is strong. */
export function paintSurrogate(canvas, slope, distances, now) {
  const { context, width, height } = fit(canvas, 100);
  const { soft, accent, spike, line } = colours();
  const reach = Math.max(1, ...distances.map(Math.abs)) * 1.1;
  const at = Array.from({ length: 201 }, (_, i) => slope(reach * (i / 100 - 1)));
  const [low, high] = [Math.min(0, ...at), Math.max(1e-9, ...at)];
  const x = (value) => ((value / reach + 1) / 2) * width;
  const y = (value) => height - 18 - ((value - low) / (high - low)) * (height - 26);
  context.fillStyle = line;
  context.fillRect(x(0), 0, 1, height - 18);
  context.strokeStyle = accent;
  context.lineWidth = 1.5;
  context.beginPath();
  at.forEach((value, i) => context.lineTo((i / 200) * width, y(value)));
  context.stroke();
  distances.forEach((distance, t) => {
    context.globalAlpha = t === now ? 1 : 0.35;
    context.fillStyle = spike;
    context.beginPath();
    context.arc(x(distance), y(slope(distance)), t === now ? 5 : 3, 0, 2 * Math.PI);
    context.fill();
  });
  context.globalAlpha = 1;
  context.fillStyle = soft;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText("U = θ", x(0), height - 4);
  context.textAlign = "start";
}

/** Paint loss, accuracy in training and accuracy on held-out images over the images learned. */
export function paintCurves(canvas, { images, loss, accuracy, held }) {
  const { context, width, height } = fit(canvas, 126);
  const { soft, accent, spike, line, ink } = colours();
  const [left, right, top, bottom] = [34, width - 42, 22, height - 20];
  const last = Math.max(images.at(-1) ?? 0, 1);
  const learnsLabels = !loss.length || loss.some((value) => value !== null);
  const most = Math.max(2.5, ...loss.slice(-200));
  const x = (value) => left + (value / last) * (right - left);
  const y = (share) => bottom - Math.min(Math.max(share, 0), 1) * (bottom - top);
  context.font = "12px system-ui, sans-serif";
  for (const share of [0, 0.5, 1]) {
    context.fillStyle = line;
    context.fillRect(left, y(share), right - left, 1);
    context.fillStyle = soft;
    context.textAlign = "right";
    if (learnsLabels) context.fillText(Number((share * most).toPrecision(2)), left - 4, y(share) + 4);
    context.textAlign = "left";
    context.fillText(`${100 * share} %`, right + 3, y(share) + 4);
  }
  const curve = (values, colour, wide, dashes = []) => {
    context.strokeStyle = colour;
    context.lineWidth = wide;
    context.setLineDash(dashes);
    context.beginPath();
    values.forEach((value, i) => value !== null && context.lineTo(x(images[i]), y(value)));
    context.stroke();
    context.setLineDash([]);
  };
  curve(loss.map((value) => value && value / most), spike, 1.5);
  curve(accuracy, accent, 1.5);
  curve(held, ink, 2, [5, 3]);
  const words = learnsLabels ? [["loss (left)", spike], ["accuracy in training", accent], ["held out", ink]] : [["accuracy on digits held out, by vote", ink]];
  let place = left;
  for (const [word, colour] of words) {
    context.fillStyle = colour;
    context.fillText(word, place, 13);
    place += context.measureText(word).width + 16;
  }
  context.fillStyle = soft;
  context.textAlign = "right";
  context.fillText(`${(images.at(-1) ?? 0).toLocaleString("en")} images`, right, height - 4);
  context.textAlign = "start";
}

const LEVELS = 128; // of a weight of either sign

/** Return the colours of weights, four bytes each, from the lowest to the highest. */
function weightColours() {
  const { up, down, card } = colours();
  const [high, low, ground] = [up, down, card].map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  const bytes = new Uint8ClampedArray(4 * (2 * LEVELS + 1)).fill(255);
  for (let level = -LEVELS; level <= LEVELS; level++)
    for (let k = 0; k < 3; k++)
      bytes[4 * (level + LEVELS) + k] = ground[k] + Math.abs(level / LEVELS) * ((level > 0 ? high : low)[k] - ground[k]);
  return new Uint32Array(bytes.buffer);
}

/** Paint the weights of neurons of a first layer, each as an image, in rows of `columns`, with gaps between them. */
export function paintFields(canvas, { weight, bias }, neurons, columns) {
  const [side, cell, step] = [28, 32, bias.length];
  const [width, height] = [columns * cell, Math.ceil(neurons.length / columns) * cell];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  const [words, palette] = [new Uint32Array(pixels.data.buffer), weightColours()];
  neurons.forEach((n, place) => {
    let most = 1e-9;
    for (let i = n; i < weight.length; i += step) most = Math.max(most, Math.abs(weight[i]));
    let to = (Math.floor(place / columns) * cell + 2) * width + (place % columns) * cell + 2;
    for (let y = 0, from = n; y < side; y++, to += width - side)
      for (let x = 0; x < side; x++, from += step) words[to++] = palette[Math.round((weight[from] / most) * LEVELS) + LEVELS];
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
