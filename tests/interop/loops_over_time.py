"""Networks as tutorials and users of snnTorch write them, with the loop over time in forward.

Typed anew with their structure: modules, where the loop is, how membranes are handed on, what is
returned. They are small. Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

from typing import Any

import snntorch as snn
import torch
from snntorch import spikegen, surrogate, utils
from torch import Tensor, nn
from torch.nn import functional

T, B, HIDDEN = 6, 4, 20


class Dense(nn.Module):
    """Two layers, whose neurons a subclass may replace."""

    inputs = 784

    def __init__(self, neuron: Any = snn.Leaky, **options: Any) -> None:
        super().__init__()
        self.fc1 = nn.Linear(self.inputs, HIDDEN)
        self.lif1 = neuron(beta=0.9, **options)
        self.fc2 = nn.Linear(HIDDEN, 10)
        self.lif2 = neuron(beta=0.9, **options)


class HandedOn(Dense):
    """Tutorial 5: a constant current, membranes handed on."""

    def forward(self, x: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk_rec, mem_rec = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk_rec.append(spk2)
            mem_rec.append(mem2)
        return torch.stack(spk_rec, dim=0), torch.stack(mem_rec, dim=0)


class SpikesIn(Dense):
    """Tutorial 3: spikes come in, and those of the hidden layer go out, too."""

    def forward(self, spikes: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        hidden, fired, reached = [], [], []
        for step in range(spikes.shape[0]):
            spk1, mem1 = self.lif1(self.fc1(spikes[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            hidden.append(spk1)
            fired.append(spk2)
            reached.append(mem2)
        return torch.stack(hidden), torch.stack(fired), torch.stack(reached)


class FullGraph(Dense):
    """Tutorial 5 as one graph: neurons keep their membranes, which are reset first."""

    def forward(self, x: Tensor) -> Any:
        self.lif1.reset_mem()
        self.lif2.reset_mem()
        steps = []
        for _ in range(T):
            spk1, _ = self.lif1(self.fc1(x))
            steps.append(self.lif2(self.fc2(spk1)))
        return [torch.stack(values) for values in zip(*steps, strict=True)]


class Convolutions(nn.Module):
    """Tutorial 6: pooling by a function, and a view by the size of the batch."""

    def __init__(self) -> None:
        super().__init__()
        spike_grad = surrogate.fast_sigmoid(slope=25)
        self.conv1 = nn.Conv2d(1, 3, 5)
        self.lif1 = snn.Leaky(beta=0.5, spike_grad=spike_grad)
        self.conv2 = nn.Conv2d(3, 4, 5)
        self.lif2 = snn.Leaky(beta=0.5, spike_grad=spike_grad)
        self.fc1 = nn.Linear(4 * 4 * 4, 10)
        self.lif3 = snn.Leaky(beta=0.5, spike_grad=spike_grad)

    def forward(self, x: Tensor) -> Any:
        mems = [lif.init_leaky() for lif in (self.lif1, self.lif2, self.lif3)]
        spk_rec = []
        for _ in range(T):
            spk1, mems[0] = self.lif1(functional.max_pool2d(self.conv1(x), 2), mems[0])
            spk2, mems[1] = self.lif2(functional.avg_pool2d(self.conv2(spk1), 2), mems[1])
            spk3, mems[2] = self.lif3(self.fc1(spk2.view(B, -1)), mems[2])
            spk_rec.append(spk3)
        return torch.stack(spk_rec), mems[2]


class BetaForEach(Dense):
    """Quick start: a beta to learn for each output, and a flatten within the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.lif2 = snn.Leaky(beta=torch.rand(10), learn_beta=True)

    def forward(self, x: Tensor) -> Any:
        return HandedOn.forward(self, x.flatten(1))  # type: ignore[arg-type]


class Recurrent(Dense):
    """Regression: spikes are handed on as well."""

    def __init__(self) -> None:
        super().__init__()
        self.lif1 = snn.RLeaky(beta=0.9, linear_features=HIDDEN)
        self.lif2 = snn.RLeaky(beta=0.9, linear_features=10)

    def forward(self, x: Tensor) -> Tensor:
        (spk1, mem1), (spk2, mem2) = self.lif1.init_rleaky(), self.lif2.init_rleaky()
        fired = []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), spk1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
            fired.append(spk2)
        return torch.stack(fired)


