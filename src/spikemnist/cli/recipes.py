"""Settings that go together: recipes by their name, and what else data and models begin with."""

from __future__ import annotations

from spikemnist.cli.options import Encode, Train

RECIPES = {
    # Chosen on 10,000 training images of MNIST that were held back, over three seeds.
    "fast": Train(encoder="latency", num_steps=6, hidden=(800,), epochs=3, batch_size=128, lr=0.01)
}

IMAGES = {
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

EVENTS = {
    "mlp": Train(data="nmnist", encoder="events", num_steps=10, epochs=20, batch_size=32, lr=0.01),
    "conv": Train(
        data="nmnist",
        model="conv",
        encoder="events",
        num_steps=10,
        batch_norm=True,
        epochs=20,
        batch_size=32,
        lr=0.01,
    ),
}


def defaults_of(command: Train | Encode) -> Train | Encode:
    """Return the settings that a command begins with where no others are given."""
    of_events = command.data == "nmnist"
    if isinstance(command, Train):
        if command.recipe:
            return RECIPES[command.recipe]
        return (EVENTS if of_events else IMAGES)[command.model]
    return Encode(encoder="events") if of_events else Encode()
