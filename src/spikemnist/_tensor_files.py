"""Tensors and JSON metadata in a safetensors file, with a digest of its contents.

The metadata begins with the SHA-256 of the whole file, computed with zeros in the digest's place:
no byte can change undetected. Reading runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from spikemnist import __version__
from spikemnist._arguments import must_be
from spikemnist._atomic import write_atomically
from spikemnist._tensors import not_finite

Tensors = dict[str, Tensor]

ZIP = b"PK\3\4"
"""First bytes of a zip; as the length of a safetensors header they would mean 67 MB."""

DIGEST = "sha256"
NO_DIGEST = "0" * 64
"""Placeholder of the digest while it is computed."""


class Format(NamedTuple):
    """A file format.

    Attributes
    ----------
    name : str
        Name in the metadata of files.
    title : str
        Name in error messages.
    remedy : str
        Advice for a damaged file.
    """

    name: str
    title: str
    remedy: str


def write(
    path: str | os.PathLike[str],
    kind: Format,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
) -> Path:
    """Write tensors and plain values atomically.

    Raises
    ------
    ValueError
        If a tensor holds NaN or infinity.
    OSError
        If the file cannot be written.
    """
    # Copies, as networks of a user's own may use one tensor in two places.
    dense = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
    if bad := not_finite(dense):
        raise ValueError(f"{bad} holds NaN or infinity, so {path} was not written")
    entries = {DIGEST: NO_DIGEST, "format": kind.name, "version": __version__, **metadata}
    data = safetensors.torch.save(dense, {"spikemnist": json.dumps(entries)})
    content = data.replace(NO_DIGEST.encode(), hashlib.sha256(data).hexdigest().encode(), 1)
    return write_atomically(path, lambda file: file.write_bytes(content))


def read(path: str | os.PathLike[str], kind: Format) -> tuple[Tensors, dict[str, Any]]:
    """Read a file of `write`; return its tensors and its metadata without the digest.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged, not of this kind, or holds NaN or infinity.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no {kind.title} at {path}")
    data = path.read_bytes()  # an unreadable file raises OSError, not damage
    if data.startswith(ZIP):
        raise ValueError(
            f"{path} is a zip, as torch.save writes: build the network as it was, and call its "
            f"load_state_dict(torch.load({str(path)!r}))"
        )
    try:
        metadata = _checked_metadata(data)
        tensors: Tensors = safetensors.torch.load(data)
        bad = not_finite(tensors)
    except Exception as error:  # bytes of any other kind may raise anything
        raise ValueError(
            f"{path} is damaged, or not a file of spikemnist. {kind.remedy}"
        ) from error
    if metadata.get("format") != kind.name:
        raise ValueError(
            f"{path} has format {metadata.get('format')!r}, written by version "
            f"{metadata.get('version')}; expected {kind.name!r}, a {kind.title}"
        )
    if bad:
        raise ValueError(f"{path} holds NaN or infinity in {bad}. {kind.remedy}")
    return tensors, metadata


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a file's format, or an empty string if it is none of spikemnist."""
    try:
        with Path(path).open("rb") as file:  # the header alone: `read` reads the rest
            size = file.read(8)
            return str(_metadata(size + file.read(int.from_bytes(size, "little")))["format"])
    except Exception:  # bytes of any other kind may raise anything
        return ""


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise a `ValueError` that names a tensor of unexpected name, shape or dtype."""
    for name in expected:
        if name not in tensors:
            raise ValueError(f"the tensor {name} is missing")
    for name, tensor in tensors.items():
        if name not in expected:
            raise ValueError(f"the tensor {name} is unknown")
        if (tensor.shape, tensor.dtype) != (expected[name].shape, expected[name].dtype):
            raise ValueError(f"{name} is {_kind(tensor)}; expected {_kind(expected[name])}")


def check_classes(classes: Collection[str]) -> None:
    """Raise a `ValueError` unless all names differ and can be printed.

    A file must not control a terminal.
    """
    printable = all(isinstance(name, str) and name.isprintable() for name in classes)
    if isinstance(classes, str) or not printable or len({*classes}) < len(classes):
        raise must_be("classes", "a tuple of different names without control characters", classes)


@contextlib.contextmanager
def described(path: str | os.PathLike[str], kind: Format) -> Iterator[None]:
    """Turn any error in the contents of a file into a `ValueError` that names the file."""
    try:
        yield
    except Exception as error:  # foreign metadata may raise anything
        reason = " ".join(str(error).split())
        reason = f"{reason} is missing" if isinstance(error, KeyError) else reason
        raise ValueError(
            f"{path} does not hold the {kind.title} that it describes: {reason}. {kind.remedy}"
        ) from error


def _checked_metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata of a file whose digest is right."""
    metadata = _metadata(data)
    digest = metadata.pop(DIGEST)
    content = data.replace(digest.encode(), NO_DIGEST.encode(), 1)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("the contents do not match their SHA-256")
    return metadata


def _metadata(data: bytes) -> dict[str, Any]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata: dict[str, Any] = json.loads(header["__metadata__"]["spikemnist"])
    return metadata


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
