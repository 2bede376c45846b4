"""Tables of grey values: which encoders have one, and that it is all they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from spikemnist import Classifier, LatencyEncoder, LeakyMLP
from spikemnist.encoding import get_encoder
from spikemnist.export import to_onnx
from spikemnist.export.codebook import codebook
from tests.export.replay import DIGITS
from tests.rooms import of_rooms


@dataclass(frozen=True)
class Own:
    """An encoder of one's own: a code of what it makes of the images."""

    change: Callable[[Tensor, torch.Generator | None], Tensor]
    code: str = "latency"
    num_steps: int = 6

    def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        changed = self.change(images.float() / 255, generator).clamp(0, 1)
        return get_encoder(self.code, num_steps=self.num_steps)(changed)


def blurred(x: Tensor, _: object) -> Tensor:
    return functional.avg_pool2d(x.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)


def each_other_row(x: Tensor, _: object) -> Tensor:
    return x * (torch.arange(x.shape[-2]) % 2).view(-1, 1)


OWN = {
    "gamma": Own(lambda x, _: x.sqrt()),
    "gamma of a current": Own(lambda x, _: x**0.45, "direct"),
    "inverted": Own(lambda x, _: 1 - x),
    "steps of grey": Own(lambda x, _: (x * 4).round() / 4),
}
DEPENDENT = {
    "largest of the image": Own(lambda x, _: x / x.amax((-1, -2), keepdim=True).clamp(1e-6)),
    "largest of the batch": Own(lambda x, _: x / x.max().clamp(1e-6)),
    "mean of the image": Own(lambda x, _: x * (x > x.mean((-1, -2), keepdim=True))),
    "neighbours": Own(blurred),
    "place": Own(each_other_row),
    "size": Own(lambda x, _: x * (28 / x.shape[-2])),
    "weak noise of a current": Own(
        lambda x, generator: x * (1 + 1e-4 * torch.randn(x.shape, generator=generator)), "direct"
    ),
    "noise": Own(lambda x, generator: x + 0.02 * torch.randn(x.shape, generator=generator)),
    "global noise": Own(lambda x, _: x * (torch.rand(x.shape) < 0.995)),
}
CODES = ("latency", "direct", *of_rooms("CODES_OF_PIXELS"))
NAMED = {name: get_encoder(name, num_steps=8) for name in CODES}
NAMED["even rate"] = get_encoder("rate", num_steps=9, deterministic=True)
NAMED["log"] = LatencyEncoder(9, curve="log", clip=False)


@pytest.mark.parametrize("encoder", [*NAMED.values(), *OWN.values()], ids=[*NAMED, *OWN])
def test_table_is_what_an_encoder_does(encoder: Any) -> None:
    table = codebook(encoder)
    assert table.dtype == np.float32
    actual, expected = table[:, DIGITS.images.numpy()], encoder(DIGITS.images).float().numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize("encoder", DEPENDENT.values(), ids=[*DEPENDENT])
def test_encoders_without_a_table(encoder: Own) -> None:
    complaint = "Own has no table of grey values: it draws random numbers, or does not treat each"
    with pytest.raises(ValueError, match=complaint):
        codebook(encoder)


def test_encoder_of_other_timesteps() -> None:
    class Late(Own):
        def __call__(self, images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
            return super().__call__(images)[1:]

    with pytest.raises(ValueError, match="it returns 5 timesteps, expected 6"):
        codebook(Late(lambda x, _: x))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "does not treat each pixel alone") for name in of_rooms("OTHER_CODES")),
        ("rate", "it draws random numbers.*rate with deterministic=True"),
    ],
)
def test_codes_without_a_table(name: str, reason: str) -> None:
    complaint = rf"Encoder .*has no table .*{reason}.*export classifier\.network"
    with pytest.raises(ValueError, match=complaint):
        codebook(get_encoder(name, num_steps=4))


def test_own_encoder_in_a_file(tmp_path: Path) -> None:
    classifier = Classifier(LeakyMLP(hidden=20, seed=0), OWN["gamma"]).eval()
    session = onnxruntime.InferenceSession(str(to_onnx(classifier, tmp_path / "own.onnx")))
    actual, *_ = session.run(None, {"images": DIGITS.images.numpy()})
    assert (actual == classifier(DIGITS.images).predictions.numpy()).all()
