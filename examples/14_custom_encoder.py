"""
A custom encoder
================

Any object that turns images into spikes and has a number of timesteps is an encoder. This encoder
fires twice for each lit pixel; the gap between the two spikes represents the brightness.

Question: the latency code says the same with one spike. Does a network learn better from two?

Level: advanced. Before it: *One digit in every code*.
"""

from dataclasses import dataclass

import torch

from spikemnist import Classifier, LeakyMLP, TrainConfig, evaluate, fit, load_digits, viz
from spikemnist.encoding import Encoder, get_encoder, register_encoder


# %%
# A frozen dataclass is its own configuration: it can be compared, written to files and rebuilt from
# its name. ``decode`` is optional; pictures use it to show the reconstructed image.
@register_encoder("interval")
@dataclass(frozen=True, kw_only=True)
class IntervalEncoder:
    num_steps: int
    threshold: float = 0.1

    def __call__(self, images, *, generator=None):
        x = images.float() / 255 if images.dtype == torch.uint8 else images
        gap = 1 + ((1 - x) * (self.num_steps - 2)).round()
        steps = torch.arange(self.num_steps, device=x.device).view(-1, *[1] * x.dim())
        return ((x > self.threshold) & ((steps == 0) | (steps == gap))).float()

    def decode(self, spikes):
        gap = len(spikes) - 1 - spikes.flip(0).argmax(0) - spikes.argmax(0)  # last - first
        return (1 - (gap - 1) / (self.num_steps - 2)) * spikes.any(0)


# %%
# The encoder now has a name, like the encoders of this package. It needs more spikes than the
# latency code, but no clock: the gap stays the same if the whole image comes later.
train, test = load_digits()
encoders = {name: get_encoder(name, num_steps=12) for name in ("interval", "latency")}
print(f"{encoders['interval']} is an Encoder: {isinstance(encoders['interval'], Encoder)}")
spikes = {name: encode(test.images[:1]) for name, encode in encoders.items()}
decoded = {name: encoders[name].decode(spikes[name]) for name in encoders}
for name, encode in encoders.items():
    fired = encode(test.images)
    error = (encode.decode(fired) - test.images / 255).square().mean().sqrt()
    print(f"{name:10s}{fired.sum() / len(test):4.0f} spikes an image, error {error:.3f}")
figure = viz.codes(spikes, reconstructions=decoded)
# sphinx_gallery_alt = "A digit in the interval code and in the latency code"
figure.savefig("interval_code.png", dpi=120)
figure

# %%
# A classifier takes this encoder as any other.
for name, encoder in encoders.items():
    classifier = Classifier(LeakyMLP(hidden=200, seed=0), encoder)
    fit(classifier, train, TrainConfig(epochs=2, lr=0.005), progress=False)
    print(f"{name:10s}test accuracy {evaluate(classifier, test).accuracy:.1%}")
print("pictures: interval_code.png")

# %%
# It does not: both reach 91 to 92 %, and the gap costs nearly twice the spikes.
#
# Try: let only bright pixels fire, ``threshold: float = 0.5``. The error of the reconstruction
# grows. Does the accuracy fall with it?
#
# Next: `spikemnist.encoding.Encoder`, and among the how-tos
# *Write your own encoder*.
