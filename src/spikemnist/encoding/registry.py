"""Encoders by name: built-in, registered by a decorator, or provided by other packages."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from spikemnist._descriptions import fields_of, plain
from spikemnist._names import suggestion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from spikemnist.encoding.protocol import Encoder

ENTRY_POINT_GROUP = "spikemnist.encoders"

_paths: dict[str, str] = {}
"""Module and class of each encoder of the package, which are imported on first use."""

_factories: dict[str, Callable[..., Encoder]] = {}
"""Encoders that were registered, or imported."""

Factory = TypeVar("Factory", bound="Callable[..., Any]")


def register_encoder(name: str) -> Callable[[Factory], Factory]:
    """Return a decorator that registers a class under ``name``.

    The classes of a package that is installed but not imported are found through the entry-point
    group ``spikemnist.encoders`` instead.

    Parameters
    ----------
    name : str
        Name for `get_encoder` and the command line.

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
    ...         return (images > images.mean()).float().expand(self.num_steps, *images.shape)
    >>> get_encoder("threshold", num_steps=4)
    ThresholdEncoder(num_steps=4)
    """
    if not isinstance(name, str) or not name:
        raise TypeError(
            "register_encoder takes the encoder's name, as in @register_encoder('my_code'); "
            f"got {name!r}"
        )

    def register(factory: Factory) -> Factory:
        used_by = _path(_factories[name]) if name in _factories else _paths.get(name)
        if used_by not in (None, _path(factory)):
            raise ValueError(f"the encoder name {name!r} is already used by {used_by}")
        _factories[name] = factory
        return factory

    return register


def available_encoders() -> tuple[str, ...]:
    """List the names of all encoders, registered and installed.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> {"direct", "latency", "rate"} <= set(available_encoders())
    True
    """
    return tuple(sorted({*_paths, *_factories, *_plugins().names}))


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
        For an unknown name, with the known names and the closest, and for an encoder of another
        package that cannot be loaded.
    TypeError
        For an option that the encoder does not have.

    Examples
    --------
    >>> get_encoder("delta", 25)
    DeltaEncoder(num_steps=25, threshold=0.1)
    """
    return _factory(name)(*arguments, **options)


def describe_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return the name and options with which `get_encoder` builds an equal encoder.

    Parameters
    ----------
    encoder : Encoder
        A dataclass whose class is registered or provided by an entry point. Another one has the
        name of its module and class, by which `get_encoder` does not find it.

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
    # An installed plug-in is loaded only if the class is not among the registered ones.
    own = [name for name, path in _paths.items() if path == _path(kind)]
    names = own or (*_factories, *available_encoders())
    options: dict[str, Any] = {}
    if dataclasses.is_dataclass(encoder):
        options = plain(fields_of(encoder))
    name = next((name for name in names if options and _factory(name) is kind), _path(kind))
    return {"name": name, **options}


def provide(paths: Mapping[str, str]) -> None:
    """Name the classes of encoders, as ``module.Class``, without importing them."""
    _paths.update(paths)


def _factory(name: str) -> Callable[..., Encoder]:
    if name in _paths:
        module, _, kind = _paths[name].rpartition(".")
        _factories[name] = getattr(importlib.import_module(module), kind)
    if name not in _factories:
        plugins = _plugins().select(name=name)
        if not plugins:
            names = available_encoders()
            raise ValueError(
                f"unknown encoder {name!r}; choose from {', '.join(names)}, or install the package "
                f"that provides it{suggestion(name, names)}"
            )
        (plugin, *_) = plugins
        try:
            _factories[name] = plugin.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(
                f"the encoder {name!r} cannot be loaded from {plugin.value}: {error}"
            ) from error
    return _factories[name]


def _path(factory: Callable[..., Any]) -> str:
    return f"{factory.__module__}.{factory.__qualname__}"


def _plugins() -> EntryPoints:
    """Return the entry points of installed packages that register encoders."""
    from importlib.metadata import entry_points  # takes 20 ms

    return entry_points(group=ENTRY_POINT_GROUP)
