"""What all tests share, those in docstrings included."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def only_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPU of a desk: bits and backends are compared as they are on the CPU.

    Tests of devices have a fixture of this name which hides nothing.
    """
    hide_gpus(monkeypatch)


def hide_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the library find the CPU alone."""
    from spikemnist.training import devices

    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu",))
