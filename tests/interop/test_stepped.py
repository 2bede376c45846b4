"""Networks that the kernels cannot run, stepped by snnTorch and compared with loops by hand.

Shapes: ``T`` timesteps, ``B`` batch.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import snntorch
import torch
from torch import nn

from spikemnist import Classifier, TrainConfig, accelerate, evaluate, fit, viz
from spikemnist.data import ImageDataset
from spikemnist.interop.stepped import BASES, NEURONS
from tests.models.stepped_network import neuron, same
from tests.rooms import of_rooms

pytestmark = pytest.mark.filterwarnings("ignore:snnTorch steps this network")

T, B, F, H, C = 6, 3, 9, 7, 4


@pytest.fixture(autouse=True)
def listed_neurons_are_taken_away(neurons: list[object]) -> None:
    """snnTorch lists the neurons that these tests make."""


def current() -> torch.Tensor:
    return (torch.rand(T, B, F, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def lively(network: nn.Module) -> nn.Module:
    """Return a network whose neurons fire often and not always."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 1.4 - 0.6)
    return network


class OwnLeaky(snntorch.Leaky):
    """A subclass with a state of its own: a threshold that each spike raises."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register_buffer("tired", torch.zeros(0), persistent=False)

    def forward(self, input_: torch.Tensor) -> Any:
        if self.tired.shape != input_.shape:
            self.tired = torch.zeros_like(input_)
        spikes, membrane = super().forward(input_ - self.tired)
        self.tired = 0.9 * self.tired + 0.3 * spikes
        return spikes, membrane


class OnePixel(snntorch.SConv2dLSTM):
    """An image of one row, in place of features."""

    def __init__(self) -> None:
        super().__init__(1, 1, kernel_size=1, threshold=0.02)

    def forward(self, input_: torch.Tensor, *states: torch.Tensor) -> Any:
        images = (x.unflatten(1, (1, 1, -1)) for x in (input_, *states))
        return tuple(x.flatten(1) for x in super().forward(*images))


KINDS: dict[str, tuple[Any, int]] = {
    "Synaptic": (lambda n: snntorch.Synaptic(alpha=0.7, beta=0.8), 2),
    "Synaptic, reset to zero": (
        lambda n: snntorch.Synaptic(alpha=0.7, beta=0.8, reset_mechanism="zero"),
        2,
    ),
    "RLeaky": (lambda n: snntorch.RLeaky(beta=0.8, linear_features=n), 2),
    "RLeaky, one to one": (lambda n: snntorch.RLeaky(beta=0.8, V=0.5, all_to_all=False), 2),
    "RSynaptic": (lambda n: snntorch.RSynaptic(alpha=0.7, beta=0.8, linear_features=n), 3),
    "Alpha": (lambda n: snntorch.Alpha(alpha=0.9, beta=0.8), 3),
    "Lapicque": (lambda n: snntorch.Lapicque(beta=0.8, threshold=0.1), 1),
    "SLSTM": (lambda n: snntorch.SLSTM(n, n, threshold=0.1), 2),
    "SConv2dLSTM": (lambda n: OnePixel(), 2),
    "subclass of Leaky": (lambda n: OwnLeaky(beta=0.8), 2),
    "Leaky without delay": (lambda n: snntorch.Leaky(beta=0.8, reset_delay=False), 1),
    "graded Leaky": (lambda n: snntorch.Leaky(beta=0.8, graded_spikes_factor=0.5), 1),
    "quantised Leaky": (lambda n: snntorch.Leaky(beta=0.8, state_quant=lambda x: x.round()), 1),
}
"""Neurons of snnTorch for a number of features, and their number of states."""


class Loop(nn.Module):
    """The same two layers, and the loop over time by hand."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        make, _ = KINDS[kind]
        self.fc1, self.lif1 = nn.Linear(F, H), make(H)
        self.fc2, self.lif2 = nn.Linear(H, C), make(C)

    def modules_in_order(self) -> nn.Sequential:
        return nn.Sequential(self.fc1, self.lif1, self.fc2, self.lif2)

    def run(self, spikes: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        states: list[Any] = [(), ()]  # at first those in the neurons, which are at rest
        fired: list[list[torch.Tensor]] = [[], []]
        membranes: list[list[torch.Tensor]] = [[], []]
        for signal in spikes:
            for i, (linear, lif) in enumerate(((self.fc1, self.lif1), (self.fc2, self.lif2))):
                output = lif(linear(signal), *states[i])
                signal, membrane = output[0], output[-1]
                if isinstance(lif, (snntorch.RLeaky, snntorch.RSynaptic)):
                    states[i] = output
                elif not isinstance(lif, OwnLeaky):
                    states[i] = output[1:]
                fired[i].append(signal)
                membranes[i].append(membrane)
        return [torch.stack(x) for x in fired], [torch.stack(x) for x in membranes]


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_equals_a_loop_by_hand(kind: str) -> None:
    loop = lively(Loop(kind))
    by_hand = copy.deepcopy(loop)
    fired, membranes = by_hand.run(current())
    model = accelerate(loop.modules_in_order())
    record = model(current(), record="all")
    assert model.stepping_reason
    assert record.backend == "snntorch"
    assert list(record.sizes.items()) == [("hidden 1", H), ("output", C)]
    for layer, spikes, membrane in zip(record.layers, fired, membranes, strict=True):
        assert torch.equal(layer.spikes, spikes)
        torch.testing.assert_close(layer.membrane, membrane)  # matrix products may round
        assert 0 < float(spikes.count_nonzero()) < spikes.numel()
    record.scores.square().sum().backward()
    membranes[1].mean(0).square().sum().backward()
    for ours, theirs in zip(loop.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_state_of_stepped_neurons(kind: str) -> None:
    model = accelerate(lively(Loop(kind)).modules_in_order())
    whole = model(current(), state=None)
    assert same(whole, model(current()))
    assert len(whole.state) == 2 * KINDS[kind][1]
    halves, state = [], None
    for chunk in current().split(3):
        halves.append(model(chunk, state=state))
        state = halves[-1].state
    assert torch.equal(torch.cat([half.spikes for half in halves]), whole.spikes)
    assert torch.equal(torch.cat([half.membrane for half in halves]), whole.membrane)
    for ours, theirs in zip(state, whole.state, strict=True):
        assert torch.equal(ours, theirs)


class Residual(nn.Module):
    """A forward of its own: a recurrent layer, a residual connection, a last Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.norm = nn.Linear(F, H), nn.LayerNorm(H)
        self.fc2, self.fc3 = nn.Linear(H, H), nn.Linear(H, C)
        self.lif1 = snntorch.RLeaky(beta=0.8, linear_features=H, init_hidden=True)
        self.lif2 = neuron()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.lif1(self.norm(self.fc1(x)))
        second, _ = self.lif2(self.fc2(first) + first)
        return self.fc3(first + second)


def test_last_linear_is_a_silent_membrane() -> None:
    network = lively(Residual())
    record = accelerate(network)(current(), record="all")
    assert list(record.sizes) == ["hidden 1", "hidden 2", "output"]
    assert not record.spikes.any()
    assert record.layers[-1].threshold == torch.inf
    first, second = (layer.spikes for layer in record.layers[:2])
    torch.testing.assert_close(record.membrane, network.fc3(first + second))
    assert first.any()


def test_last_linear_by_the_kernels() -> None:
    body = lively(nn.Sequential(nn.Linear(F, H), neuron(), nn.Linear(H, C)))
    with pytest.warns(
        UserWarning, match=r"network\[2\] is Linear, after the last .*beta=0"
    ) as seen:
        stepped = accelerate(body)
    advice = str(seen[0].message).split("Put ")[1].split(" at the end")[0]
    leaky = eval(advice, {"snntorch": snntorch})
    fast = accelerate(nn.Sequential(*body, leaky), backend="reference")
    torch.testing.assert_close(fast(current()).membrane, stepped(current()).membrane)
    assert torch.equal(fast(current()).predictions, stepped(current()).predictions)


class Net(nn.Module):
    """One or two layers, a head, and a forward that is given."""

    def __init__(self, own_forward: Callable[[Any, torch.Tensor], Any], hidden: int = C) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(F, hidden), neuron()
        self.head, self.last = nn.Linear(hidden, C), neuron()
        self.own_forward = own_forward

    def forward(self, x: torch.Tensor) -> Any:
        return self.own_forward(self, x)


def with_head(net: Net, x: torch.Tensor) -> Any:
    """Return a neuron's spikes, and a layer of its membrane."""
    spikes, membrane = net.lif(net.fc(x))
    return spikes, net.head(membrane)


def spikes_and_membrane(net: Net, x: torch.Tensor) -> Any:
    return net.lif(net.fc(x))


def test_membrane_that_forward_returns() -> None:
    network, alone = lively(Net(with_head)), lively(Net(spikes_and_membrane))
    record, before = accelerate(network)(current()), accelerate(alone)(current())
    assert list(record.sizes) == ["output"]
    assert torch.equal(record.spikes, before.spikes)
    torch.testing.assert_close(record.membrane, network.head(before.membrane))
    record.scores.sum().backward()
    assert bool(network.head.weight.grad.any())


def in_place(net: Net, x: torch.Tensor) -> Any:
    """Change the spikes of hidden and output neurons in place."""
    hidden, _ = net.lif(net.fc(x))
    spikes, membrane = net.last(net.head(hidden.mul_(2)))
    return spikes.mul_(0.5), membrane


def test_record_of_spikes_changed_in_place() -> None:
    record = accelerate(lively(Net(in_place, H)))(current(), record="all")
    hidden, output = record.layers
    assert set(hidden.spikes.unique().tolist()) == {0, 1}
    assert set(output.spikes.unique().tolist()) == {0, 0.5}  # what forward returns
    for counts, layer in zip(record.spike_counts, record.layers, strict=True):
        assert torch.equal(counts, (layer.spikes != 0).sum((0, 2)))


@pytest.mark.parametrize("factor", [0.5, 3, -1])
def test_counts_of_graded_spikes(factor: float) -> None:
    def make(factor: float) -> nn.Sequential:
        last = snntorch.Leaky(beta=0.8, graded_spikes_factor=factor)
        return lively(nn.Sequential(nn.Linear(F, C), last))

    graded, plain = (accelerate(make(f), backend="snntorch")(current()) for f in (factor, 1))
    assert torch.equal(graded.spikes, factor * plain.spikes)
    assert torch.equal(graded.spike_counts, plain.spike_counts)
    assert int(plain.spike_counts.sum()) == int(plain.spikes.sum()) > 0


CLASSES = {
    name: kind
    for name, kind in vars(snntorch).items()
    if isinstance(kind, type) and issubclass(kind, nn.Module)
}
REFUSED = {
    "LeakyParallel": lambda: snntorch.LeakyParallel(F, C),
    "StateLeaky": lambda: snntorch.StateLeaky(beta=0.8, channels=C),
    "LinearLeaky": lambda: snntorch.LinearLeaky(beta=0.8, in_features=F, out_features=C),
    "AssociativeLeaky": lambda: snntorch.AssociativeLeaky(F, 2, 2, 4),
    "DeltaLeaky": lambda: snntorch.DeltaLeaky(beta=0.8, delta_threshold=0.1),
}


def test_every_class_of_snntorch() -> None:
    assert CLASSES.keys() - BASES == NEURONS | REFUSED.keys()
    assert {name.split(",")[0] for name in KINDS} >= NEURONS - {"Leaky"}
    page = Path(__file__).parents[2] / "docs/howto/snntorch-network.md"
    _, _, table = page.read_text(encoding="utf-8").partition("| Stepped | Refused |\n|---|---|\n")
    stepped, refused = (set(cell.split("`")[1::2]) for cell in table.split("\n")[0].split("|")[1:3])
    assert (stepped, refused) == (NEURONS, REFUSED.keys())


class Derived(snntorch.LeakyParallel):
    pass


class Delay(nn.Module):
    """A module between two layers that a later snnTorch may bring."""


Delay.__module__ = "snntorch._layers.delay"


@pytest.mark.parametrize("backend", ["auto", "snntorch", "reference"])
@pytest.mark.parametrize("kind", [*REFUSED, "Derived", "Delay"])
def test_neurons_that_cannot_be_stepped(kind: str, backend: Any) -> None:
    makers = {**REFUSED, "Derived": lambda: Derived(F, C), "Delay": Delay}
    name = {"Derived": "LeakyParallel"}.get(kind, kind)
    network = nn.Sequential(nn.Linear(F, F), makers[kind](), neuron())
    message = rf"network\[1\] is snntorch.{name}, which does not take one timestep after the other"
    with pytest.raises(ValueError, match=message):
        accelerate(network, backend=backend)


@pytest.mark.parametrize("first", [1, 2])
def test_skipped_neuron(first: int) -> None:
    timesteps = itertools.count(1)

    def skipping(net: Net, x: torch.Tensor) -> Any:
        x = net.fc(x)
        return net.last(net.lif(x)[0] if next(timesteps) % 3 == first else x)

    with pytest.raises(ValueError, match=r"^network.lif must be called at each timestep, or at no"):
        accelerate(Net(skipping))(current())


def doubled(net: Net, x: torch.Tensor) -> Any:
    spikes, membrane = net.lif(net.fc(x))
    return 2 * spikes, membrane


def test_spikes_with_and_without_membrane() -> None:
    forwards = (spikes_and_membrane, lambda net, x: net.lif(net.fc(x))[0], doubled)
    *records, double = (accelerate(lively(Net(one)))(current()) for one in forwards)
    assert same(*records)
    assert list(records[0].sizes) == ["output"]
    assert list(double.sizes) == ["hidden 1", "output"]
    assert torch.equal(double.spikes, 2 * records[0].spikes)
    assert torch.equal(double.membrane, records[0].membrane)


@pytest.mark.parametrize("options", [{}, {"init_hidden": True}, {"output": True}])
def test_init_hidden_and_output(options: dict[str, bool]) -> None:
    def make(**options: bool) -> nn.Sequential:
        lifs = [snntorch.Synaptic(alpha=0.7, beta=0.8, **options) for _ in range(2)]
        first = nn.Sequential(nn.Linear(F, H), lifs[0])
        return lively(nn.Sequential(first, nn.LayerNorm(H), nn.Linear(H, C), lifs[1]))

    with_both = make(init_hidden=True, output=True)
    assert same(accelerate(make(**options))(current()), accelerate(with_both)(current()))


PIXELS = torch.rand(40, 3, 3, generator=torch.Generator().manual_seed(0))
DATA = ImageDataset((255 * PIXELS).byte(), torch.arange(40) % C)


class OnImages(Residual):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.flatten(1))


def test_training_evaluation_robustness_and_pictures() -> None:
    network = lively(OnImages())
    classifier = Classifier(accelerate(network), "latency")
    before = copy.deepcopy(network.state_dict())
    history = fit(
        classifier, DATA, TrainConfig(epochs=2, truncate=4), validation=0.2, progress=False
    )
    assert len(history.epochs) == 2
    assert all(not torch.equal(before[name], x) for name, x in network.named_parameters())
    evaluation = evaluate(classifier, DATA, progress=False)
    assert evaluation.backend == "snntorch"
    for measure in of_rooms("MEASURES"):
        assert measure(classifier, DATA, progress=False)
    record = classifier(DATA.images[:2], record="all")
    assert {"raster", "membrane"} <= {*viz.of_sample(record, DATA.images[:2])}
    for name, x in network.named_buffers():
        assert not x.requires_grad, name


def test_warning_of_stepping() -> None:
    message = r"one timestep after the other: Residual has a forward"
    with pytest.warns(UserWarning, match=message) as warned:
        accelerate(Residual())
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.raises(ValueError, match=r"'reference' cannot run this: Residual has a forward"):
        accelerate(Residual(), backend="reference")
    model = accelerate(Residual())
    model.backend = "reference"
    with pytest.raises(ValueError, match=r"backend='reference' cannot run this: Residual has a"):
        model(current())


@pytest.mark.filterwarnings("error:snnTorch steps this network")
def test_no_warning_when_stepping_is_asked_for() -> None:
    model = accelerate(Residual(), backend="snntorch")
    assert "stepped: Residual has a forward of its own" in repr(model)
    assert "network.lif1  RLeaky" in repr(model)


def looping(net: Net, x: torch.Tensor) -> torch.Tensor:
    """Run the loop over time inside, as in snnTorch's tutorials."""
    membrane = net.lif.reset_mem()
    for _ in range(5):
        spikes, membrane = net.lif(net.fc(x), membrane)
    return spikes


TWICE = "network.lif is called with a membrane, or twice in a timestep: call each neuron once, with"
SHAPE = r"must return \[B, C\] for one timestep, here B = 3, .* got"


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (looping, rf"{TWICE} .* forward.*, or .*accelerate\(nn.Sequential\(net.fc, net.lif\)\)"),
        (lambda net, x: net.lif(x)[0] + net.lif(x)[0], TWICE),
        (lambda net, x: [net.lif(x)[0]], rf"{SHAPE} list. It is called once for each"),
        (lambda net, x: (net.lif(x)[0], x[:, :2]), rf"{SHAPE} torch.Size\(\[3, 9\]\), torch"),
        (lambda net, x: net.lif(x)[0].sum(0, keepdim=True), rf"{SHAPE} torch.Size\(\[1, 9\]\)"),
        (
            lambda net, x: net.lif(x)[0].unflatten(1, (3, 3)),
            r"the last neurons, network, have the shape \(3, 3\)",
        ),
    ],
    ids=["loop inside", "two places", "list", "two sizes", "summed over the batch", "pixels"],
)
def test_network_that_cannot_be_stepped(forward: Any, message: str) -> None:
    model = accelerate(Net(forward))
    with pytest.raises(ValueError, match=message):
        model(current())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([torch.zeros(B, H)], "state must hold 3 tensors of neurons; got 1"),
        (
            [torch.zeros(2, H)] * 3,
            r"the state of network.lif1 in \w+ must be of shape \(3, 7\); got .* \(2, 7\)",
        ),
    ],
    ids=["number", "shape"],
)
def test_state_of_another_network(state: list[torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accelerate(Residual())(current(), state=state)


class Trace(nn.Module):
    """A module of a user's own that keeps what it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: Any = None
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.trace is None or self.trace.shape != x.shape:
            self.trace = torch.zeros_like(x)
        self.trace = self.trace.detach() * 0.9 + x
        return self.trace


class TraceWithReset(Trace):
    def reset(self) -> None:
        self.trace = None


class DelayLine(nn.Module):
    """Three timesteps late, in a list that changes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.line = deque([torch.zeros(())] * 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.line.append(x)
        return self.line.popleft().expand_as(x)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sum", torch.zeros(F))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sum.add_(x.detach().sum(0)) + x


def with_module(module: nn.Module) -> Any:
    """Return a stepped network that begins with a module."""
    network = nn.Sequential(module, nn.Linear(F, C), nn.BatchNorm1d(C), neuron(threshold=0.3))
    return accelerate(lively(network))


@pytest.mark.parametrize("inference", [False, True])
def test_reset_of_a_module_where_a_sequence_begins(inference: bool) -> None:
    with torch.inference_mode(inference):
        model = with_module(TraceWithReset()).eval()
        whole = model(current(), state=None)
        assert same(whole, model(current()))
        first = model(current()[:2], state=None)
        second = model(current()[2:], state=first.state)
        assert torch.equal(torch.cat([first.membrane, second.membrane]), whole.membrane)
        data = torch.rand(20, F, generator=torch.Generator().manual_seed(2))
        classifier = Classifier(model, "latency")
        answers = [classifier.predict(data, batch_size=size) for size in (20, 3)]
        assert torch.equal(*answers)


@pytest.mark.parametrize(
    ("module", "name"),
    [(Trace(), "trace"), (DelayLine(), "line"), (InPlace(), "sum")],
    ids=["attribute", "list", "in place"],
)
@pytest.mark.parametrize("inference", [False, True])
def test_state_that_a_module_carries_to_the_next_call(
    module: nn.Module, name: str, inference: bool
) -> None:
    with torch.inference_mode(inference):
        model = with_module(copy.deepcopy(module))
        message = rf"network\[0\].{name} changed in a call, .* give the module a method reset\(\)"
        with pytest.warns(UserWarning, match=message) as warned:
            model(current())
        assert [warning.filename for warning in warned] == [__file__]
        model(current())  # without a second warning, which would be an error
