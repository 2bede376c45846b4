"""
One leaky neuron
================

A neuron adds up its input and forgets a little at every timestep. Above the threshold it fires,
and the spike acts back on its membrane.
"""

import torch
from matplotlib.figure import Figure

from spikemnist.ops import leaky

# %%
# A weak current, silence, a strong one, silence. Time comes first: ``[T, B, N]``, here one sample
# and one neuron. The weak current alone would never fire it: the membrane creeps towards
# I / (1 - beta) = 0.9, where it leaks as much as comes in.
current = torch.zeros(80, 1, 1)
current[5:25], current[35:60] = 0.09, 0.36


def draw(ax, beta, reset):
    """Run the neuron and draw its membrane, threshold and spikes."""
    spikes, membrane = leaky(current, beta, threshold=1.0, reset_mechanism=reset)
    fired = spikes.nonzero()[:, 0]
    ax.plot(membrane.flatten(), color="tab:blue", label="membrane")
    ax.axhline(1.0, color="tab:red", linestyle="--", label="threshold")
    ax.plot(fired, membrane[fired].flatten(), "ko", markersize=4, label="spike")
    ax.set(xlabel="timestep", ylabel="membrane")
    ax.set_title(f"beta {beta}, reset {reset}: {len(fired)} spikes")


figure = Figure(figsize=(8, 4.5), layout="constrained")
above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
above.step(range(80), current.flatten(), where="mid", color="black")
above.set_ylabel("current")
draw(below, 0.9, "subtract")
below.legend(loc="center right")
figure.savefig("one_neuron.png", dpi=120)

# %%
# Without input, beta^t of a membrane is left after t timesteps. Three betas, from U = 0.9:
beta, start = torch.tensor([0.8, 0.9, 0.95]), torch.full((1, 3), 0.9)
_, membrane = leaky(torch.zeros(20, 1, 3), beta, initial=start)
left = 0.9 * beta ** torch.arange(1, 21).unsqueeze(1)
print(f"largest distance from the closed form: {(membrane[:, 0] - left).abs().max():.0e}")

# %%
# Above, the same current with two other betas: the larger beta, the longer an input counts. Below,
# two other resets. Subtraction takes one threshold off and keeps the rest, zero keeps nothing, and
# none fires at every timestep that the membrane is above.
figure = Figure(figsize=(8, 5.5), layout="constrained")
choices = [(0.8, "subtract"), (0.95, "subtract"), (0.9, "zero"), (0.9, "none")]
for ax, (beta, reset) in zip(figure.subplots(2, 2).flat, choices, strict=True):
    draw(ax, beta, reset)
figure.savefig("beta_and_reset.png", dpi=120)

# %%
# Next: :func:`~spikemnist.ops.leaky` has the equations, :doc:`/guide/neuron` the whole story.
