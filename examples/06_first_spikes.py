"""
The first spike decides
=======================

The output neuron that fires first determines the class. The remaining timesteps are then not
needed.

Question: when do wrong answers come, earlier than right ones, later, or at the same time?

Level: going on. Before it: *One digit in every code*, *How many timesteps*.
"""

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LatencyEncoder, LeakyMLP, evaluate, fit, load_digits, viz
from spikemnist.models import first_spike_times
from spikemnist.training import SpikeTimeMSE, TrainConfig

# %%
# The readout is ``first_spike``, and the loss sets target times: the neuron of the right class
# should fire at t = 2, all others not at all.
train, test = load_digits()
network = LeakyMLP(hidden=200, readout="first_spike", seed=0)
classifier, loss = Classifier(network, LatencyEncoder(num_steps=16)), SpikeTimeMSE(on=2)
fit(classifier, train, TrainConfig(epochs=8, lr=0.005, loss=loss), progress=False)
evaluation = evaluate(classifier, test, loss=loss)
print(f"accuracy {evaluation.accuracy:.1%}, two first at once {evaluation.tied:.1%}")

# %%
# The decision is made when the first of the ten neurons fires. If none fires, the time is T.
with torch.inference_mode():
    record = classifier(test.images)
times = first_spike_times(record.spikes).amin(1).cpu()
right = record.predictions.cpu() == test.labels
print(f"mean timestep: right {times[right].mean():.1f}, wrong {times[~right].mean():.1f}")

figure = Figure(figsize=(7, 4), layout="constrained")
ax = figure.subplots()
for answers, colour, name in ((right, "#0072B2", "right"), (~right, "#D55E00", "wrong")):
    share = torch.bincount(times[answers].long(), minlength=17) / answers.sum()
    ax.bar(range(17), share, color=colour, alpha=0.5, label=f"{int(answers.sum())} {name} answers")
ax.set(xlabel="timestep of the first output spike", ylabel="share of these answers")
ax.set_xticks(range(0, 17, 2))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
# sphinx_gallery_alt = "Timesteps of the first output spike, for right and wrong answers"
figure.savefig("decision_times.png", dpi=120)
figure

# %%
# Right answers come at about t = 2, wrong ones at about t = 7: the time tells how reliable an
# answer is. Below is one of the digits that were decided at t = 5. Its bright pixels fire first;
# the spikes after the dashed line are not needed.
sample = int((right & (times == 5)).nonzero()[0])
with torch.inference_mode():
    one = classifier(test.images[sample : sample + 1], record="all")
figure = Figure(figsize=(7, 6.5), layout="constrained")
for ax, layer in zip(figure.subplots(3, 1), ("input", "hidden 1", "output"), strict=True):
    viz.raster(one, layer=layer, ax=ax)
    ax.axvline(5.5, color="#D55E00", linestyle="--")
# sphinx_gallery_alt = "Spikes of input, hidden and output neurons; a line marks the decision"
figure.savefig("first_spike_raster.png", dpi=120)
print("pictures: decision_times.png, first_spike_raster.png")
figure

# %%
# Try: let the right neuron fire at t = 8, ``SpikeTimeMSE(on=8)``. Does the later decision pay?
#
# Next: `spikemnist.training.SpikeTimeMSE`, and in the guide *Readouts: from spikes to a class*.
