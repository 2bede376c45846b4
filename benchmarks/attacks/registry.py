"""All classes of attacks, in the order of the table."""

from __future__ import annotations

from benchmarks.attacks import (
    agreement,
    data_files,
    interrupts,
    kills,
    model_files,
    requests,
    shapes,
)

MODULES = (kills, interrupts, data_files, model_files, shapes, requests, agreement)
ATTACKS = tuple(attack for module in MODULES for attack in module.ATTACKS)
