"""Settings that go together: recipes by their name, and what else a model begins with."""

from __future__ import annotations

from spikemnist.cli.options import Train

RECIPES = {
    # Chosen on 10,000 training images of MNIST that were held back, over three seeds.
    "fast": Train(encoder="latency", num_steps=6, hidden=(800,), epochs=3, batch_size=128, lr=0.01)
}

MODELS = {
    "mlp": Train(),
    "conv": Train(
        model="conv",
        encoder="direct",
        num_steps=4,
        batch_norm=True,
        epochs=6,
        batch_size=64,
        lr=0.01,
    ),
}
