"""All classes of attacks. The slowest to prepare come last, since they may get little time."""

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

MODULES = (data_files, shapes, agreement, model_files, requests, interrupts, kills)
ATTACKS = tuple(attack for module in MODULES for attack in module.ATTACKS)
