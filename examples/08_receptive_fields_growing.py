"""
Growing receptive fields
========================

Spike-timing-dependent plasticity needs neither gradients nor labels. Here a hundred neurons compete
to respond to 5,000 digits.

Question: what do their weights come to look like, and does the accuracy rise steadily?

Level: going on. Before it: *One leaky neuron*.
"""

from matplotlib.figure import Figure

from spikemnist import STDPClassifier, load_digits, viz
from spikemnist.plasticity import ConvSTDPClassifier

train, test = load_digits()
classifier = STDPClassifier(n_neurons=100, theta_plus=0.07, random_state=0)

# %%
# ``partial_fit`` continues learning with new images. Labels do not change the weights: they only
# assign each neuron to the classes it responds to, so that its spikes count as votes.
snapshots, titles, seen, accuracy, busiest, begin = [], [], [], [], [], 0
for end in [*range(50, 400, 50), *range(400, 1000, 100), *range(1000, 5001, 500)]:
    piece = train[begin:end]
    classifier.partial_fit(piece.images, piece.labels, classes=range(10))
    snapshots.append(classifier.weights_)
    seen.append(end)
    accuracy.append(classifier.score(test.images, test.labels))
    spikes = classifier.count_spikes(test.images[:200]).sum(0)
    busiest.append(spikes.max() / spikes.sum())
    titles.append(f"after {end:,} images: {accuracy[-1]:.0%} right")
    begin = end
    if end in (100, 500, 1000, 2000, 3000, 5000):
        print(f"{end:5d} images: accuracy {accuracy[-1]:.1%}, busiest neuron {busiest[-1]:.1%}")

# %%
# The weights of 36 neurons. The number above each field is the index of the neuron.
figure = viz.receptive_fields(classifier, neurons=range(36))
# sphinx_gallery_alt = "The weights of 36 neurons, most of which look like a digit"
figure.savefig("receptive_fields.png", dpi=120)
figure

# %%
# Most fields look like a digit. The file ``growing.gif`` shows the same neurons after each set of
# images. The initial weights are random.
frames, titles = snapshots + snapshots[-1:] * 5, titles + titles[-1:] * 5  # rest on the last
animation = viz.animate_receptive_fields(frames, titles=titles, neurons=range(36), interval=300)
# sphinx_gallery_alt = "The weights of 36 neurons turn from noise into digits"
animation.save("growing.gif", writer="pillow")

# %%
# The accuracy does not rise steadily: about 40 % after 2,000 images, 78 % after 3,000. Why?
# Compare it with the share of the spikes that the busiest neuron has.
figure = Figure(figsize=(6, 3.4), layout="constrained")
ax = figure.subplots()
look = {"linestyle": "-", "markersize": 3}
ax.plot(seen, accuracy, "o", color="#0072B2", label="test accuracy", **look)
ax.plot(seen, busiest, "s", color="#E69F00", label="busiest neuron's share of spikes", **look)
ax.set(xlabel="images learned from", ylabel="share", ylim=(0, 1))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, fontsize=8)
# sphinx_gallery_alt = "Accuracy and the busiest neuron's share of the spikes over the images seen"
figure.savefig("accuracy.png", dpi=120)
figure

# %%
# At first a single neuron fires a large share of all spikes. Each spike raises the threshold of its
# neuron. Once the thresholds are high enough, all neurons take part, and the accuracy jumps.
# In the end the neurons have shared the classes, and the thresholds have risen by 35 to 43 mV.
figure = viz.stdp(classifier)
# sphinx_gallery_alt = "Running accuracy, number of neurons of each class, and their thresholds"
figure.savefig("stdp.png", dpi=120)
figure

# %%
# Neurons that see only 5 x 5 pixels, at all places, learn strokes instead of digits. In the upper
# half of a field the image is brighter than around it, in the lower half darker. Only the linear
# readout of the strokes learns from labels.
features = ConvSTDPClassifier(random_state=0).fit(train.images, train.labels)
print(f"strokes and a linear readout: accuracy {features.score(test.images, test.labels):.1%}")
figure = viz.receptive_fields(features, neurons=range(24))
# sphinx_gallery_alt = "The weights of 24 features: short strokes in several directions"
figure.savefig("strokes.png", dpi=120)
print("pictures: receptive_fields.png, growing.gif, accuracy.png, stdp.png, strokes.png")
figure

# %%
# Try: raise each threshold less, ``theta_plus=0.04``. When do you expect the jump?
#
# Next: `spikemnist.plasticity.STDPClassifier` has the equations. *Learning without labels* in the
# guide covers more neurons, all of MNIST, and convolutional features.
