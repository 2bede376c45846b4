"""Energy of operations and of memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Technology:
    """Energy of single operations.

    Attributes
    ----------
    name
        Name of the technology.
    mac, ac
        Picojoules of a multiply-accumulate (MAC), and of an accumulate (AC).
    word
        Bytes of any number: of a weight and of a membrane alike.
    source
        Source of the numbers.

    Examples
    --------
    >>> chip = Technology("my chip", mac=2.0, ac=0.5, word=2, source="measured")
    >>> chip.mac / chip.ac, TECHNOLOGIES["45nm-fp32"].ac
    (4.0, 0.9)
    """

    name: str
    mac: float
    ac: float
    word: int
    source: str


_HOROWITZ = (
    "M. Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014, "
    "doi:10.1109/ISSCC.2014.6757323: 45 nm, 0.9 V"
)

TECHNOLOGIES = {
    technology.name: technology
    for technology in (
        Technology("45nm-fp32", 3.7 + 0.9, 0.9, 4, _HOROWITZ),
        Technology("45nm-fp16", 1.1 + 0.4, 0.4, 2, _HOROWITZ),
        Technology("45nm-int32", 3.1 + 0.1, 0.1, 4, _HOROWITZ),
        Technology("45nm-int8", 0.2 + 0.03, 0.03, 1, _HOROWITZ),
    )
}
"""Energy of operations by name."""

MEMORIES = {"8KB": 10 / 8, "32KB": 20 / 8, "1MB": 100 / 8, "DRAM": 1300 / 8}
"""Picojoules per byte by memory size, from the source of `TECHNOLOGIES`: accesses of 64 bits to a
cache, and its lowest number for DRAM."""

NANOJOULE = 1000.0
"""Picojoules of a nanojoule."""

BYTES = {"8KB": 8 << 10, "32KB": 32 << 10, "1MB": 1 << 20}
"""Size of each memory of limited size."""
