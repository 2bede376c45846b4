"""
One leaky neuron
================

A leaky integrate-and-fire neuron adds up its input and loses a part of its membrane potential at
every timestep. Above the threshold it fires, and the spike resets the membrane.

Question: the threshold is 1, and a timestep leaves 0.9 of the membrane. A current of 0.09 flows for
20 timesteps, later one of 0.36 for 25. How often does the neuron fire under each?

Level: first steps.
"""

import torch
from matplotlib.figure import Figure

from spikemnist.ops import leaky

# %%
# The input is a weak current, silence, a strong current, silence. Time is the first dimension:
# ``[T, B, N]``, here one sample and one neuron.
current = torch.zeros(80, 1, 1)
current[5:25], current[35:60] = 0.09, 0.36


def draw(ax, beta, reset):
    """Run the neuron and draw its membrane, threshold and spikes."""
    spikes, membrane = leaky(current, beta, threshold=1.0, reset_mechanism=reset)
    fired = spikes.nonzero()[:, 0]
    ax.plot(membrane.flatten(), color="#0072B2", label="membrane")
    ax.axhline(1.0, color="#D55E00", linestyle="--", label="threshold")
    ax.plot(fired, membrane[fired].flatten(), "ko", markersize=4, label="spike")
    ax.set(xlabel="timestep", ylabel="membrane")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"beta {beta}, reset {reset}: {len(fired)} spikes", loc="left", fontsize=10)


figure = Figure(figsize=(8, 4.5), layout="constrained")
above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
above.step(range(80), current.flatten(), where="mid", color="black")
above.set_ylabel("current")
above.spines[["top", "right"]].set_visible(False)
draw(below, 0.9, "subtract")
below.legend(loc="center right", frameon=False)
# sphinx_gallery_alt = "Only under the strong current does the membrane cross the threshold"
figure.savefig("one_neuron.png", dpi=120)
figure

# %%
# The weak current never causes a spike: the membrane approaches I / (1 - beta) = 0.9, where the
# leak equals the input. The strong one would bring it to 3.6, and causes seven spikes.
#
# Without input, a membrane decays to beta^t of its value after t timesteps. Three betas, U = 0.9:
betas, start = (0.8, 0.9, 0.95), torch.full((1, 3), 0.9)
_, membrane = leaky(torch.zeros(10, 1, 3), torch.tensor(betas), initial=start)
for beta, left in zip(betas, membrane[-1, 0], strict=True):
    print(f"beta {beta}: {left:.3f} after 10 timesteps; 0.9 * beta^10 is {0.9 * beta**10:.3f}")

# %%
# Top: the same current with two other betas. Does its weak part cause a spike now? Bottom: two
# other resets. "subtract" subtracted the threshold and kept the rest.
figure = Figure(figsize=(8, 5.5), layout="constrained")
choices = [(0.8, "subtract"), (0.95, "subtract"), (0.9, "zero"), (0.9, "none")]
for ax, (beta, reset) in zip(figure.subplots(2, 2).flat, choices, strict=True):
    draw(ax, beta, reset)
# sphinx_gallery_alt = "The membrane under the same current with other betas and resets"
figure.savefig("beta_and_reset.png", dpi=120)
print("pictures: one_neuron.png, beta_and_reset.png")
figure

# %%
# A larger beta makes an input last longer: with 0.95 the membrane approaches 1.8, and the neuron
# fires. "zero" keeps nothing; with "none" it fires at every timestep above the threshold.
#
# Try: make the weak current 0.11, so that the membrane approaches 1.1. Does it cause a spike?
#
# Next: `spikemnist.ops.leaky` has the equations, and the guide all details: *The leaky neuron*.
