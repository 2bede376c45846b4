"""
An event camera
===============

An event camera takes no pictures. Each of its pixels reports on its own, at the very moment, that
it has become brighter or darker.

Question: a seven moves to the right in front of such a camera. Which of its strokes does the camera
report, and on which side of a stroke do pixels become brighter?

Level: going on.
"""

import numpy as np

from spikemnist import load_digits, viz
from spikemnist.data import EVENT

_, test = load_digits()
sensor = np.pad(test.images[test.labels == 7][0].numpy() / 255, ((0, 6), (0, 6)))


# %%
# Each pixel stores the logarithm of the light at its last event. Whenever that has changed by the
# contrast threshold, the pixel reports an event: time in microseconds, column, row, and whether it
# became brighter. A real camera has noise as well.
def light(right, down):
    """Return the logarithm of the light at each pixel when the digit has moved so far."""
    moved = sensor
    for axis, by in enumerate((down, right)):
        whole, part = int(by), by % 1
        near, far = np.roll(moved, whole, axis), np.roll(moved, whole + 1, axis)
        moved = (1 - part) * near + part * far
    return np.log(0.1 + moved)


times, right, down = np.arange(0, 100_000, 500), np.linspace(0, 6, 200), np.zeros(200)
contrast, stored, reports = 0.4, light(0, 0), []
for t, *position in zip(times, right, down, strict=True):
    steps = ((light(*position) - stored) / contrast).astype(int)
    stored += steps * contrast
    for y, x in np.argwhere(steps):
        reports += abs(steps[y, x]) * [(t, x, y, steps[y, x] > 0)]
events = np.array(reports, EVENT)
print(f"{len(events):,} events, {events['p'].mean():.0%} of them brighter")

# %%
# Four frames, each of the events of 25 ms. Which strokes are missing?
figure = viz.event_frames(events, sensor=(34, 34), num_frames=4)
# sphinx_gallery_alt = "Four frames of brighter and darker events on the two sides of a seven"
figure.savefig("event_frames.png", dpi=120)
print("pictures: event_frames.png")
figure

# %%
# The long stroke is there twice: brighter on the right, where it arrives, and darker on the left,
# which it leaves. The bar at the top moves along itself: in the middle of it hardly anything
# changes, so hardly any pixel reports it. What does not change costs no event. The frames are for
# our eyes: the camera has none. Its events are points in time and space.
#
# Try: begin the line of the times with ``times, down, right``, and the digit moves downwards. Which
# stroke appears, and on which side of it do pixels become darker?
#
# Next: *Three saccades*, and in the guide *Event data*.
