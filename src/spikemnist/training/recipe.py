"""Recipes: a network, an encoder and the settings of a training, tried together.

The description of a run is its recipe. Nothing heavy is imported here, so that the command line can
show recipes at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from spikemnist._descriptions import fields_of, plain
from spikemnist._names import NUM_STEPS
from spikemnist.models.network_options import LAYERS
from spikemnist.training.config import TrainConfig

if TYPE_CHECKING:
    from spikemnist.models import Classifier

NUM_CLASSES = 10
"""Number of classes of MNIST and N-MNIST."""

SMALL, SMALL_LAYERS = 16, "12C3p1-P2-64C3p1-P2-10"
"""Shorter side, in pixels, below which kernels of 5 x 5 do not fit; layers for such images."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network, an encoder and the settings of a training.

    Two recipes are equal if their fields are.

    Parameters
    ----------
    network : mapping, default {"name": "mlp"}
        ``"mlp"``, a `LeakyMLP`, or ``"conv"``, a `LeakyConvNet`, as ``name``, with keyword
        arguments such as ``hidden`` or ``layers``. Without ``layers``, images of less than 16
        pixels in height or width get kernels of 3 x 3.
    encoder : mapping, default {"name": "latency", "num_steps": 8}
        Name and options of the encoder, as for `spikemnist.encoding.get_encoder`.
    sample : tuple of int, default (28, 28)
        Shape of an image, ``(H, W)``, ``(C, H, W)`` or ``(F,)``, or of the sensor of an event
        camera.
    classes : tuple of str, default ()
        Names of the classes; ``()`` for ten without names.
    config : TrainConfig, default TrainConfig()
        Settings of `fit`.

    Examples
    --------
    >>> recipe = recipes["fast", "mlp"]
    >>> classifier = recipe.classifier(seed=0)
    >>> classifier.network.sizes, classifier.encoder.num_steps, recipe.config.epochs
    ({'hidden 1': 500, 'output': 10}, 4, 6)
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
    """

    network: Mapping[str, Any] = field(default_factory=lambda: {"name": "mlp"})
    encoder: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "latency", "num_steps": NUM_STEPS}
    )
    sample: tuple[int, ...] = (28, 28)
    classes: tuple[str, ...] = ()
    config: TrainConfig = field(default_factory=TrainConfig)

    @classmethod
    def of(cls, classifier: Classifier, config: TrainConfig, sample: tuple[int, ...]) -> Recipe:
        """Return the recipe of a classifier, in plain values.

        Parameters
        ----------
        classifier : Classifier
            Its network and encoder. Those of other kinds than the recipes have, as those of a
            user's own, are described by module and name, and cannot be built again.
        config : TrainConfig
            Settings, of which functions are described by module and name as well.
        sample : tuple of int
            Shape of a sample.

        Returns
        -------
        Recipe
        """
        from spikemnist.models.files import describe_classifier

        parts = describe_classifier(classifier.network, classifier.encoder, classifier.classes)
        return cls.from_json({**parts, "sample": sample, "config": plain(fields_of(config))})

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a description, such as ``config.json`` of a run has.

        Parameters
        ----------
        values : mapping
            Fields by name, as of `to_json`; others are left out.

        Returns
        -------
        Recipe

        Raises
        ------
        ValueError
            If a field is missing, or has another form.
        """
        try:
            parts = {name: _tuples(values[name]) for name in cls.__dataclass_fields__}
            return cls(**{**parts, "config": TrainConfig(**parts["config"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no description of a run: {error!r}") from error

    def to_json(self) -> dict[str, Any]:
        """Return the fields in the types of JSON.

        Returns
        -------
        dict
            Fields by name, for `from_json`.
        """
        return dict(plain({**fields_of(self), "config": fields_of(self.config)}))

    def classifier(self, seed: int = 0) -> Classifier:
        """Return a new classifier for images, or for recordings with the code ``"events"``.

        Parameters
        ----------
        seed : int, default 0
            Seed of the weights.

        Returns
        -------
        Classifier

        Raises
        ------
        TypeError, ValueError
            If there is no such network or encoder, an option is unknown or out of range, or the
            network does not fit the code, the images or the classes.

        Examples
        --------
        >>> recipes["default", "conv"].classifier().network.config["layers"]
        '12C5-P2-64C5-P2-10'
        """
        from spikemnist.encoding import get_encoder
        from spikemnist.models import Classifier
        from spikemnist.models.files import build_network

        encoder: Any = get_encoder(**self.encoder)
        shape = _blank(encoder, self.sample).shape[2:]
        number = len(self.classes) or NUM_CLASSES
        fitted: dict[str, Any] = {"in_features": shape.numel(), "out_features": number}
        if self.network["name"] == "conv":
            layers = SMALL_LAYERS if min(shape[-2:]) < SMALL else LAYERS
            fitted = {"in_shape": (1, *shape) if len(shape) == 2 else tuple(shape)}
            fitted["layers"] = with_classes(layers, number)
        network = build_network({**fitted, "seed": seed, **self.network})
        last = network.sizes["output"] // network.population
        # The description of a network that was built has sizes of its own.
        if last != number and not {"in_shape", "out_features"} & self.network.keys():
            raise ValueError(
                f"layers must end in {number}, the number of classes; got {last} in "
                f"{network.config['layers']}"
            )
        return Classifier(network, encoder, self.classes)


def with_classes(layers: str, classes: int) -> str:
    """Return layers of a `LeakyConvNet` that end in this number of classes."""
    return re.sub(r"\d+$", str(classes), layers)


def _tuples(value: Any) -> Any:
    """Return a value of JSON with tuples for its lists."""
    if isinstance(value, dict):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _blank(encoder: Any, sample: tuple[int, ...]) -> Any:
    """Return the spikes of one blank sample."""
    import torch

    if hasattr(encoder, "blank"):
        return encoder(encoder.blank(sample))
    return encoder(torch.zeros((1, *sample), dtype=torch.uint8))


def _code(name: str, num_steps: int) -> dict[str, Any]:
    return {"name": name, "num_steps": num_steps}


_CONV = Recipe(
    network={"name": "conv", "batch_norm": True},
    encoder=_code("direct", 4),
    config=TrainConfig(epochs=6),
)
_EVENTS = Recipe(
    network={"name": "mlp", "hidden": (512,)},
    encoder=_code("events", 10),
    sample=(34, 34),
    config=TrainConfig(epochs=20, batch_size=32),
)
_FASHION = TrainConfig(epochs=40, batch_size=128, lr=3e-3, label_smoothing=0.1, augment=("flip",))

_ACCURATE_CONV = Recipe(
    network={"name": "conv", "layers": "32C5-P2-64C3-64C3-P2-128C3-10", "batch_norm": True},
    encoder=_code("direct", 2),
    config=TrainConfig(
        epochs=40, batch_size=128, lr=3e-3, label_smoothing=0.1, augment=("affine",)
    ),
)

# Chosen on 10,000 held-out training images of MNIST; "fashion" on those of Fashion-MNIST.
recipes: dict[tuple[str, str], Recipe] = {
    ("default", "mlp"): Recipe(network={"name": "mlp", "hidden": (512,)}),
    ("default", "conv"): _CONV,
    ("events", "mlp"): _EVENTS,
    ("events", "conv"): replace(_EVENTS, network=_CONV.network),
    ("fast", "mlp"): Recipe(
        network={"name": "mlp", "hidden": (500,), "threshold": 0.5},
        encoder=_code("latency", 4),
        config=TrainConfig(
            epochs=6, batch_size=512, lr=2e-2, label_smoothing=0.1, optimizer="adamw"
        ),
    ),
    ("accurate", "mlp"): Recipe(
        network={"name": "mlp", "hidden": (800, 800)},
        config=TrainConfig(epochs=60, batch_size=128, lr=3e-3, augment=("affine", "elastic")),
    ),
    ("accurate", "conv"): _ACCURATE_CONV,
    ("fashion", "mlp"): Recipe(
        network={"name": "mlp", "hidden": (1024, 1024), "batch_norm": True, "dropout": 0.4},
        encoder=_code("direct", 4),
        config=_FASHION,
    ),
    ("fashion", "conv"): Recipe(
        network={
            "name": "conv",
            "layers": "64C5p2-P2-128C3-P2-256C3-10",
            "batch_norm": True,
            "dropout": 0.2,
        },
        encoder=_code("direct", 2),
        config=replace(
            _FASHION, epochs=45, augment=("flip", "erase"), optimizer="adamw", weight_decay=0.1
        ),
    ),
    ("sparse", "mlp"): Recipe(
        network={"name": "mlp", "hidden": (400,), "readout": "first_spike"},
        encoder=_code("latency", 16),
        config=TrainConfig(epochs=60, batch_size=128, spike_penalty=3e-4, augment=("affine",)),
    ),
    ("sparse", "conv"): replace(
        _ACCURATE_CONV,
        encoder=_code("direct", 1),  # in one timestep no neuron fires twice
        config=replace(_ACCURATE_CONV.config, epochs=30, spike_penalty=2e-5),
    ),
}
"""The recipes by name and kind of network: ``"default"`` for images, ``"events"`` for N-MNIST,
``"fast"``, ``"accurate"`` and ``"sparse"``; ``"fashion"`` is the accurate one for Fashion-MNIST."""
