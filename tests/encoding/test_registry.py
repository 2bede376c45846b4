"""Encoders by name, also those of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from spikemnist.encoding import (
    RateEncoder,
    available_encoders,
    get_encoder,
    register_encoder,
    registry,
)
from spikemnist.encoding.registry import describe_encoder
from tests.encoding.encoder_cases import OFFERED


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))


@dataclass(frozen=True, kw_only=True)
class EdgeEncoder:
    num_steps: int
    strength: float = 1.0

    def __call__(
        self, images: torch.Tensor, *, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        return images.expand(self.num_steps, *images.shape)


def test_names() -> None:
    assert available_encoders() == tuple(sorted(available_encoders()))
    assert set(OFFERED) <= set(available_encoders())


@pytest.mark.usefixtures("own_names")
def test_a_code_whose_room_is_missing() -> None:
    registry.provide({"direct": "spikemnist.nowhere.direct.DirectEncoder"})
    assert "direct" not in available_encoders()
    with pytest.raises(ImportError, match=r"spikemnist\.nowhere is missing in this installation"):
        get_encoder("direct")


def test_unknown_names() -> None:
    known = ", ".join(available_encoders())
    for name, hint in {"latancy": "; did you mean latency?", "morse": ""}.items():
        with pytest.raises(ValueError, match="unknown encoder") as caught:
            get_encoder(name, num_steps=3)
        expected = f"unknown encoder {name!r}; choose from {known}, or import the module that "
        assert str(caught.value) == f"{expected}registers it{hint}"


@pytest.mark.usefixtures("own_names")
def test_decorator() -> None:
    assert register_encoder("edge")(EdgeEncoder) is EdgeEncoder
    assert "edge" in available_encoders()
    assert get_encoder("edge", num_steps=4, strength=2.0) == EdgeEncoder(num_steps=4, strength=2.0)
    described = describe_encoder(EdgeEncoder(num_steps=4))
    assert described == {"name": "edge", "num_steps": 4, "strength": 1.0}


@pytest.mark.usefixtures("own_names")
def test_names_that_are_taken() -> None:
    with pytest.raises(
        ValueError, match=r"'rate' is already used by spikemnist\.encoding\.rate\.RateEnc"
    ):
        register_encoder("rate")(EdgeEncoder)
    assert type(get_encoder("rate", num_steps=3)) is RateEncoder
    # A module that is loaded a second time, as notebooks do, registers its class again.
    register_encoder("edge")(EdgeEncoder)
    again = dataclass(frozen=True, kw_only=True)(type("EdgeEncoder", (EdgeEncoder,), {}))
    again.__module__ = EdgeEncoder.__module__
    register_encoder("edge")(again)
    assert type(get_encoder("edge", num_steps=3)) is again


@pytest.mark.usefixtures("own_names")
def test_encoders_that_a_name_does_not_build() -> None:
    """They are described by module and class, which `get_encoder` refuses."""

    class Plain:
        num_steps = 3

        def __call__(self, images: torch.Tensor, **_: Any) -> torch.Tensor:
            return images

    register_encoder("plain")(Plain)  # it does not say its options
    for encoder, options in (
        (EdgeEncoder(num_steps=4), {"num_steps": 4, "strength": 1.0}),
        (Plain(), {}),
    ):
        kind = type(encoder)
        description = describe_encoder(encoder)
        assert description == {"name": f"{__name__}.{kind.__qualname__}", **options}
        with pytest.raises(ValueError, match="unknown encoder"):
            get_encoder(**description)
