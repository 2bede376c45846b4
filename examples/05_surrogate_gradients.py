"""
A gradient for the step
=======================

A spike is a step function of the membrane. Its derivative is zero almost everywhere and gives no
gradient to learn from, so the backward pass replaces it by another curve, the surrogate.

Question: does the shape of that curve matter? Which of the four that train a network below learns
worst?

Level: going on. Before it: *One leaky neuron*.
"""

# sphinx_gallery_thumbnail_number = 2

import torch
from matplotlib.figure import Figure

from spikemnist import Classifier, LeakyMLP, TrainConfig, evaluate, fit, load_digits
from spikemnist.ops import SURROGATES, get_surrogate

BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"

# %%
# In the forward pass, every surrogate is the same step. They differ only in the gradient.
figure = Figure(figsize=(8, 4), layout="constrained")
axes = figure.subplots(2, 4, sharex=True)
for ax, name in zip(axes.flat, SURROGATES, strict=True):
    x = torch.linspace(-2, 2, 401, requires_grad=True)
    get_surrogate(name)(x).sum().backward()
    ax.axvline(0, color=VERMILLION, linestyle="--", linewidth=1)
    ax.fill_between(x.detach(), x.grad, color=BLUE, alpha=0.3, linewidth=0)
    ax.plot(x.detach(), x.grad, color=BLUE)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(name, loc="left", fontsize=9)
figure.supxlabel("membrane − threshold", fontsize=10)
figure.supylabel("surrogate derivative", fontsize=10)
# sphinx_gallery_alt = "Surrogate derivatives against the distance from the threshold"
figure.savefig("surrogates.png", dpi=120)
figure

# %%
# Left of the dashed line a neuron is silent. Two curves are zero there, sparse_fast_sigmoid and
# heaviside: a layer that starts silent gets no gradient from them and stays silent, and ``fit``
# warns. Four others train a network from the same initial weights, on the same batches. Look at
# them again: which one learns worst?
train, test = load_digits()
figure = Figure(figsize=(7, 4), layout="constrained")
ax = figure.subplots()
colours = {"atan": BLUE, "sigmoid": ORANGE, "straight_through": GREEN, "triangular": VERMILLION}
for name, colour in colours.items():
    classifier = Classifier(LeakyMLP(hidden=100, spike_grad=name, seed=0), "latency")
    history = fit(classifier, train, TrainConfig(epochs=5, lr=0.002), progress=False)
    accuracy = evaluate(classifier, test).accuracy
    print(f"{name:18s}loss {history.epochs[-1].loss:.2f}   test accuracy {accuracy:.1%}")
    ax.plot(range(1, len(history) + 1), history.column("loss"), "o-", color=colour, label=name)
ax.set(xlabel="epoch", ylabel="training loss", xticks=range(1, 6), ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
# sphinx_gallery_alt = "Training loss over five epochs for four surrogates"
figure.savefig("training_losses.png", dpi=120)
print("pictures: surrogates.png, training_losses.png")
figure

# %%
# The shape hardly matters: even a bell curve and a constant reach 90 to 92 %. The curve that
# snnTorch calls triangular reaches about 75 %: above the threshold its sign is opposite to the
# step.
#
# Try: add "heaviside". A warning says why it learns nothing, and names a setting of ``TrainConfig``
# that helps. Which accuracy does it reach then?
#
# Next: `spikemnist.ops.get_surrogate`, and in the guide *Surrogate gradients*.
