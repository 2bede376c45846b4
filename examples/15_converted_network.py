"""
A trained network, converted
============================

An ANN of ReLUs answers at once. ``convert`` makes integrate-and-fire neurons of its ReLUs: a neuron
fires the more often, the larger the activation was.

Question: how many timesteps does the spiking network need for the accuracy of the ANN, and does it
then still need less energy?

Level: advanced. Before it: *The energy of a decision*.
"""

import torch
from matplotlib.figure import Figure
from torch import nn

from spikemnist import load_digits, measure_energy
from spikemnist.models import convert

train, test = load_digits()
torch.manual_seed(0)
ann = nn.Sequential(
    nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
)
optimizer = torch.optim.Adam(ann.parameters(), lr=0.002)
for epoch in range(8):
    for images, labels in train.batches(64, seed=epoch):
        optimizer.zero_grad()
        nn.functional.cross_entropy(ann(images / 255), labels).backward()
        optimizer.step()

# %%
# The network is converted anew for each number of timesteps. The training images set the scales of
# the layers; the test images show the result.
steps = (1, 2, 4, 8, 16, 32)
conversions = {T: convert(ann, train[:1000], num_steps=T).compare(test) for T in steps}
energies = {T: measure_energy(conversions[T].classifier, test) for T in steps}
dense = energies[1].ann_dense.total
skipping = energies[1].ann_skipping.total / dense
print(f"ANN     accuracy {conversions[1].ann_accuracy:.1%}  energy without zeros {skipping:.1%}")
for T in steps:
    accuracy, error = conversions[T].accuracy_per_step[-1], conversions[T].errors["output"]
    share = energies[T].snn.total / dense
    print(
        f"T={T:<4d}  accuracy {accuracy:.1%}  error of the logits {error:4.0%}  energy {share:5.1%}"
    )

# %%
# Left, each point is a neuron and an image: the activation of the ANN against the spikes of the
# neuron, in the unit of the activation. With T timesteps there are T + 1 numbers of spikes. An
# activation above the scale, one spike at each timestep, is cut off. Right, the accuracy, and the
# energy as a share of that of the ANN that multiplies everything.
figure = Figure(figsize=(10, 3.8), layout="constrained")
left, right = figure.subplots(1, 2)
pixels = test.images[:20].flatten(1) / 255
activation = conversions[1].ann[0](pixels).detach()
for T, colour in ((32, "#0072b2"), (4, "#d55e00")):
    record = conversions[T].classifier(test.images[:20], record="all")
    rate = conversions[T].scales["hidden 1"] * record.layers[0].spikes.mean(0).detach()
    left.plot(
        activation.flatten(), rate.flatten(), ".", markersize=3, color=colour, label=f"T = {T}"
    )
left.set(xlabel="activation of the ANN", ylabel="spikes per timestep x scale")
left.legend(frameon=False, markerscale=3)
accuracies = [100 * float(conversions[T].accuracy_per_step[-1]) for T in steps]
right.plot(steps, accuracies, "o-", color="#009e73", label="accuracy")
right.axhline(100 * conversions[1].ann_accuracy, color="#009e73", linestyle=":", label="of the ANN")
shares = [100 * energies[T].snn.total / dense for T in steps]
right.plot(steps, shares, "s--", color="#cc79a7", label="energy, of a dense ANN")
right.set_xscale("log", base=2)
right.set_xticks(steps, [str(T) for T in steps])
right.set(xlabel="timesteps, T", ylabel="%", ylim=(0, 105))
right.legend(frameon=False, loc="lower right")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
# sphinx_gallery_alt = "Spike rates are steps of the activation; accuracy and energy rise with T"
figure.savefig("converted.png", dpi=120)
print("pictures: converted.png")
figure

# %%
# Four timesteps are enough for the accuracy of the ANN, at two thirds of the energy of an ANN that
# multiplies everything. An ANN that skips zeros needs a quarter, so nothing is saved. Nearly all of
# the energy goes into the image: the first layer multiplies its grey values at every timestep.
#
# Try: let the same network receive spikes, ``Classifier(conversions[32].classifier.network,
# RateEncoder(num_steps=32))``. What happens to its energy, and to its accuracy?
#
# Next: `spikemnist.models.convert`, and the how-to *Convert a trained network*.
