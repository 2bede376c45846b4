"""
Events of a moving digit
========================

N-MNIST was recorded by an event camera that moved in three saccades in front of MNIST digits. Here
the camera is simulated, and a digit of the package moves in front of it.
"""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.nn import functional

from spikemnist import load_digits, viz
from spikemnist.data import EVENT, EventDataset, Stabilize
from spikemnist.encoding import EventEncoder

# %%
# The digit moves along the triangle of N-MNIST: a corner every 105 ms, a sample every 0.5 ms. The
# real camera speeds up and slows down in each saccade, and has noise; this simulation has neither.
_, test = load_digits()
image, label = next(test[test.labels == 3].batches(1))
time, corners = np.arange(0, 315_000, 500), (0, 105_000, 210_000, 315_000)
shift = np.stack([np.interp(time, corners, to) for to in ([0, 3.5, 7, 0], [0, 7, 0, 0])], 1)
theta = torch.eye(2, 3).repeat(len(time), 1, 1)
theta[:, :, 2] = torch.from_numpy(-shift * 2 / 34)
sensor = functional.pad(image / 255, (0, 6, 0, 6)).expand(len(time), 1, 34, 34)
grid = functional.affine_grid(theta, list(sensor.shape), align_corners=False)
light = torch.log(0.1 + functional.grid_sample(sensor, grid, align_corners=False)[:, 0]).numpy()

# %%
# Each pixel stores the logarithm of the light at its last event. Whenever it has changed by the
# contrast threshold, the pixel reports an event: time, column, row, brighter or not. Pixels without
# changes report no events, so in space and time the events follow the edges.
contrast, reported, reports = 0.4, light[0].copy(), []
for t, now in zip(time, light, strict=True):
    steps = ((now - reported) / contrast).astype(int)
    reported += steps * contrast
    for y, x in np.argwhere(steps):
        reports += abs(steps[y, x]) * [(t, x, y, steps[y, x] > 0)]
events = np.array(reports, EVENT)
print(f"{len(events):,} events, {events['p'].mean():.0%} of them brighter")
figure = viz.event_frames(events, sensor=(34, 34), num_frames=12)
# sphinx_gallery_alt = "Twelve frames of brighter and darker events along a moving three"
figure.savefig("event_frames.png", dpi=120)
figure

# %%
# The same events as points: the plane is the sensor, and time runs through it.
figure = viz.event_scatter(events, sensor=(34, 34)).get_figure()
# sphinx_gallery_alt = "Events as points in space and time, along the path of the digit"
figure.savefig("event_scatter.png", dpi=120)
figure

# %%
# The encoder sorts events into timesteps. Summed over time, a moving digit is blurred (left);
# `spikemnist.data.Stabilize` removes the movement and leaves the edges (right).
moving = EventDataset([events], label, sensor=(34, 34))
figure = Figure(figsize=(7, 3.4), layout="constrained")
for ax, data in zip(figure.subplots(1, 2), (moving, moving.transformed(Stabilize())), strict=True):
    spikes = EventEncoder(num_steps=10)(next(data.batches(1))[0])
    ax.imshow(spikes.sum((0, 2))[0], cmap="gray")
    ax.set(xlabel="column", ylabel="row")
    ax.set_title(f"{int(spikes.sum())} spikes in {list(spikes.shape)}", fontsize=9)
# sphinx_gallery_alt = "Summed spikes, blurred by the movement and sharp without it"
figure.savefig("event_spikes.png", dpi=120)
print("pictures: event_frames.png, event_scatter.png, event_spikes.png")
figure

# %%
# `spikemnist.data.load_nmnist` loads real recordings in this form. Next: *Event data* in the guide.
