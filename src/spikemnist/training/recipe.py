"""Recipes: a network, a code and the settings of a training, tried together.

Nothing heavy is imported here, so that the command line can show them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from spikemnist._names import NUM_STEPS, NetworkName
from spikemnist.training.config import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from spikemnist.models import Classifier

IMAGE, SENSOR, CLASSES = (28, 28), (34, 34), 10
"""Shapes of an image of MNIST and of the sensor of N-MNIST, and their number of classes."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network, a code and the settings of a training.

    Parameters
    ----------
    network : str, default "mlp"
        ``"mlp"``, a `LeakyMLP`, or ``"conv"``, a `LeakyConvNet`.
    options : mapping, default {}
        Keyword arguments of the network, such as ``hidden`` or ``layers``.
    encoder : str, default "latency"
        Name of the encoder.
    num_steps : int, default 8
        Number of timesteps.
    config : TrainConfig, default TrainConfig()
        Settings of `fit`.

    Raises
    ------
    ValueError
        If there is no such network.

    Examples
    --------
    >>> recipe = recipes["fast", "mlp"]
    >>> classifier = recipe.classifier(seed=0)
    >>> classifier.network.sizes, classifier.encoder.num_steps, recipe.config.epochs
    ({'hidden 1': 500, 'output': 10}, 4, 6)
    """

    network: NetworkName = "mlp"
    options: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = "latency"
    num_steps: int = NUM_STEPS
    config: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        if self.network not in get_args(NetworkName):
            raise ValueError(
                f"network must be {' or '.join(get_args(NetworkName))}; got {self.network!r}"
            )

    def classifier(
        self, seed: int = 0, *, image: Sequence[int] = IMAGE, classes: Sequence[str] = ()
    ) -> Classifier:
        """Return a new classifier for images, or for N-MNIST with the code ``"events"``.

        Parameters
        ----------
        seed : int, default 0
            Seed of the weights.
        image : sequence of int, default (28, 28)
            Shape of an image, ``[H, W]``, ``[C, H, W]`` or ``[F]``.
        classes : sequence of str, default ()
            Names of the classes; ``()`` for ten without names.

        Returns
        -------
        Classifier

        Raises
        ------
        ValueError
            If the encoder is unknown, an option is out of range, or the network does not fit the
            code, the images or the classes.

        Examples
        --------
        >>> recipes["default", "conv"].classifier().network.notation
        '12C5-P2-64C5-P2-10'
        """
        from spikemnist.encoding import get_encoder
        from spikemnist.models import Classifier, LeakyConvNet, LeakyMLP

        encoder: Any = get_encoder(self.encoder, num_steps=self.num_steps)
        shape = _blank(encoder, image).shape[2:]
        outputs = len(classes) or CLASSES
        picture = (1, *shape) if len(shape) == 2 else tuple(shape)
        if self.network == "mlp":
            network = LeakyMLP(shape.numel(), out_features=outputs, seed=seed, **self.options)
            return Classifier(network, encoder, classes)
        convolutions = LeakyConvNet(in_shape=picture, seed=seed, **self.options)
        if (neurons := convolutions.sizes["output"]) != outputs:
            raise ValueError(
                f"layers must end in {outputs}, a neuron for each class; got {neurons} in "
                f"{convolutions.notation}"
            )
        return Classifier(convolutions, encoder, classes)


def _blank(encoder: Any, image: Sequence[int]) -> Any:
    """Return the spikes of one blank sample."""
    import numpy as np
    import torch

    from spikemnist.data import EVENT, EventBatch
    from spikemnist.encoding import EventEncoder

    sample: Any = torch.zeros((1, *image), dtype=torch.uint8)
    if isinstance(encoder, EventEncoder):
        sample = EventBatch.gather([np.empty(0, EVENT)], SENSOR)
    return encoder(sample)


_CONV = Recipe(
    network="conv",
    options={"batch_norm": True},
    encoder="direct",
    num_steps=4,
    config=TrainConfig(epochs=6),
)
_EVENTS = Recipe(encoder="events", num_steps=10, config=TrainConfig(epochs=20, batch_size=32))
_FASHION = TrainConfig(epochs=40, batch_size=128, lr=3e-3, label_smoothing=0.1, augment=("flip",))

# Chosen on 10,000 held-out training images of MNIST; "fashion" on those of Fashion-MNIST.
recipes: dict[tuple[str, str], Recipe] = {
    ("default", "mlp"): Recipe(options={"hidden": (512,)}),
    ("default", "conv"): _CONV,
    ("events", "mlp"): replace(_EVENTS, options={"hidden": (512,)}),
    ("events", "conv"): replace(_EVENTS, network="conv", options={"batch_norm": True}),
    ("fast", "mlp"): Recipe(
        options={"hidden": (500,), "threshold": 0.5},
        num_steps=4,
        config=TrainConfig(
            epochs=6, batch_size=512, lr=2e-2, label_smoothing=0.1, optimizer="adamw"
        ),
    ),
    ("accurate", "mlp"): Recipe(
        options={"hidden": (800, 800)},
        config=TrainConfig(epochs=60, batch_size=128, lr=3e-3, augment=("affine", "elastic")),
    ),
    ("accurate", "conv"): replace(
        _CONV,
        options={"layers": "32C5-P2-64C3-64C3-P2-128C3-10", "batch_norm": True},
        num_steps=2,
        config=TrainConfig(
            epochs=40, batch_size=128, lr=3e-3, label_smoothing=0.1, augment=("affine",)
        ),
    ),
    ("fashion", "mlp"): Recipe(
        options={"hidden": (1024, 1024), "batch_norm": True, "dropout": 0.4},
        encoder="direct",
        num_steps=4,
        config=_FASHION,
    ),
    ("fashion", "conv"): replace(
        _CONV,
        options={"layers": "64C5p2-P2-128C3-P2-256C3-10", "batch_norm": True, "dropout": 0.2},
        num_steps=2,
        config=replace(
            _FASHION, epochs=45, augment=("flip", "erase"), optimizer="adamw", weight_decay=0.1
        ),
    ),
    ("sparse", "mlp"): Recipe(
        options={"hidden": (200,), "readout": "first_spike"},
        num_steps=16,
        config=TrainConfig(epochs=45, batch_size=128, spike_penalty=1.5e-4, augment=("affine",)),
    ),
}
"""The recipes by name and kind of network: ``"default"`` for images, ``"events"`` for N-MNIST,
``"fast"``, ``"accurate"`` and ``"sparse"``; ``"fashion"`` is the accurate one for Fashion-MNIST."""
