"""``spikemnist info``."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

import spikemnist
from spikemnist.cli.output import show
from spikemnist.cli.parser import Command, Options
from spikemnist.cli.threads import allowed_processors, waiting

SUMMARY = "Print versions, devices, load, backends and data, for bug reports."
EXAMPLES = """
spikemnist info
"""


def add_options(add: Options) -> None:
    """Add no options."""


def run(command: Command) -> int:
    """Print the facts for a bug report."""
    import torch

    required = [text for text in requires("spikemnist") or () if "extra ==" not in text]
    names = [re.split("[<>=; ]", text)[0] for text in required]
    show(
        command,
        spikemnist=spikemnist.__version__,
        python=f"{platform.python_version()} on {platform.platform()}, {sys.executable}",
        # PyTorch names its build, as in 2.15.0+cpu; its metadata may not.
        packages={**{name: _version(name) for name in names}, "torch": str(torch.__version__)},
        devices=spikemnist.training.available_devices(),
        processors=allowed_processors(),
        threads=torch.get_num_threads(),
        waiting=waiting(),
        load=_load(),
        **_backends(),
        encoders=spikemnist.encoding.available_encoders(),
        data=_data(),
    )
    return 0


def _backends() -> dict[str, list[str]]:
    """Return the backends that run here, and what ``auto`` takes on each device and why."""
    import torch

    backends, errors = [], []
    for backend in (name for name in spikemnist.ops.BACKENDS if name != "auto"):
        try:
            spikemnist.ops.select_backend(backend)
        except ValueError as error:
            if backend != "triton" or torch.cuda.is_available():
                errors.append(str(error))
        else:
            backends.append(backend)
    devices = {"event_driven": "on the CPU", "triton": "on CUDA"}
    auto = [f"{name} {device}" for name, device in devices.items() if name in backends]
    return {"backends": backends, "auto": [*auto, "else reference", *errors]}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is missing"


def _load() -> str:
    """Return how many processors all programs ask for; Windows does not count them."""
    with contextlib.suppress(AttributeError, OSError):
        return f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} processors"
    return ""


def _data() -> list[str]:
    """Return where each data set was found."""
    from spikemnist.data import mnist
    from spikemnist.events.nmnist import find_nmnist

    places, sets = ["digits in the package"], (mnist.MNIST, mnist.FASHION_MNIST)
    searches: dict[str, Any] = {one.title: partial(mnist.find_files, one) for one in sets}
    for title, find in (searches | {"N-MNIST": find_nmnist}).items():
        try:
            places.append(f"{title} in {find(None)}")
        except OSError:
            places.append(f"{title} not found")
    return places
