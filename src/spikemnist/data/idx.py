"""The IDX format of MNIST and its relatives: a header, then unsigned bytes.

Format: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, each size as a
big-endian 32-bit integer, then the values, the last dimension fastest (LeCun, Cortes and Burges,
"The MNIST database of handwritten digits").
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib

import torch

_UNSIGNED_BYTES = 0x08
_GZIP_MAGIC = b"\x1f\x8b"
LARGEST = 4 + 4 * 3 + 60_000 * 28 * 28
"""Bytes of the largest official file, the training images, unpacked."""

_CONTENTS = {0x0801: "labels", 0x0803: "images"}


def unpack(data: bytes, *, name: str) -> bytes:
    """Unpack gzip data; return any other data unchanged.

    The content decides, not the file name: browsers unpack some ``.gz`` files but keep the name.

    Raises
    ------
    ValueError
        If the gzip data is damaged or truncated, or unpacks to more than `LARGEST` bytes.
    """
    if not data.startswith(_GZIP_MAGIC):
        return data
    try:
        with gzip.open(io.BytesIO(data)) as file:
            unpacked = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{name} is a damaged or truncated gzip file: {error}") from error
    if len(unpacked) > LARGEST:  # a few MB of gzip may unpack to more than fits into memory
        raise ValueError(
            f"{name} unpacks to more than {LARGEST:,} bytes, the size of the largest official file"
        )
    return unpacked


def decode_idx(data: bytes, *, dims: int, name: str) -> torch.Tensor:
    """Decode IDX bytes into a tensor.

    Parameters
    ----------
    data
        The whole file, unpacked.
    dims
        Expected number of dimensions: 3 for images, 1 for labels.
    name
        Name of the file in error messages.

    Returns
    -------
    torch.Tensor
        uint8 with ``dims`` dimensions, in its own memory.

    Raises
    ------
    ValueError
        If the magic number or the number of bytes does not match.

    Examples
    --------
    >>> decode_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]), dims=1, name="labels")
    tensor([5, 0, 4], dtype=torch.uint8)
    """
    _check_magic(data, dims, name)
    start = 4 + 4 * dims
    if len(data) < start:
        raise ValueError(
            f"{name} is truncated: it has {len(data)} bytes, and its header alone takes {start}"
        )
    shape = struct.unpack_from(f">{dims}I", data, 4)
    expected = start + math.prod(shape)
    if len(data) != expected:
        fault = "is truncated" if len(data) < expected else "has trailing bytes"
        raise ValueError(
            f"{name} {fault}: it has {len(data)} bytes, and the shape {list(shape)} in its header "
            f"needs {expected}"
        )
    if expected == start:  # torch.frombuffer refuses an empty buffer
        return torch.empty(shape, dtype=torch.uint8)
    # A bytearray, because a tensor over immutable bytes could be written to.
    return torch.frombuffer(bytearray(memoryview(data)[start:]), dtype=torch.uint8).view(shape)


def _check_magic(data: bytes, dims: int, name: str) -> None:
    expected = _UNSIGNED_BYTES << 8 | dims
    if len(data) < 4:
        raise ValueError(f"{name} is truncated: {len(data)} bytes, too few for a magic number")
    magic = int.from_bytes(data[:4], "big")
    if magic == expected:
        return
    if magic in _CONTENTS:
        hint = f"; it holds {_CONTENTS[magic]}"
    elif data.lstrip()[:1] == b"<":
        hint = "; it looks like a web page, saved in place of the file"
    else:
        hint = ""
    raise ValueError(
        f"{name} has the magic number 0x{magic:08x}, expected 0x{expected:08x} "
        f"(IDX, unsigned bytes, dimensions: {dims}){hint}"
    )
