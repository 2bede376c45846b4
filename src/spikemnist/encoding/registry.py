"""Encoders by name: those of the package, and those that a decorator registers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from spikemnist._arguments import suggestion
from spikemnist._descriptions import fields_of, plain
from spikemnist._doors import import_object, is_installed

if TYPE_CHECKING:
    from spikemnist.encoding.protocol import Encoder

_factories: dict[str, Callable[..., Encoder] | str] = {}
"""Class of each encoder; one of the package is ``module.Class`` until its first use."""

Factory = TypeVar("Factory", bound="Callable[..., Any]")


def register_encoder(name: str) -> Callable[[Factory], Factory]:
    """Return a decorator that registers a class under ``name``.

    `get_encoder` and `spikemnist.load` know the name once the module of the class is imported.

    Parameters
    ----------
    name : str
        Name for `get_encoder`, and in run folders and model files.

    Returns
    -------
    callable
        A decorator that returns the class unchanged.

    Raises
    ------
    TypeError
        For a name that is not a string, or is empty.
    ValueError
        If another class has the name already.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @register_encoder("threshold")
    ... @dataclass(frozen=True, kw_only=True)
    ... class ThresholdEncoder:
    ...     num_steps: int
    ...
    ...     def __call__(self, images, *, generator=None):
    ...         return (images > 127).float().expand(self.num_steps, *images.shape)
    >>> get_encoder("threshold", num_steps=4)
    ThresholdEncoder(num_steps=4)
    """
    if not isinstance(name, str) or not name:
        raise TypeError(
            "register_encoder takes the encoder's name, as in @register_encoder('my_code'); "
            f"got {name!r}"
        )

    def register(factory: Factory) -> Factory:
        used_by = _path(_factories[name]) if name in _factories else None
        if used_by not in (None, _path(factory)):
            raise ValueError(f"the encoder name {name!r} is already used by {used_by}")
        _factories[name] = factory
        return factory

    return register


def available_encoders() -> tuple[str, ...]:
    """List the names of the encoders that are there, of the package and registered ones.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> {"direct", "latency", "rate"} <= set(available_encoders())
    True
    """
    offered = (name for name, x in _factories.items() if not isinstance(x, str) or is_installed(x))
    return tuple(sorted(offered))


def get_encoder(name: str, *arguments: Any, **options: Any) -> Encoder:
    """Build an encoder by name.

    Parameters
    ----------
    name : str
        Name of the encoder, one of `available_encoders`.
    *arguments, **options
        Arguments of its class. The encoders of the package take ``num_steps`` first, 8 by default.

    Returns
    -------
    Encoder

    Raises
    ------
    ValueError
        For an unknown name, with the known names and the closest.
    TypeError
        For an option that the encoder does not have.
    ImportError
        If the package has such an encoder, but its room is missing.

    Examples
    --------
    >>> get_encoder("direct", 25)
    DirectEncoder(num_steps=25)
    """
    if not isinstance(name, str) or name not in _factories:
        names = available_encoders()
        raise ValueError(
            f"unknown encoder {name!r}; choose from {', '.join(names)}, or import the module that "
            f"registers it{suggestion(str(name), names)}"
        )
    factory = _factories[name]
    if isinstance(factory, str):
        factory = _factories[name] = import_object(factory)
    return factory(*arguments, **options)


def describe_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return the name and options with which `get_encoder` builds an equal encoder.

    Parameters
    ----------
    encoder : Encoder
        A dataclass whose class is registered. Another one has the name of its module and class, by
        which `get_encoder` does not find it.

    Returns
    -------
    dict
        ``{"name": ..., **options}``, ready for JSON.

    Examples
    --------
    >>> from spikemnist.encoding import DirectEncoder
    >>> describe_encoder(DirectEncoder(num_steps=4))
    {'name': 'direct', 'num_steps': 4}
    """
    kind = type(encoder)
    if not dataclasses.is_dataclass(encoder):
        return {"name": _path(kind)}
    names = (name for name, factory in _factories.items() if factory in (kind, _path(kind)))
    return {"name": next(names, _path(kind)), **plain(fields_of(encoder))}


def provide(paths: Mapping[str, str]) -> None:
    """Name the classes of encoders, as ``module.Class``, without importing them."""
    _factories.update(paths)


def _path(factory: Callable[..., Any] | str) -> str:
    return factory if isinstance(factory, str) else f"{factory.__module__}.{factory.__qualname__}"
