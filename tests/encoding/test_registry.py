"""Encoders by name, also those of other packages."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import torch

from spikemnist.encoding import (
    ENCODERS,
    RateEncoder,
    available_encoders,
    get_encoder,
    register_encoder,
    registry,
)
from spikemnist.encoding.registry import describe_encoder


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
    names = available_encoders()
    assert names == tuple(sorted(names))
    assert set(ENCODERS) <= set(names)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("latancy", "; did you mean latency?"),
        ("morse", ""),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    known = ", ".join(available_encoders())
    with pytest.raises(ValueError, match="unknown encoder") as caught:
        get_encoder(name, num_steps=3)
    assert str(caught.value) == (
        f"unknown encoder {name!r}; choose from {known}, or install the package that provides "
        f"it{hint}"
    )


def test_packages_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("dusk", "dusk_encoders:DuskEncoder", "spikemnist.encoders")
    monkeypatch.setattr("importlib.metadata.entry_points", EntryPoints([broken]).select)
    assert "dusk" in available_encoders()
    with pytest.raises(ValueError, match="'dusk' cannot be loaded from dusk_encoders:Dusk"):
        get_encoder("dusk", num_steps=3)


@pytest.mark.usefixtures("own_names")
def test_decorator() -> None:
    assert register_encoder("edge")(EdgeEncoder) is EdgeEncoder
    assert "edge" in available_encoders()
    assert get_encoder("edge", num_steps=4, strength=2.0) == EdgeEncoder(num_steps=4, strength=2.0)
    assert describe_encoder(EdgeEncoder(num_steps=4)) == {
        "name": "edge",
        "num_steps": 4,
        "strength": 1.0,
    }


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


PLUGIN = '''
from dataclasses import dataclass

@dataclass(frozen=True, kw_only=True)
class SunriseEncoder:
    """Each pixel of at least the level fires at every timestep from the first on."""

    num_steps: int
    level: float = 0.5

    def __call__(self, images, *, generator=None):
        return (images >= self.level).float().expand(self.num_steps, *images.shape)
'''


@pytest.mark.usefixtures("own_names")
def test_an_encoder_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "sunrise_encoders-1.0.dist-info"
    info.mkdir()
    (tmp_path / "sunrise_encoders.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Name: sunrise-encoders\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[spikemnist.encoders]\nsunrise = sunrise_encoders:SunriseEncoder\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "sunrise" in available_encoders()
    assert "sunrise_encoders" not in sys.modules, "a list of names imports no packages"
    encoder = get_encoder("sunrise", num_steps=3, level=0.25)
    assert encoder(torch.tensor([[0.1, 0.9]])).tolist() == [[[0.0, 1.0]]] * 3
    assert describe_encoder(encoder) == {"name": "sunrise", "num_steps": 3, "level": 0.25}
    with pytest.raises(ValueError, match="did you mean sunrise"):
        get_encoder("sunrice", num_steps=3)
