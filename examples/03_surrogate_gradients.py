"""
Surrogate gradients
===================

A spike is a step, and the derivative of a step is zero almost everywhere: nothing to learn by. In
the backward pass another curve stands in for it.
"""

import torch
from matplotlib.figure import Figure

from spikemnist import LatencyEncoder, LeakyMLP, evaluate, fit, load_digits
from spikemnist.ops import SURROGATES, get_surrogate

# %%
# Forward, every surrogate is the same step. What differs is the gradient that autograd returns.
figure = Figure(figsize=(8, 4), layout="constrained")
axes = figure.subplots(2, 4, sharex=True)
for ax, name in zip(axes.flat, SURROGATES, strict=True):
    x = torch.linspace(-2, 2, 401, requires_grad=True)
    get_surrogate(name)(x).sum().backward()
    ax.axvline(0, color="tab:red", linestyle="--", linewidth=1)
    ax.fill_between(x.detach(), x.grad, alpha=0.3)
    ax.plot(x.detach(), x.grad)
    ax.set_title(name, fontsize=9)
figure.supxlabel("membrane − threshold", fontsize=10)
figure.supylabel("surrogate derivative", fontsize=10)
figure.savefig("surrogates.png", dpi=120)

# %%
# Left of the dashed line a neuron is silent. Two of the curves are zero there, sparse_fast_sigmoid
# and heaviside: a layer that begins silent gets no gradient from them and stays silent, of which
# ``fit`` warns. Four others train a network from the same first weights, on the same batches:
train, test = load_digits()
encoder = LatencyEncoder(num_steps=8)
figure = Figure(figsize=(7, 4), layout="constrained")
ax = figure.subplots()
for name in ("atan", "sigmoid", "straight_through", "triangular"):
    torch.manual_seed(0)
    model = LeakyMLP(hidden=(100,), spike_grad=name)
    history = fit(model, train, encoder=encoder, epochs=5, lr=0.002, progress=False)
    accuracy = evaluate(model, test, encoder=encoder).accuracy
    print(f"{name:18s}loss {history.epochs[-1].loss:.2f}   test accuracy {accuracy:.1%}")
    ax.plot(range(1, len(history) + 1), history.column("loss"), marker="o", label=name)
ax.set(xlabel="epoch", ylabel="training loss", xticks=range(1, 6), ylim=(0, None))
ax.legend()
figure.savefig("training_losses.png", dpi=120)

# %%
# Curves that differ as much as a bell and a constant end near one another. The one that snnTorch
# calls triangular does not: above the threshold it has the opposite sign of the step.
#
# Next: :func:`~spikemnist.ops.get_surrogate`, and :doc:`/guide/surrogate-gradients`.
