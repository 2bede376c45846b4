"""Compare libraries that read a network from NIR.

Each library reads the same graph and runs it on test digits in latency code. Its output spikes and
its answers, by spike count, are compared with this package. Norse and Sinabs take part if they are
installed.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import logging
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.report import NOTHING, table
from spikemnist.data import load_digits
from spikemnist.encoding import LatencyEncoder
from spikemnist.export import from_nir, to_nir
from spikemnist.models import LeakyConvNet, LeakyMLP
from spikemnist.training import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from spikemnist.models.network import SpikingNetwork

DIGITS, TIMESTEP = 200, 1e-4
CODE = LatencyEncoder(num_steps=8)
OPTIONS: Any = {"reset_mechanism": "zero", "readout": "spike_count"}


def networks() -> dict[str, SpikingNetwork]:
    """Return networks that NIR can express, trained on the embedded digits for three epochs."""
    torch.manual_seed(0)
    made: dict[str, SpikingNetwork] = {
        "784-100-10": LeakyMLP(hidden=100, **OPTIONS),
        "6C5-AP2-12C5-AP2-10": LeakyConvNet("6C5-AP2-12C5-AP2-10", batch_norm=True, **OPTIONS),
    }
    for network in made.values():
        fit(network, load_digits()[0], encoder=CODE, epochs=3, lr=0.01, progress=False)
    return made


def measure(item: tuple[str, SpikingNetwork]) -> dict[str, Any]:
    """Run one network in every reader.

    Returns
    -------
    dict
        The network, the versions of the packages, and for each reader either the number of digits
        with different output spikes and the number with the same answer, or the error.
    """
    name, network = item
    spikes = CODE(load_digits()[1].images[:DIGITS])
    shape = getattr(network, "in_shape", (784,))
    spikes = spikes.reshape(*spikes.shape[:2], *shape)
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable()
        ours = network.eval()(spikes).spikes
        found = {
            reader: _compare(ours, read, to_nir(network, dt=TIMESTEP), spikes)
            for reader, read in READERS.items()
        }
        logging.disable(logging.NOTSET)
    return {"network": name, "readers": found, "versions": _versions()}


def _compare(
    ours: Tensor, read: Callable[[Any, Tensor], Tensor], graph: Any, spikes: Tensor
) -> dict[str, Any]:
    try:
        theirs = read(graph, spikes)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"}
    differ = int((ours != theirs.reshape(ours.shape)).any(0).any(1).sum())
    alike = int((ours.sum(0).argmax(1) == theirs.reshape(ours.shape).sum(0).argmax(1)).sum())
    return {"differ": differ, "alike": alike}


def equations(graph: Any, spikes: Tensor, dt: float = TIMESTEP) -> list[Tensor]:
    """Integrate the equations of a graph's nodes by Euler's method; return all spikes."""
    signal, found = spikes.double(), []
    for node in graph.nodes.values():
        kind = type(node).__name__
        values = {k: torch.as_tensor(np.asarray(v)) for k, v in vars(node).items() if _is_array(v)}
        if kind == "Affine":
            signal = signal @ values["weight"].double().T + values["bias"].double()
        elif kind == "Conv2d":
            weights = values["weight"].double(), values["bias"].double()
            folded = functional.conv2d(
                signal.flatten(0, 1), *weights, stride=node.stride, padding=node.padding
            )
            signal = folded.reshape(*signal.shape[:2], *folded.shape[1:])
        elif kind == "AvgPool2d":
            pooled = functional.avg_pool2d(signal.flatten(0, 1), tuple(node.kernel_size.tolist()))
            signal = pooled.reshape(*signal.shape[:2], *pooled.shape[1:])
        elif kind == "Flatten":
            signal = signal.flatten(2)
        elif kind == "LIF":
            signal = _integrate(values, signal, dt)
            found.append(signal.float())
    return found


def _is_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, torch.Tensor))


def _integrate(neuron: dict[str, Tensor], current: Tensor, dt: float) -> Tensor:
    membrane, fired = torch.zeros_like(current[0]), []
    for inflow in current:
        slope = (neuron["v_leak"] - membrane + neuron["r"] * inflow) / neuron["tau"]
        membrane = membrane + dt * slope
        fired.append(membrane > neuron["v_threshold"])
        membrane = membrane.masked_fill(fired[-1], 0)
    return torch.stack(fired).double()


def _ours(graph: Any, spikes: Tensor) -> Tensor:
    found: Tensor = from_nir(graph).eval()(spikes).spikes
    return found


def _snntorch(graph: Any, spikes: Tensor) -> Tensor:
    from snntorch.import_nir import import_from_nir

    return _stepped(import_from_nir(graph), spikes)


def _norse(graph: Any, spikes: Tensor) -> Tensor:
    from norse.torch import from_nir as read

    return _stepped(read(graph, dt=TIMESTEP), spikes)


def _stepped(network: Any, spikes: Tensor) -> Tensor:
    """Run a network that takes and returns the signal of a timestep and the state."""
    steps, state = [], None
    for step in spikes:
        out, state = network(step) if state is None else network(step, state)
        steps.append(out)
    return torch.stack(steps)


def _sinabs(graph: Any, spikes: Tensor) -> Tensor:
    from sinabs.nir import from_nir as read

    network = read(graph, batch_size=spikes.shape[1])
    found = network(spikes.movedim(0, 1).flatten(0, 1))
    found = found[0] if isinstance(found, tuple) else found
    found = found.reshape(spikes.shape[1], len(spikes), -1)
    return torch.as_tensor(found).movedim(0, 1)


READERS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "spikemnist": _ours,
    "the equations of NIR": lambda graph, spikes: equations(graph, spikes)[-1],
    "snnTorch": _snntorch,
    "Norse": _norse,
    "Sinabs": _sinabs,
}


def lines(measured: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the parts of the section on NIR readers."""
    yield "## NIR, read by others"
    yield (
        f"Networks with reset to zero, of {DIGITS} test digits: how many fire other output spikes "
        "than here, and how many get the same answer by spike count; or what went wrong. "
        f"{', '.join(measured[0]['versions']) if measured else 'Not measured'}."
    )
    header = ("Read by", *(found["network"] for found in measured))
    yield table(header, [[r, *(_cell(f["readers"][r]) for f in measured)] for r in READERS])


def _versions() -> list[str]:
    """Return the installed packages that read NIR, with their versions."""
    found = []
    for package in ("nir", "snntorch", "norse", "sinabs"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return found


def _cell(found: dict[str, Any]) -> str:
    if "error" in found:
        missing = found["error"].startswith("ModuleNotFoundError")
        return NOTHING if missing else f"`{found['error']}`"
    return f"{found['differ']} differ, {found['alike']} alike"
