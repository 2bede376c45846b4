"""Damage to files: flipped bits, truncation, foreign contents."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

SENTINEL = "code-was-executed"
"""Folder that malicious code makes in the working directory."""


def damage(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """Return a description of the damage, and the damaged contents."""
    kinds = (_flip, _flip, _flip, _cut, _zeros, _swap, _grow, _foreign)
    return draw.choice(kinds)(data, draw)


def _flip(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    damaged = bytearray(data)
    places = [draw.randrange(len(data)) for _ in range(draw.choice((1, 1, 1, 8)))]
    for place in places:
        damaged[place] ^= 1 << draw.randrange(8)
    return f"bits flipped at {places}", bytes(damaged)


def _cut(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    length = draw.choice((0, 1, len(data) - 1, draw.randrange(len(data))))
    return f"cut to {length} of {len(data)} bytes", data[:length]


def _zeros(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    begin = draw.randrange(len(data))
    length = min(draw.randrange(1, 512), len(data) - begin)
    damaged = data[:begin] + bytes(length) + data[begin + length :]
    return f"{length} bytes from {begin} on zeroed", damaged


def _swap(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    middle = draw.randrange(len(data))
    return f"swapped at {middle}", data[middle:] + data[:middle]


def _grow(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    more = draw.randbytes(draw.randrange(1, 100))
    return f"{len(more)} bytes appended", data + more


def _foreign(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    del data
    name = draw.choice(sorted(FOREIGN))
    return f"replaced by {name}", FOREIGN[name]


def png() -> bytes:
    """Return a PNG picture of one pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    )


class Malice:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (SENTINEL,)


def malicious(draw: random.Random) -> tuple[str, bytes]:
    """Return a pickle that executes code, plain or in torch's file format, and its description."""
    import torch

    content: object = draw.choice(
        (Malice(), {"model": Malice()}, {"format": "spikemnist-checkpoint-1", "settings": Malice()})
    )
    kind = draw.choice(("pickle", "torch", "old torch"))
    if kind == "pickle":
        return "a malicious pickle", pickle.dumps(content, draw.randrange(6))
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=kind == "torch")
    return f"a malicious {kind} file", stream.getvalue()


def executed() -> str | None:
    """Return a failure if code was executed in the working directory, else None."""
    return "code in the file was executed" if Path(SENTINEL).exists() else None


FOREIGN = {
    "nothing": b"",
    "a picture": png(),
    "a page": b"<!DOCTYPE html><html><body>404 not found</body></html>\n",
    "a pickle": pickle.dumps({"format": "spikemnist", "weights": [1, 2, 3]}),
    "a list in JSON": b"[1, 2, 3]",
    "UTF-16": '{"format": "spikemnist"}'.encode("utf-16"),
    "zeros": bytes(4096),
}
"""Contents of other kinds of files."""
