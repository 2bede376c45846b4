"""
Three saccades
==============

N-MNIST is MNIST recorded by an event camera. A digit that stands still causes no events, so the
camera moved, in three saccades along a triangle. Here a digit of the package moves instead.

Question: a network gets the events of 315 ms in ten timesteps. Added up, do they still show the
digit, and can the movement be removed afterwards?

Level: going on. Before it: *An event camera*.
"""

import numpy as np
import torch
from matplotlib.figure import Figure

from spikemnist import load_digits, viz
from spikemnist.data import EVENT, EventDataset
from spikemnist.encoding import EventEncoder

# %%
# A corner of the triangle every 105 ms, and the light every 0.5 ms. The real camera speeds up and
# slows down in each saccade; this simulation does not. The rest is as in *An event camera*.
_, test = load_digits()
sensor = np.pad(test.images[test.labels == 3][0].numpy() / 255, ((0, 6), (0, 6)))


def light(right, down):
    """Return the logarithm of the light at each pixel when the digit has moved so far."""
    moved = sensor
    for axis, by in enumerate((down, right)):
        whole, part = int(by), by % 1
        near, far = np.roll(moved, whole, axis), np.roll(moved, whole + 1, axis)
        moved = (1 - part) * near + part * far
    return np.log(0.1 + moved)


def path(t):
    """Return how far the digit has moved to the right and down."""
    corners = 0, 105_000, 210_000, 315_000
    return np.interp(t, corners, (0, 3.5, 7, 0)), np.interp(t, corners, (0, 7, 0, 0))


times = np.arange(0, 315_000, 500)
right, down = path(times)
contrast, stored, reports = 0.4, light(0, 0), []
for t, *position in zip(times, right, down, strict=True):
    steps = ((light(*position) - stored) / contrast).astype(int)
    stored += steps * contrast
    for y, x in np.argwhere(steps):
        reports += abs(steps[y, x]) * [(t, x, y, steps[y, x] > 0)]
events = np.array(reports, EVENT)
figure = viz.event_frames(events, sensor=(34, 34), num_frames=12)
# sphinx_gallery_alt = "Twelve frames of events: a three moves down, up and back"
figure.savefig("saccades.png", dpi=120)
figure


# %%
# The encoder sorts events into timesteps, in which a pixel fires at most once for each polarity.
# The path of the camera is known, so a transform can move each event back.
def stabilise(events, sensor, generator):
    """Return the events at their positions for a camera at rest."""
    right, down = path(events["t"])
    still = events.copy()
    still["x"], still["y"] = np.rint(events["x"] - right), np.rint(events["y"] - down)
    return still, sensor


moving = EventDataset([events], torch.tensor([3]), sensor=(34, 34))
kinds = {"moving": moving, "stabilised": moving.transformed(stabilise)}
figure = Figure(figsize=(7, 3.4), layout="constrained")
for ax, (name, data) in zip(figure.subplots(1, 2), kinds.items(), strict=True):
    spikes = EventEncoder(num_steps=10)(next(data.batches(1))[0])
    total = spikes.sum((0, 2))[0]
    print(f"{name:12s}{int(total.sum()):5d} spikes at {int((total > 0).sum())} pixels")
    ax.imshow(total, cmap="gray")
    ax.set(xlabel="column", ylabel="row", title=name)
# sphinx_gallery_alt = "Summed spikes, blurred by the movement and sharp without it"
figure.savefig("event_spikes.png", dpi=120)
print("pictures: saccades.png, event_spikes.png")
figure

# %%
# The moving digit is blurred, over 426 pixels. Without the movement its edges are sharp, on 210.
#
# Try: write ``FirstSaccade()`` of `spikemnist.data` for ``stabilise``, to keep the first 105 ms. Is
# the digit sharp then?
#
# Next: `spikemnist.data.load_nmnist` loads real recordings, and *Event data* trains on them.
