"""All classes of attacks, those whose material takes longest last: they may find little time."""

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
