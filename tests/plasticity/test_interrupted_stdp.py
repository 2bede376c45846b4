"""Ctrl-C while features are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from spikemnist.encoding import LatencyEncoder
from spikemnist.plasticity import ConvSTDPClassifier
from tests.test_interrupts import Pressing
from tests.training.small_runs import digits

if TYPE_CHECKING:
    import torch


def test_convolutional_stdp_ends_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, calls = LatencyEncoder.__call__, []

    def encode_pressed(encoder: LatencyEncoder, *images: Any, **options: Any) -> torch.Tensor:
        calls.append(encoder)
        if len(calls) == 1:
            Pressing()
        return encode(encoder, *images, **options)

    monkeypatch.setattr(LatencyEncoder, "__call__", encode_pressed)
    data = digits(512)
    with pytest.raises(KeyboardInterrupt):
        ConvSTDPClassifier(8, epochs=2).fit(data.images, data.labels)
    assert len(calls) == 1
