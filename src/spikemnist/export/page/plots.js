// Pictures on canvases. Each function paints what it is given, in the colours of the page.

/** Return the colours that the style sheet has now, by day or by night. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "soft", "line", "accent", "spike", "up", "down", "card", "chalk"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

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
  const { up, down, chalk } = colours();
  const [cell, most] = [canvas.width / side, Math.max(1e-9, ...weights.map(Math.abs))];
  context.clearRect(0, 0, canvas.width, canvas.height);
  weights.forEach((weight, i) => {
    context.globalAlpha = Math.abs(weight) / most;
    context.fillStyle = weight > 0 ? up : down;
    context.fillRect((i % side) * cell, Math.floor(i / side) * cell, cell, cell);
  });
  context.globalAlpha = 1;
  context.strokeStyle = chalk;
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
  const rows = Math.min(Math.max(neurons, 60), 260);
  const { context, width, height } = fit(canvas, rows);
  const { spike, line, accent } = colours();
  const [column, row] = [width / spikes.length, height / neurons];
  context.fillStyle = line;
  for (let t = 1; t < spikes.length; t++) context.fillRect(t * column, 0, 1, height);
  const [wide, high] = [Math.max(2, 0.6 * column), Math.max(1.5, row - 0.5)];
  context.fillStyle = spike;
  spikes.slice(0, now + 1).forEach((events, t) => {
    const x = (t + 0.5) * column - wide / 2;
    for (const neuron of events) context.fillRect(x, neuron * row, wide, high);
  });
  context.fillStyle = accent;
  context.globalAlpha = 0.18;
  context.fillRect(now * column, 0, column, height);
  context.globalAlpha = 1;
  if (chosen !== null) {
    context.strokeStyle = accent;
    context.lineWidth = 1.5;
    context.strokeRect(0.75, Math.max(0.75, chosen * row - 1), width - 1.5, Math.max(high + 2, 3));
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

/** Paint a bar for each class: how far its score is above the lowest. */
export function paintScores(canvas, scores, best) {
  const { context, width, height } = fit(canvas, 84);
  const { ink, soft, accent, line } = colours();
  const [low, high] = [Math.min(...scores), Math.max(...scores)];
  const column = width / scores.length;
  scores.forEach((score, i) => {
    const tall = high > low ? ((score - low) / (high - low)) * (height - 22) : 0;
    context.fillStyle = i === best ? accent : line;
    context.fillRect(i * column + 3, height - 18 - tall, column - 6, Math.max(tall, 1));
    context.fillStyle = i === best ? ink : soft;
    context.font = `${i === best ? "700 " : ""}13px system-ui, sans-serif`;
    context.textAlign = "center";
    context.fillText(String(i), (i + 0.5) * column, height - 3);
  });
  context.textAlign = "start";
}
