"""The default options of a command, from the recipes of the library.

Nothing heavy is imported here, so that ``spikemnist --help`` answers at once.
"""

from __future__ import annotations

from spikemnist.cli.errors import WrongRequest
from spikemnist.cli.options import Encode, Train
from spikemnist.cli.runs import from_values
from spikemnist.training.recipe import Recipe, recipes


def defaults_of(command: Train | Encode) -> Train | Encode:
    """Return the default options for the recipe, data and model of a command."""
    of_events = command.data == "nmnist"
    if isinstance(command, Encode):
        return Encode(encoder="events") if of_events else Encode()
    name = command.recipe or ("events" if of_events else "default")
    if command.recipe and of_events:
        raise WrongRequest(f"--recipe {name} is for images, but nmnist has recordings; remove it")
    if (name, command.model) not in recipes:
        models = " or ".join(model for recipe, model in recipes if recipe == name)
        raise WrongRequest(f"--recipe {name} needs --model {models}; got {command.model}")
    return options_of(recipes[name, command.model], command.data)


def options_of(recipe: Recipe, data: str) -> Train:
    """Return the options that a recipe stands for."""
    values = {
        "data": data,
        "model": recipe.network,
        "encoder": recipe.encoder,
        "num_steps": recipe.num_steps,
        **recipe.options,
        **vars(recipe.config),
    }
    options: Train = from_values(Train, values)
    return options
