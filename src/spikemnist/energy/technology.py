"""What an operation costs: figures of the literature, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Technology:
    """Energy of single operations.

    Attributes
    ----------
    name
        As people call it.
    mac, ac
        Picojoules of a multiplication with an addition, and of an addition.
    word
        Bytes of a number.
    source
        Where the figures are from.

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
"""Picojoules for a byte of memory of a size, from the same source: accesses of 64 bits to a cache,
and the least that it gives for DRAM."""
