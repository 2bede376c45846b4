"""The convolutional network of snnTorch's tutorial 6, 12C5-P2-64C5-P2-10.

https://snntorch.readthedocs.io/en/latest/tutorials/tutorial_6.html, here with 8 timesteps and
batches of 64 digits. If SpikingJelly is installed, it takes part and runs whole sequences.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from benchmarks.candidates import OURS, SnnTorchLoop, names
from benchmarks.comparison import in_processes
from benchmarks.networks import compared
from benchmarks.workload import BETA, Workload
from spikemnist.models import LeakyConvNet, SpikingNetwork

if TYPE_CHECKING:
    from benchmarks.plan import Plan

LAYERS = "12C5-P2-64C5-P2-10"


@dataclass(frozen=True, kw_only=True)
class Convolution(Workload):
    """The network `LAYERS` on the embedded digits; ``hidden`` has no meaning."""

    training: ClassVar[dict[str, Any]] = {"batch_size": 64, "lr": 5e-3}

    def model(self, **options: Any) -> SpikingNetwork:
        """Return the network of this package."""
        return LeakyConvNet(LAYERS, beta=BETA, **options)

    def first_layers(self) -> list[nn.Module]:
        """Return what is in front of each layer of neurons, as torch draws its weights."""
        return [
            nn.Sequential(nn.Unflatten(-1, (1, 28, 28)), nn.Conv2d(1, 12, 5), nn.MaxPool2d(2)),
            nn.Sequential(nn.Conv2d(12, 64, 5), nn.MaxPool2d(2)),
            nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)),
        ]

    def samples(self, spikes: Tensor) -> Tensor:
        """Return spikes ``[T, B, 784]`` as images ``[T, B, 1, 28, 28]``."""
        return spikes.reshape(*spikes.shape[:2], 1, 28, 28)


def measure(workload: Workload, plan: Plan) -> dict[str, Any]:
    """Compare the candidates with snnTorch's loop, then time the candidates that passed.

    Returns
    -------
    dict
        Plain values: the workload, the layers, and the result of `compare`.
    """
    taking_part = (SnnTorchLoop.name, "SpikingJelly")
    wanted = [name for name in names() if name.startswith(OURS) or name in taking_part]
    convolution = Convolution(**asdict(workload))
    found = in_processes(plan.processes, compared, convolution, plan, wanted)
    return {**asdict(workload), "layers": LAYERS, "candidates": found}
