"""Networks trained on MNIST that come with the package.

Each is a model file in ``weights`` beside a card, a JSON object with its measured figures.
`scripts/make_pretrained.py` writes both.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from spikemnist.encoding import get_encoder
from spikemnist.models.files import load_model, model_metadata

if TYPE_CHECKING:
    from spikemnist.encoding import Encoder
    from spikemnist.models.files import Model

_SUFFIX = ".safetensors"


def available_pretrained() -> tuple[str, ...]:
    """List the pretrained networks.

    Returns
    -------
    tuple of str
        Names for `load_pretrained`, sorted.

    Examples
    --------
    >>> available_pretrained()
    ('mnist-conv', 'mnist-mlp', 'mnist-sparse')
    """
    files = (resources.files(__package__) / "weights").iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def load_pretrained(name: str) -> tuple[Model, Encoder]:
    """Load a pretrained network and the encoder that makes spikes for it.

    Parameters
    ----------
    name : str
        One of `available_pretrained`. The page *Pretrained networks* of the documentation has the
        accuracy and the training of each.

    Returns
    -------
    model : LeakyMLP or LeakyConvNet
        The network, on the CPU.
    encoder : Encoder
        The encoder that the model was trained with.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> from spikemnist import evaluate, load_digits
    >>> model, encoder = load_pretrained("mnist-conv")
    >>> _, test = load_digits()
    >>> evaluate(model, test[:100], encoder=encoder).accuracy > 0.95
    True
    """
    if name not in available_pretrained():
        raise ValueError(f"name must be one of {', '.join(available_pretrained())}; got {name!r}")
    with resources.as_file(resources.files(__package__) / "weights" / f"{name}{_SUFFIX}") as file:
        return load_model(file), get_encoder(**model_metadata(file)["encoder"])
