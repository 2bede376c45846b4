"""
Convolutional features of a digit
=================================

A convolutional layer of spiking neurons looks for the same few strokes at every position. Its
spikes, summed over time, map where each stroke is in the digit. Here one layer has 1,152 neurons,
the next 256, and the output ten.

Question: which layer has the most spikes for a digit, and in which does a neuron fire most often?

Level: going on. Before it: *One leaky neuron*.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LatencyEncoder, LeakyConvNet, evaluate, fit, load_digits, viz
from spikemnist.training import TrainConfig

# %%
# Eight kernels of 5 x 5 pixels, pooling, sixteen kernels, pooling, and ten output neurons.
train, test = load_digits()
network = LeakyConvNet("8C5-P2-16C5-P2-10", seed=0)
classifier = Classifier(network, LatencyEncoder(num_steps=6))
fit(classifier, train, TrainConfig(epochs=3), progress=False)
print(f"accuracy {evaluate(classifier, test).accuracy:.1%}")

# %%
# The learned kernels of the first layer: red weights excite, blue weights inhibit.
figure = viz.receptive_fields(network)
# sphinx_gallery_alt = "Eight learned kernels of 5 x 5 weights, in red and blue"
figure.savefig("kernels.png", dpi=120)
figure

# %%
# The network runs on three digits. The spikes of a layer are ``[T, B, C, H, W]``; their sum over
# time counts the spikes of each neuron, one map for each kernel.
digits = torch.stack([test.images[test.labels == label][0] for label in (0, 4, 7)])
with torch.inference_mode():
    record = classifier(digits, record="all")
for layer in record.layers:
    shape, spikes = tuple(layer.spikes.shape), layer.spikes.sum().item() / len(digits)
    each = spikes / layer.spikes[0, 0].numel()
    print(f"{layer.name:10s}{shape!s:20s}{spikes:5.0f} spikes a digit, {each:.1f} a neuron")
print(f"answers: {record.predictions.tolist()}")

counts = record.layers[0].spikes.sum(0)
figure = Figure(figsize=(9, 3.3), layout="constrained")
axes = figure.subplots(3, 9)
for row, digit, maps in zip(axes, digits, counts, strict=True):
    row[0].imshow(digit, cmap="gray")
    for ax, features in zip(row[1:], maps, strict=True):
        picture = ax.imshow(features, vmin=0, vmax=6)
for ax, title in zip(axes[0], ["digit", *range(8)], strict=True):
    ax.set_title(title, fontsize=10)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, label="spikes in 6 timesteps")
# sphinx_gallery_alt = "Three digits, and where each of eight kernels finds its stroke"
figure.savefig("feature_maps.png", dpi=120)
print("pictures: kernels.png, feature_maps.png")
figure

# %%
# The first layer has the most spikes, more than 600. A neuron of the second fires three times as
# often as one of the first: it sees more of the digit.
#
# Try: classify ``digits.roll(4, -1)``, the digits four pixels to the right. What happens to the
# maps, and what to the answers?
#
# Next: `spikemnist.models.LeakyConvNet` has the notation of its layers, and
# `spikemnist.viz.receptive_fields` also draws dense layers and STDP layers.
