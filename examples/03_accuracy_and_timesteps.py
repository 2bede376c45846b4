"""
How many timesteps
==================

Every timestep costs spikes. A network trained for many timesteps can be read out early; another
network can be trained for a few timesteps.

Question: which is more accurate after 2 timesteps, a network trained for 16 or one trained for 2?
Is it the same one in the rate code and in the latency code?

Level: first steps. Before it: *One digit in every code*.
"""

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LeakyMLP, TrainConfig, evaluate, fit, get_encoder, load_digits

train, test = load_digits()

# %%
# The same network, trained from the same initial weights with 2 to 16 timesteps of two codes.
codes, lengths, evaluations = ("rate", "latency"), (2, 4, 8, 16), {}
for code in codes:
    for steps in lengths:
        classifier = Classifier(LeakyMLP(hidden=100, seed=0), get_encoder(code, num_steps=steps))
        fit(classifier, train, TrainConfig(epochs=5, lr=0.005), progress=False)
        evaluations[code, steps] = result = evaluate(classifier, test)
        spikes = sum(result.spikes_per_sample.values())
        print(
            f"{code:8s}T={steps:<4d}accuracy {result.accuracy:.1%}  {spikes:5.0f} spikes an image"
        )

# %%
# The line is the network with 16 timesteps, read out after each of them: ``accuracy_per_step`` of
# `spikemnist.training.Evaluation`. Each point is a network after its last timestep; the bar is the
# standard error with 1,000 test images.
figure = Figure(figsize=(8, 4), layout="constrained")
for ax, code in zip(figure.subplots(1, 2, sharey=True), codes, strict=True):
    read = 100 * evaluations[code, 16].accuracy_per_step
    print(f"{code:8s}trained for 16, read after 2: {read[1]:.1f}%")
    ax.plot(range(1, 17), read, color="#0072B2", label="trained for 16, read early")
    share = torch.tensor([evaluations[code, steps].accuracy for steps in lengths])
    error = 100 * (share * (1 - share) / len(test)).sqrt()
    ax.errorbar(lengths, 100 * share, error, fmt="o", color="#E69F00", label="trained for T")
    ax.set(xlabel="timesteps", xticks=lengths)
    ax.set_title(f"{code} code", loc="left", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(loc="lower right", frameon=False)
figure.axes[0].set_ylabel("test accuracy [%]")
# sphinx_gallery_alt = "Accuracy against timesteps, of networks read early and trained for T"
figure.savefig("timesteps.png", dpi=120)
print("pictures: timesteps.png")
figure

# %%
# In both codes the network trained for 2 is ahead: by about one point in the rate code, by about
# six in the latency code. In the rate code each timestep samples the whole image, so early readouts
# are good. In the latency code with 16 timesteps dark pixels fire late. On digits this simple a few
# timesteps are enough for both codes.
#
# Try: replace "latency" by "direct", whose input is a current (so only spikes of neurons count). It
# shows the whole image from the first timestep on. Which network is ahead after 2?
#
# Next: *Choose the code, the timesteps and the network* among the how-tos, and for the cost of a
# timestep *The energy of spikes* in the guide.