class Hidden(nn.Module):
    """Neurons that keep their membranes, reset by `utils.reset`, modules in another order."""

    def __init__(self) -> None:
        super().__init__()
        options: dict[str, Any] = {"beta": 0.9, "spike_grad": surrogate.atan(), "init_hidden": True}
        self.layer_1, self.layer_2 = nn.Linear(784, HIDDEN), nn.Linear(HIDDEN, 10)
        self.drop = nn.Dropout(0.3)
        self.network_1 = snn.Leaky(**options)
        self.network_2 = snn.Leaky(**options, output=True)

    def forward(self, spikes: Tensor) -> Any:
        utils.reset(self)
        fired, reached = [], []
        for step in spikes:
            spk, mem = self.network_2(self.layer_2(self.drop(self.network_1(self.layer_1(step)))))
            fired.append(spk)
            reached.append(mem)
        return torch.stack(fired), torch.stack(reached)


class TwoSpikes(Dense):
    """One timestep that returns the spikes of both layers, without membranes."""

    def forward(self, x: Tensor) -> Any:
        spk1, _ = self.lif1(self.fc1(x))
        spk2, _ = self.lif2(self.fc2(spk1))
        return spk1, spk2


class Counts(Dense):
    """Spikes `[T, B, 1, 28, 28]`; counts and a list of membranes go out."""

    def forward(self, spikes: Tensor) -> Any:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        counts = torch.zeros(spikes.shape[1], 10)
        reached = []
        for step in range(len(spikes)):
            spk1, mem1 = self.lif1(self.fc1(spikes[step].view(spikes.shape[1], -1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            counts += spk2
            reached.append(mem2)
        return counts, reached


class Frames(Counts):
    """Frames of N-MNIST, flattened before the loop, and rates that go out."""

    inputs = 2 * 34 * 34

    def forward(self, x: Tensor) -> Tensor:
        counts, _ = super().forward(x.flatten(2))
        return counts / len(x)


class CurrentsFirst(Dense):
    """Weights before the loop: the current of all timesteps is computed once."""

    def forward(self, spikes: Tensor) -> Tensor:
        mem1, mem2 = torch.zeros(B, HIDDEN), torch.zeros(B, 10)
        fired = []
        for current in self.fc1(spikes):
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            fired.append(spk2)
        return torch.stack(fired, dim=1)


class Ternary(snn.Leaky):
    """Neurons of one's own with spikes of -1, 0 and 1."""

    def fire(self, mem: Tensor) -> Tensor:
        return self.spike_grad(mem - self.threshold) - self.spike_grad(-mem - self.threshold)

    def mem_reset(self, mem: Tensor) -> Tensor:
        return self.fire(mem).clone().detach()


class RateInside(HandedOn):
    """The rate code is drawn in forward."""

    def forward(self, x: Tensor) -> Any:
        return SpikesIn.forward(self, spikegen.rate(x, num_steps=T))  # type: ignore[arg-type]


class Crossed(Dense):
    """The same neurons in both layers, a slip of the pen."""

    def forward(self, spikes: Tensor) -> Tensor:
        mem = self.lif1.init_leaky()
        fired = []
        for step in spikes:
            spk, _ = self.lif1(self.fc1(step), mem)
            spk, _ = self.lif1(self.fc2(spk), mem)
            fired.append(spk)
        return torch.stack(fired)


class Normalised(HandedOn):
    """Batch normalisation in the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Sequential(nn.Linear(784, HIDDEN), nn.BatchNorm1d(HIDDEN))


class Residual(Dense):
    """A connection past a layer."""

    def forward(self, spikes: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        fired = []
        for step in spikes:
            spk1, mem1 = self.lif1(self.fc1(step), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1 + 0.5 * mem1), mem2)
            fired.append(spk2)
        return torch.stack(fired)


class BatchFirst(SpikesIn):
    """Samples before timesteps."""

    def forward(self, spikes: Tensor) -> Any:
        return super().forward(spikes.transpose(0, 1))


class Truncated(HandedOn):
    """Membranes that pass no gradient from timestep to timestep."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1.detach())
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2.detach())
        return spk2


class Probabilities(HandedOn):
    """A softmax behind the loop."""

    def forward(self, x: Tensor) -> Tensor:
        _, mem = super().forward(x)
        return mem.sum(0).softmax(-1)


class WithoutReset(Dense):
    """Neurons that keep their membranes from call to call."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.lif2(self.fc2(self.lif1(self.fc1(x))[0]))[0] for _ in range(T)])


class OwnMembranes(Dense):
    """An attribute that keeps membranes from call to call."""

    kept: Any = (None, None)

    def forward(self, x: Tensor) -> Tensor:
        (mem1, mem2), fired = self.kept, []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            fired.append(spk2)
        self.kept = mem1.detach(), mem2.detach()
        return torch.stack(fired)


class LayerByLayer(Dense):
    """All timesteps of a layer, then those of the next."""

    def forward(self, spikes: Tensor) -> Tensor:
        for linear, lif in ((self.fc1, self.lif1), (self.fc2, self.lif2)):
            lif.reset_mem()
            spikes = torch.stack([lif(linear(step))[0] for step in spikes])
        return spikes


class WithoutGradient(HandedOn):
    """A forward without gradients."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Any:
        return super().forward(x)


class ChannelAdded(Convolutions):
    """Images `[B, 28, 28]`, which get their channel in forward."""

    def forward(self, x: Tensor) -> Any:
        return super().forward(x.unsqueeze(1))


def step_over_time(network: nn.Sequential, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Reset the neurons, and step a sequence over time: the helper of tutorials 6 and 7."""
    utils.reset(network)
    fired, reached = zip(*[network(step) for step in steps], strict=True)
    return torch.stack(fired), torch.stack(reached)


def hidden_leaky(**options: Any) -> snn.Leaky:
    return snn.Leaky(beta=0.5, spike_grad=surrogate.atan(), init_hidden=True, **options)


def pools_before() -> nn.Sequential:
    """Quick start and tutorial 6: pools in front of the neurons."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 5), nn.MaxPool2d(2), hidden_leaky(),
        nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), hidden_leaky(),
        nn.Flatten(), nn.Linear(64, 10), hidden_leaky(output=True),
    )  # fmt: skip


def pools_behind() -> nn.Sequential:
    """Tutorial 7: N-MNIST, pools behind the neurons."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 5), hidden_leaky(), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 5), hidden_leaky(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(100, 10), hidden_leaky(output=True),
    )  # fmt: skip


class Edited(nn.Module):
    """One layer over time, each part of whose forward may be replaced.

    ``begin`` changes the input, ``signal`` takes a timestep of it, ``current`` and ``membrane``
    change what goes into the neurons, ``end`` makes what is returned of spikes and membranes.
    """

    def __init__(self, spike_grad: Any = None, **parts: Any) -> None:
        super().__init__()
        self.fc, self.drop = nn.Linear(12, 5), nn.Dropout(0.3)
        self.lif = snn.Leaky(beta=0.9, threshold=0.3, spike_grad=spike_grad)
        self.register_buffer("mask", torch.ones(5))
        self.parts = {
            "begin": lambda net, x: x,
            "signal": lambda x, t: x[t],
            "steps": len,
            "current": lambda net, current, t: current,
            "membrane": lambda mem, t: mem,
            "end": lambda spikes, membranes: (torch.stack(spikes), membranes),
        } | parts

    def forward(self, x: Tensor) -> Any:
        x = self.parts["begin"](self, x)
        mem, spikes, membranes = self.lif.init_leaky(), [], []
        for t in range(self.parts["steps"](x)):
            current = self.fc(self.drop(self.parts["signal"](x, t)))
            mem = self.parts["membrane"](mem, t)
            spk, mem = self.lif(self.parts["current"](self, current, t), mem)
            spikes.append(spk)
            membranes.append(mem)
        return self.parts["end"](spikes, membranes)


def first(change: Any) -> Any:
    """Return a beginning that changes the network or the input in place."""

    def begin(net: Edited, x: Tensor) -> Tensor:
        with torch.no_grad():
            change(net, x)
        return x

    return begin
