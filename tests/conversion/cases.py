"""Wrong and right arguments of a conversion, for the laws of all arguments."""

from __future__ import annotations

from torch import nn

from spikemnist import load_digits
from spikemnist.data import ImageDataset
from spikemnist.models import convert

DIGITS = load_digits()[0][:40]
ANN = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

INTEGERS = [
    (
        "convert",
        lambda n: convert(ANN, DIGITS, num_steps=n, progress=False).classifier.encoder,
    )
]
VALUES = [
    (
        r"ann\[0\] must be nn.Flatten\(\); got Flatten\(start_dim=1, end_dim=2\)",
        lambda: convert(nn.Sequential(nn.Flatten(1, 2), nn.Linear(784, 10)), DIGITS),
    ),
    (
        "images.classes must be 20 names, as the ANN has outputs",
        lambda: convert(
            nn.Sequential(nn.Flatten(), nn.Linear(784, 20)),
            ImageDataset(DIGITS.images, DIGITS.labels, tuple("0123456789")),
        ),
    ),
    (
        r"A sum of two paths, such as x \+ f\(x\), cannot be converted",
        lambda: convert(nn.Bilinear(2, 2, 2), DIGITS),
    ),
]
"""Words of the error, and a call."""
