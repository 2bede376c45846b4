"""
One digit in every code
=======================

An image becomes spikes in many ways. Each is a trade: how many spikes it takes, and how much of the
image can be read back from them.
"""

import torch

from spikemnist import load_digits, viz
from spikemnist.encoding import get_encoder

_, test = load_digits()
image = test.images[:1]

# %%
# Every code gets the same 16 timesteps. Only the rate code draws random numbers, so the generator
# makes this page the same each time.
names = ["rate", "latency", "delta", "phase", "burst", "population"]
encoders = {name: get_encoder(name, num_steps=16) for name in names}
generator = torch.Generator().manual_seed(0)
spikes = {name: encode(image, generator=generator) for name, encode in encoders.items()}
decoded = {name: encoders[name].decode(spikes[name]) for name in names}

for name in names:
    error = (decoded[name] - image / 255).square().mean().sqrt()
    print(f"{name:12s}{int(spikes[name].sum()):6d} spikes   error {error:.3f}")

# %%
# On the left what is read back, in the middle every spike, on the right how many fall on a
# timestep. Latency says the most with a spike; phase and population read back best, and pay for
# it with about ten times as many.
figure = viz.codes(spikes, decoded=decoded)
figure.savefig("encodings.png", dpi=120)

# %%
# Next: :class:`~spikemnist.encoding.RateEncoder` and its siblings have the equations, and
# :doc:`/guide/encodings` says when to take which.
