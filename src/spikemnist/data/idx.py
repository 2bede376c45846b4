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
    """Return what a gzip file holds, or ``data`` itself when it is no gzip file.

    The content decides, not the file's name: browsers unpack some ``.gz`` files while they keep
    the name.

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
    if len(unpacked) > LARGEST:  # a gzip file of some MB may unpack to more than there is memory
        raise ValueError(
            f"{name} unpacks to more than {LARGEST:,} bytes, the size of the largest official file"
        )
    return unpacked


def decode_idx(data: bytes, *, dims: int, name: str) -> torch.Tensor:
    """Read IDX bytes.

    Parameters
    ----------
    data
        The whole file, unpacked.
    dims
        Number of dimensions expected: 3 for images, 1 for labels.
    name
        How errors call the file.

    Returns
    -------
    torch.Tensor
        uint8, with ``dims`` dimensions, in memory of its own.

    Raises
    ------
    ValueError
        If the magic number is another one, or there are fewer or more bytes than the header
        says.

    Examples
    --------
    >>> decode_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]), dims=1, name="labels")
    tensor([5, 0, 4], dtype=torch.uint8)
    """
    _check_magic(data, dims, name)
    start = 4 + 4 * dims
    if len(data) < start:
        raise ValueError(f"{name} is truncated: {len(data)} bytes, its header alone has {start}")
    shape = struct.unpack_from(f">{dims}I", data, 4)
    expected = start + math.prod(shape)
    if len(data) != expected:
        fault = "is truncated" if len(data) < expected else "has trailing bytes"
        raise ValueError(
            f"{name} {fault}: {len(data)} bytes, its header {list(shape)} asks for {expected}"
        )
    if expected == start:  # torch.frombuffer refuses an empty buffer
        return torch.empty(shape, dtype=torch.uint8)
    # A bytearray, because a tensor over immutable bytes would let its user write to them.
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
