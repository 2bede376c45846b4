"""Networks of all kinds with a few zero weights, and plain snnTorch ones of the same parameters.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import snntorch
import torch
from torch import Tensor, nn

from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate

IMAGE = (6, 6)


def prune(model: nn.Module, share: float = 0.3) -> nn.Module:
    """Set a share of the weights to zero."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                module.weight.mul_(torch.rand(module.weight.shape, generator=random) >= share)
    return model.eval()


def networks(backend: str = "auto") -> dict[str, nn.Module]:
    """Return one network of each kind that takes images of 6 x 6 pixels."""
    torch.manual_seed(0)
    own = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, stride=2, padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding=1, groups=2, padding_mode="reflect"),
        nn.AvgPool2d(2),
        snntorch.Leaky(beta=0.9, threshold=0.1),
        nn.AvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
        nn.Linear(5, 4, bias=False),
        snntorch.Leaky(beta=0.8, threshold=0.2),
    )
    made = {
        "mlp": LeakyMLP((12, 7), in_features=36, out_features=4, threshold=0.3, backend=backend),
        "conv": LeakyConvNet(
            "3C3p1-P2-5C2s1p1-4", (1, *IMAGE), batch_norm=True, threshold=0.2, backend=backend
        ),
        "accelerated": accelerate(own, backend=backend),
    }
    return {name: prune(model) for name, model in made.items()}


class Stepped(nn.Module):
    """The same modules as snnTorch's tutorials call them, one timestep after the other."""

    def __init__(self, model: LeakyMLP | LeakyConvNet) -> None:
        super().__init__()
        self.before = nn.ModuleList(
            nn.Sequential(*(module for _, module in layer.modules)) for layer in model.layers
        )
        self.neurons = nn.ModuleList(layer.leaky for layer in model.layers)

    def reset(self) -> None:
        self.membranes = [leaky.reset_mem() for leaky in self.neurons]

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        for i, (before, leaky) in enumerate(zip(self.before, self.neurons, strict=True)):
            signal, self.membranes[i] = leaky(before(signal), self.membranes[i])
        return signal, self.membranes[-1]
