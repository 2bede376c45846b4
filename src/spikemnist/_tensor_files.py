"""Tensors and JSON metadata in a safetensors file, with a digest of its contents.

The metadata begins with the SHA-256 of the whole file, computed with zeros in the digest's place:
no byte can change undetected. Reading runs no code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch

from spikemnist import __version__
from spikemnist._atomic import write_atomically
from spikemnist._tensors import not_finite

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    Tensors = dict[str, Tensor]

DIGEST = "sha256"
UNKNOWN = "0" * 64
"""Placeholder of the digest while it is computed."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name
        Name in the metadata of files.
    title
        Name in error messages.
    entries
        Entries of the metadata besides digest, format and version.
    remedy
        Advice for a damaged file.
    later
        Entries that files of version 0.1.0 lack.
    """

    name: str
    title: str
    entries: tuple[str, ...]
    remedy: str
    later: tuple[str, ...] = ()


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
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if bad := not_finite(dense):
        raise ValueError(f"{bad} holds NaN or infinity, so {path} was not written")
    whole = {DIGEST: UNKNOWN, "format": kind.name, "version": __version__, **metadata}
    data = safetensors.torch.save(dense, {"spikemnist": json.dumps(whole)})
    signed = data.replace(UNKNOWN.encode(), hashlib.sha256(data).hexdigest().encode(), 1)
    return write_atomically(path, lambda file: file.write_bytes(signed))


def read(path: str | os.PathLike[str], kind: Format) -> tuple[Tensors, dict[str, Any]]:
    """Read a file of `write`; return its tensors and its metadata without the digest.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is damaged, not of this kind, or holds NaN or infinity.

    Warns
    -----
    UserWarning
        If the file has no digest, like files of version 0.1.0.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no {kind.title} at {path}")
    data = path.read_bytes()
    metadata = _metadata(data, path, kind)
    digest = metadata.pop(DIGEST, None)
    if digest is not None:
        _check_digest(data, digest, path, kind)
    _check_kind(metadata, path, kind, signed=digest is not None)
    try:
        tensors: Tensors = safetensors.torch.load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error}. {kind.remedy}") from error
    if bad := not_finite(tensors):
        raise ValueError(f"{path} holds NaN or infinity in {bad}. {kind.remedy}")
    if digest is None:
        warnings.warn(
            f"{path} has no digest of its contents, like all files of version 0.1.0: damage to "
            "its numbers would go unnoticed. Save it again to add a digest",
            stacklevel=1,  # here, so that Python shows it once for a file that is read twice
        )
    return tensors, metadata


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise a `ValueError` that names a tensor of unexpected name, shape or dtype."""
    for name in expected:
        if name not in found:
            raise ValueError(f"the tensor {name} is missing")
    for name, tensor in found.items():
        if name not in expected:
            raise ValueError(f"the tensor {name} is unknown")
        if (tensor.shape, tensor.dtype) != (expected[name].shape, expected[name].dtype):
            raise ValueError(f"{name} is {_kind(tensor)}; expected {_kind(expected[name])}")


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


def _metadata(data: bytes, path: Path, kind: Format) -> dict[str, Any]:
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")].decode())
        text = header.get("__metadata__", {}).get("spikemnist")
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged, or not a safetensors file. {kind.remedy}") from error
    if text is None:
        raise ValueError(f"{path} is a safetensors file, but not one that spikemnist wrote")
    try:
        metadata: dict[str, Any] = {**json.loads(text)}
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged: its metadata cannot be read. {kind.remedy}"
        ) from error
    return metadata


def _check_digest(data: bytes, digest: object, path: Path, kind: Format) -> None:
    unsigned = data.replace(str(digest).encode(errors="replace"), UNKNOWN.encode(), 1)
    if digest != hashlib.sha256(unsigned).hexdigest():
        raise ValueError(f"{path} is damaged: its contents do not match its SHA-256. {kind.remedy}")


def _check_kind(metadata: Mapping[str, Any], path: Path, kind: Format, *, signed: bool) -> None:
    found, version = metadata.get("format"), metadata.get("version")
    if found != kind.name:
        raise ValueError(
            f"{path} has format {found!r}, written by version {version}; "
            f"expected {kind.name!r}, a {kind.title}"
        )
    # A digest whose name is damaged is an unknown entry, so it is not taken for a missing digest.
    wrong = {*metadata} ^ {"format", "version", *kind.entries}
    if not signed:
        wrong -= {*kind.later}
    if wrong:
        raise ValueError(
            f"{path} is damaged: its metadata has missing or unknown entries, "
            f"{', '.join(sorted(wrong))}. {kind.remedy}"
        )


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
