"""Networks trained on MNIST that come with the package.

Each is a model file in ``weights`` beside a card, a JSON object with its measured results.
`scripts/make_pretrained.py` writes both.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import resources
from pathlib import Path

_SUFFIX = ".safetensors"


def available_pretrained() -> tuple[str, ...]:
    """List the pretrained networks.

    The page *Pretrained networks* of the documentation has the accuracy and the training of each.

    Returns
    -------
    tuple of str
        Names for `spikemnist.load`, sorted.

    Examples
    --------
    >>> available_pretrained()
    ('mnist-conv', 'mnist-mlp', 'mnist-sparse')
    """
    files = (resources.files(__package__) / "weights").iterdir()
    return tuple(sorted(f.name.removesuffix(_SUFFIX) for f in files if f.name.endswith(_SUFFIX)))


def pretrained_file(name: str) -> AbstractContextManager[Path]:
    """Return the file of a pretrained network, which is there within the context."""
    return resources.as_file(resources.files(__package__) / "weights" / f"{name}{_SUFFIX}")
