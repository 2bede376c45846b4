"""Settings that go together: recipes by name, and the defaults for data and models.

Nothing heavy is imported here, so that ``spikemnist --help`` answers at once.
"""

from __future__ import annotations

from dataclasses import replace

from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.options import Encode, Learning, Neuron, Train

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
}
EVENTS["conv"] = replace(EVENTS["mlp"], model="conv", batch_norm=True)

# Chosen on 10,000 held-out training images of MNIST.
RECIPES = {
    "fast": {
        "mlp": Train(
            num_steps=4,
            hidden=(500,),
            epochs=6,
            batch_size=512,
            lr=2e-2,
            neuron=Neuron(threshold=0.5),
            learning=Learning(label_smoothing=0.1, optimizer="adamw"),
        ),
    },
    "accurate": {
        "mlp": Train(
            hidden=(800, 800),
            epochs=60,
            batch_size=128,
            lr=3e-3,
            learning=Learning(augment=("affine", "elastic")),
        ),
        "conv": replace(
            IMAGES["conv"],
            layers="32C5-P2-64C3-64C3-P2-128C3-10",
            num_steps=2,
            epochs=40,
            batch_size=128,
            lr=3e-3,
            learning=Learning(label_smoothing=0.1, augment=("affine",)),
        ),
    },
    "sparse": {
        "mlp": Train(
            num_steps=16,
            hidden=(200,),
            epochs=45,
            batch_size=128,
            neuron=Neuron(readout="first_spike"),
            learning=Learning(spike_penalty=1.5e-4, augment=("affine",)),
        ),
    },
}


def defaults_of(command: Train | Encode) -> Train | Encode:
    """Return the default settings for the recipe, data and model of a command."""
    of_events = command.data == "nmnist"
    if isinstance(command, Train):
        if command.recipe:
            return _recipe(command.recipe, command.model, of_events=of_events)
        return (EVENTS if of_events else IMAGES)[command.model]
    return Encode(encoder="events") if of_events else Encode()


def _recipe(name: str, model: str, *, of_events: bool) -> Train:
    if of_events:
        raise WrongRequest(f"--recipe {name} is for images, but nmnist has recordings; remove it")
    models = RECIPES[name]
    if model not in models:
        raise WrongRequest(f"--recipe {name} needs --model {' or '.join(models)}; got {model}")
    return models[model]
