"""
An snnTorch network, accelerated
================================

A network written for snnTorch runs in a loop over time. ``accelerate`` runs it in one call, faster.

Question: are its spikes still the same, and its gradients?

Level: advanced. Before it: *A gradient for the step*.
"""

from types import SimpleNamespace

import snntorch
import torch
from matplotlib.figure import Figure
from torch import nn

from spikemnist import RateEncoder, accelerate, load_digits

batch = load_digits()[0][:128]
spikes = RateEncoder(num_steps=25)(batch.images, generator=torch.Generator().manual_seed(0))
torch.manual_seed(0)
hidden = snntorch.Leaky(beta=0.95, init_hidden=True)
output = snntorch.Leaky(beta=0.95, init_hidden=True, output=True)
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 1000), hidden, nn.Linear(1000, 10), output)


# %%
# The usual snnTorch loop. The accelerated network takes all timesteps at once.
def loop(spikes):
    hidden.reset_mem()
    output.reset_mem()
    fired, membrane = zip(*[network(step) for step in spikes], strict=True)
    return SimpleNamespace(spikes=torch.stack(fired), membrane=torch.stack(membrane))


# %%
# Both run a forward and a backward pass, with the same parameters.
found = []
for way in (loop, accelerate(network)):
    network.zero_grad()
    record = way(spikes)
    nn.functional.cross_entropy(record.membrane.mean(0), batch.labels).backward()
    found.append((record.spikes.detach(), network[1].weight.grad))

(fired, slope), (also_fired, also_slope) = found
print(f"{int((fired != also_fired).sum())} of {int(fired.sum())} output spikes differ")
print(f"relative difference of gradients: {(slope - also_slope).norm() / slope.norm():.0e}")
figure = Figure(figsize=(9, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
look = {"markersize": 9, "fillstyle": "none", "color": "#0072B2"}
left.plot(*fired[:, 0].nonzero().T, "o", label="loop over time", **look)
left.plot(*also_fired[:, 0].nonzero().T, ".", color="#D55E00", label="accelerate")
left.set(xlabel="timestep", xlim=(-1, 25), ylabel="output neuron", ylim=(-0.5, 9.5))
left.legend(title="spikes for one image", loc="upper left", frameon=False)
right.plot(slope.flatten()[::50], also_slope.flatten()[::50], ".", markersize=2, color="#0072B2")
right.set(xlabel="gradient of the loop over time", ylabel="gradient of accelerate")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
# sphinx_gallery_alt = "Spikes and gradients of the loop over time and of accelerate coincide"
figure.savefig("same.png", dpi=120)
print("pictures: same.png")
figure

# %%
# Not one spike differs, and the gradients differ by rounding. The page
# *Benchmarks* has the speed-ups of a quiet machine, and says how to measure yours.
#
# Try: make ``hidden`` a ``snntorch.Synaptic(alpha=0.9, beta=0.95, init_hidden=True)``, for which
# there are no kernels. What does ``accelerate`` do?
#
# Next: `spikemnist.models.accelerate`, and for training the how-to
# *Bring your own snnTorch network*.
