"""
A snnTorch network, accelerated
===============================

A network written for snnTorch is stepped by a loop over time. In one call it does the same, faster.
"""

import time
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
# The loop as one writes it with snnTorch. What ``accelerate`` returns takes all timesteps at once.
def loop(spikes):
    hidden.reset_mem()
    output.reset_mem()
    fired, membrane = zip(*[network(step) for step in spikes], strict=True)
    return SimpleNamespace(spikes=torch.stack(fired), membrane=torch.stack(membrane))


# %%
# Both go forward and backward several times, in turn. The first round is for warming up.
ways = {"loop over time": loop, "accelerate": accelerate(network)}
taken, found = {name: [] for name in ways}, {}
for name in [*ways] * 8:
    network.zero_grad()
    started = time.perf_counter()
    record = ways[name](spikes)
    nn.functional.cross_entropy(record.membrane.mean(0), batch.labels).backward()
    taken[name].append(1000 * (time.perf_counter() - started))
    found[name] = record.spikes.detach(), network[1].weight.grad

(fired, slope), (also_fired, also_slope) = found.values()
print(f"{int((fired != also_fired).sum())} of {int(fired.sum())} output spikes differ")
print(f"relative difference of gradients: {(slope - also_slope).norm() / slope.norm():.0e}")
medians = {name: sorted(times[1:])[3] for name, times in taken.items()}
print(", ".join(f"{name}: {spent:.0f} ms" for name, spent in medians.items()))
ax = Figure(figsize=(6, 2.4), layout="constrained").add_subplot()
ax.bar_label(ax.barh(list(medians), list(medians.values())), fmt="%.0f ms", padding=4)
ax.set(xlabel="128 images forward and backward [ms]", xlim=(0, 1.2 * max(medians.values())))
ax.get_figure().savefig("times.png", dpi=120)

# %%
# Next: :func:`~spikemnist.models.accelerate`, and :doc:`/howto/snntorch-network` to train with it.
