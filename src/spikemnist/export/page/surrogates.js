// Surrogate gradients: what stands for the derivative of a spike at a membrane `x` above threshold.
// `steepness` is the first parameter of Python's surrogate, with its default.

export const SURROGATES = {
  atan: {
    steepness: 2,
    derivative: (x, alpha) => alpha / 2 / (1 + ((Math.PI / 2) * alpha * x) ** 2),
    formula: "(α/2) / (1 + (π/2 · α x)²)",
  },
  fast_sigmoid: {
    steepness: 25,
    derivative: (x, k) => 1 / (1 + k * Math.abs(x)) ** 2,
    formula: "1 / (1 + k |x|)²",
  },
  sparse_fast_sigmoid: {
    steepness: 25,
    derivative: (x, k) => (x > 1 ? 1 / (1 + k * Math.abs(x)) ** 2 : 0),
    formula: "1 / (1 + k |x|)² where x > 1, else 0",
  },
  sigmoid: {
    steepness: 25,
    derivative: (x, k) => {
      const s = 1 / (1 + Math.exp(k * Math.abs(x)));
      return k * s * (1 - s);
    },
    formula: "k s(kx) (1 - s(kx))",
  },
  straight_through: { derivative: () => 1, formula: "1" },
  triangular: {
    steepness: 1,
    derivative: (x, height) => (x < 0 ? height : -height),
    formula: "θ where x < 0, else -θ",
  },
  heaviside: { derivative: (x) => (x > 0 ? 1 : 0), formula: "1 where x > 0, else 0" },
  spike_rate_escape: {
    steepness: 1,
    derivative: (x, beta) => 25 * Math.exp(-beta * Math.abs(x - 1)),
    formula: "25 exp(-β |x - 1|)",
  },
};
