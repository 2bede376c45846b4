"""Settings that go together, by the name under which ``spikemnist train --recipe`` finds them."""

from __future__ import annotations

from spikemnist.cli.options import Train

RECIPES = {
    "fast": Train(encoder="latency", num_steps=8, hidden=(512,), epochs=3, batch_size=64, lr=1e-2)
}
