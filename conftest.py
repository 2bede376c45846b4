"""What all tests share, those in docstrings included."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal

import pytest

if importlib.util.find_spec("triton") is not None:
    # Triton reads the variable when the module of the kernels is imported: before the doctests are
    # collected, so that NumPy can run the kernels in `tests.gpu`.
    os.environ["TRITON_INTERPRET"] = "1"
    import spikemnist.gpu.triton_kernels  # noqa: F401

    del os.environ["TRITON_INTERPRET"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has its background jobs ignore Ctrl-C, and so would all processes of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def only_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the GPU of a desk: bits and backends are compared as they are on the CPU.

    Tests of devices have a fixture of this name which hides nothing.
    """
    hide_gpus(monkeypatch)


def hide_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the library find the CPU alone."""
    from spikemnist.models import devices

    @functools.wraps(devices.available_devices)
    def only_the_cpu() -> tuple[str, ...]:
        return ("cpu",)

    monkeypatch.setattr(devices, "available_devices", only_the_cpu)
