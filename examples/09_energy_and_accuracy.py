"""
The energy of a decision
========================

A spiking network can answer after each timestep. Each further timestep costs energy.

Question: how much accuracy is lost if a network of 8 timesteps stops after the first, and how much
if it stops as soon as its answer is clear?

Level: going on. Before it: *How many timesteps*.
"""

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LeakyMLP, TrainConfig, fit, load_digits, measure_energy, viz

train, test = load_digits()
classifier = Classifier(LeakyMLP(hidden=256, seed=0), "latency")
fit(classifier, train, TrainConfig(epochs=8), progress=False)

# %%
# One pass over the test images counts the operations in which neither weight nor input is zero.
# The network is compared with an ANN of the same layers that runs once: a dense ANN that multiplies
# everything, and an ANN that skips zeros.
energy = measure_energy(classifier, test)
print(f"spiking             {energy.snn.total / 1000:5.0f} nJ")
print(f"ANN, zeros skipped  {energy.ann_skipping.total / 1000:5.0f} nJ")
print(f"ANN, dense          {energy.ann_dense.total / 1000:5.0f} nJ")
for steps in (1, 2, 4, 8):
    print(f"after {steps} of 8 timesteps: {energy.accuracy_per_step[steps - 1]:.1%}")
for margin in (0.5, 0.9):
    stop = energy.early_exit(margin)
    print(f"exit at margin {margin}: {stop.accuracy:.1%} in {stop.steps:.1f} timesteps on average")

# %%
# Stopping after the first timestep costs about 5 points of accuracy. Stopping at a margin of 0.9
# costs about 0.1, and takes 2.4 timesteps on average. The margin is the difference between the
# probabilities of the two leading classes; easy digits soon have a large one. Up is more accurate,
# left is cheaper. The ANNs' accuracy is not known.
figure = viz.energy(energy)
figure.axes[0].margins(y=0.08)
# sphinx_gallery_alt = "Accuracy against energy after each timestep, beside two ANNs"
figure.savefig("energy.png", dpi=120)
figure

# %%
# These numbers are not the energy of a chip: they leave out encoding, control and idle circuits.
# They include memory only on request: here each operation reads a weight, and each timestep reads
# and writes a membrane. How much of the advantage over an ANN that skips zeros is left?
counted = measure_energy(classifier, test, memory="32KB")
bars = {"spiking": counted.snn, "ANN, zeros skipped": counted.ann_skipping}
figure = Figure(figsize=(8, 2.6), layout="constrained")
ax, left = figure.add_subplot(), torch.zeros(2)
for part, colour in {"memory": "#8C8C8C", "neurons": "#E69F00", "synapses": "#0072B2"}.items():
    share = torch.tensor([getattr(estimate, part) / 1000 for estimate in bars.values()])
    ax.barh(list(bars), share, left=left, color=colour, label=part)
    left += share
ax.bar_label(ax.containers[-1], [f"{total:.0f} nJ" for total in left], padding=4)
ax.set(xlabel="energy per sample [nJ]", xlim=(0, 1.4 * float(left.max())))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(loc="center right", frameon=False)
# sphinx_gallery_alt = "Energy of memory, neurons and synapses, spiking and as an ANN"
figure.savefig("memory.png", dpi=120)
print("pictures: energy.png, memory.png")
figure

# %%
# Not much: about 500 nJ stand against 580, where 47 stood against 183. Most of it is memory.
#
# Try: put the weights into a larger memory, ``memory="1MB"``. Which of the two suffers more?
#
# Next: `spikemnist.energy.measure_energy`, and for the assumptions *The energy of spikes* in the
# guide.
