"""Settings that go together, by the name under which ``spikemnist train --recipe`` finds them."""

from __future__ import annotations

from spikemnist.cli.options import Train

RECIPES = {
    # Chosen on 10,000 training images of MNIST that were held back, over three seeds.
    "fast": Train(encoder="latency", num_steps=6, hidden=(800,), epochs=3, batch_size=128, lr=0.01)
}
