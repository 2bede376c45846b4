"""``spikemnist info``."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING

import torch

from spikemnist import __version__
from spikemnist.data.mnist import FASHION_MNIST, MNIST, find_folder
from spikemnist.data.nmnist import find_nmnist
from spikemnist.encoding import available_encoders
from spikemnist.encoding.splitmix import exact_device
from spikemnist.ops import BACKENDS, select_backend
from spikemnist.training import available_devices

if TYPE_CHECKING:
    from spikemnist.cli.options import Info


def run(command: Info) -> int:
    """Print the facts for a bug report."""
    required = [text for text in requires("spikemnist") or () if "extra ==" not in text]
    names = (re.split("[<>=; ]", text)[0] for text in required)
    packages = ", ".join(f"{name} {_version(name)}" for name in names)
    backends = ", ".join(name for name in BACKENDS if name != "auto")
    print(
        f"spikemnist  {__version__}\n"
        f"python      {platform.python_version()} on {platform.platform()}, {sys.executable}\n"
        f"packages    {packages}\n"
        f"devices     {', '.join(available_devices())}; {torch.get_num_threads()} threads\n"
        f"{_inexact()}"
        f"backends    {backends}\n"
        f"            {_backends()}"
        f"encoders    {', '.join(available_encoders())}\n"
        f"data        {_data()}"
    )
    return 0


def _backends() -> str:
    """Return the backend that ``auto`` takes on each device, and why others cannot run."""
    backends, errors = [], []
    for backend, device in (("event_driven", "the CPU"), ("triton", "CUDA")):
        try:
            select_backend(backend)
        except ValueError as error:
            if device == "the CPU" or torch.cuda.is_available():
                errors.append(f"            {error}\n")
        else:
            backends.append(f"{backend} on {device}, ")
    return f"auto takes {''.join(backends)}else reference\n{''.join(errors)}"


def _inexact() -> str:
    """Return a line about a GPU whose arithmetic the rate code cannot use, or an empty string."""
    gpu = torch.device(available_devices()[0])
    if exact_device(gpu) == gpu:
        return ""
    return f"            rate codes are drawn on the CPU: products of 64 bits are wrong on {gpu}\n"


def _version(package: str) -> str:
    if package == "torch":
        return str(torch.__version__)  # names the build, as in 2.15.0+cpu; its metadata may not
    try:
        return version(package)
    except PackageNotFoundError:
        return "is missing"


def _data() -> str:
    places = ["digits (in the package)"]
    for source in (MNIST, FASHION_MNIST):
        try:
            places.append(f"{source.title} in {find_folder(source, None)}")
        except OSError:
            places.append(f"{source.title} not found")
    try:
        places.append(f"N-MNIST in {find_nmnist(None)}")
    except OSError:
        places.append("N-MNIST not found")
    return ", ".join(places)
