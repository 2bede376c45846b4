"""
One digit in every code
=======================

There are many ways to turn an image into spikes. Each is a trade-off between the number of spikes
and the accuracy of the image that is reconstructed from them. Here six codes have 16 timesteps.

Question: which code needs the fewest spikes, and which gives the best image back?

Level: first steps.
"""

import torch

from spikemnist import load_digits, viz
from spikemnist.encoding import get_encoder

_, test = load_digits()
image = test.images[:1]

# %%
# Every code gets the same 16 timesteps. Only the rate code draws random numbers; the seeded
# generator makes this page reproducible.
names = ["rate", "latency", "delta", "phase", "burst", "population"]
encoders = {name: get_encoder(name, num_steps=16) for name in names}
generator = torch.Generator().manual_seed(0)
spikes = {name: encode(image, generator=generator) for name, encode in encoders.items()}
decoded = {name: encoders[name].decode(spikes[name]) for name in names}

for name in names:
    error = (decoded[name] - image / 255).square().mean().sqrt()
    print(f"{name:12s}{int(spikes[name].sum()):6d} spikes   error {error:.3f}")

# %%
# The latency code needs the fewest spikes, 164. The phase and population codes give the best
# reconstruction, with about ten times as many. Left: the reconstruction. Middle: every spike.
# Right: the number of spikes in each timestep.
figure = viz.codes(spikes, reconstructions=decoded)
# sphinx_gallery_alt = "A digit in six codes: its reconstruction, raster and spikes per timestep"
figure.savefig("encodings.png", dpi=120)
print("pictures: encodings.png")
figure

# %%
# Try: give the codes 8 timesteps, ``num_steps=8``. Which of them then need half the spikes, and
# which still gives the whole image back?
#
# Next: `spikemnist.encoding.RateEncoder` and the other encoders have the equations, and the guide
# shows when to use which: *Spikes and encodings*.
