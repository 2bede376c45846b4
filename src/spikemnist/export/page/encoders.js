// From grey values, 0 to 255, to the input of the network at each timestep, as Python's encoders.
// Each returns, for every timestep, { events: numbers of pixels, amounts: their values or null }.

import { round } from "./network.js";

/** Whole numbers in place of halves go to the even neighbour, as in Python. */
function roundHalfEven(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 ? floor + 1 : floor;
}

/** Look every pixel up in a table, made in Python, of what a grey value does at a timestep. */
export function fromTable(pixels, table) {
  return table.map((row) => {
    const events = [];
    pixels.forEach((grey, i) => row[grey] && events.push(i));
    const isGrey = row.some((value) => value !== 0 && value !== 1);
    return { events, amounts: isGrey ? events.map((i) => row[pixels[i]]) : null };
  });
}

/** Brighter pixels fire earlier, once; the darkest that fires does so at the last timestep. */
export function latency(pixels, steps) {
  const input = Array.from({ length: steps }, () => ({ events: [], amounts: null }));
  pixels.forEach((grey, i) => {
    const x = round(grey / 255);
    if (x < round(0.01)) return;
    const time = Math.min(round(round(x - 1) * -(steps - 1)), 0.99 * (steps - 1));
    input[roundHalfEven(round(time))].events.push(i);
  });
  return input;
}

/** Each pixel fires at random, white ones with probability `gain`. `random` returns numbers in [0, 1). */
export function rate(pixels, steps, random, gain = 1) {
  const input = Array.from({ length: steps }, () => ({ events: [], amounts: null }));
  pixels.forEach((grey, i) => {
    const probability = Math.min((gain * grey) / 255, 1);
    if (!probability) return;
    // From one spike to the next, the number of timesteps is geometric.
    const scale = Math.log(1 - probability);
    const wait = () => 1 + Math.floor(Math.log(1 - random()) / scale);
    for (let t = wait() - 1; t < steps; t += wait()) input[t].events.push(i);
  });
  return input;
}

/** Each pixel is a current, the same at each timestep. */
export function direct(pixels, steps) {
  const events = [];
  pixels.forEach((grey, i) => grey && events.push(i));
  const amounts = events.map((i) => round(pixels[i] / 255));
  return new Array(steps).fill({ events, amounts });
}

/** Return a generator of random numbers in [0, 1) that a seed determines (Mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
}
