"""Wrong shapes and dtypes in every function that reaches a compiled kernel."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import Tensor, nn

from benchmarks.attacks.attack import Attack, one_line
from spikemnist import engine, ops
from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.ops.layer import LayerParams
from spikemnist.plasticity import pair_stdp, post_stdp

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIZES = (0, 1, 2, 3, 5, 63, 64, 65, 70, 127, 784, 785, 2000)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)

choose: Callable[..., Any] = random.choice
choose_several: Callable[..., Any] = random.choices


def sizes(count: int) -> list[int]:
    found: list[int] = choose_several(SIZES[1:10], k=count)
    return found


def spikes(*shape: int) -> Tensor:
    density: float = choose([0.02, 0.3, 0.9])
    return (torch.rand(shape) < density).float()


def misfit(tensor: Tensor) -> Tensor:
    """Return a tensor of another shape or dtype, with few non-zero numbers."""
    shape = list(tensor.shape)
    change = choose(["size", "size", "size", "size", "dtype", "more", "fewer"])
    if change == "size" and shape:
        axis = random.randrange(len(shape))
        shape[axis] = choose([*SIZES, shape[axis] + 1, max(0, shape[axis] - 1)])
    elif change == "dtype":
        return tensor.detach().to(choose(DTYPES))
    elif change == "fewer" and shape:
        shape.pop(random.randrange(len(shape)))
    else:
        shape.insert(random.randint(0, len(shape)), choose([1, 2, 3]))
    while torch.Size(shape).numel() > 2_000_000:
        shape[shape.index(max(shape))] //= 2
    wrong = (torch.rand(shape) < 0.3).to(tensor.dtype)
    return wrong.requires_grad_(tensor.requires_grad and wrong.is_floating_point())


def learned(*shape: int) -> Tensor:
    return torch.randn(shape).requires_grad_()


def backward(*outputs: Tensor | None) -> list[Tensor]:
    there = [tensor for tensor in outputs if tensor is not None]
    graph = [tensor.sum() for tensor in there if tensor.requires_grad]
    if graph:
        torch.autograd.backward(torch.stack(graph).sum())
    return [tensor.detach() for tensor in there]


def layer(neurons: int, features: int | None, batch: int) -> LayerParams:
    """Return a random layer with valid shapes."""
    return LayerParams(
        weight=None if features is None else learned(neurons, features),
        bias=choose([None, learned(neurons)]),
        beta=choose([torch.tensor(0.9), torch.rand(neurons).requires_grad_()]),
        threshold=choose([torch.tensor(1.0), torch.rand(neurons).requires_grad_()]),
        reset_mechanism=choose(ops.RESET_MECHANISMS),
        spike_grad=ops.get_surrogate(choose(list(ops.SURROGATES))),
        initial=choose([None, torch.randn(batch, neurons).requires_grad_()]),
        dropout=choose([0.0, 0.0, 0.5]),
    )


def mangled(given: LayerParams) -> LayerParams:
    parts = ("weight", "bias", "beta", "threshold", "initial")
    there = [part for part in parts if getattr(given, part) is not None]
    part = choose(there)
    changed: dict[str, Any] = {part: misfit(getattr(given, part))}
    return replace(given, **changed)


def run_dense() -> Found:
    """Run dense layers; one layer, or the input, has a wrong shape or dtype."""
    steps, batch, *widths = sizes(choose([4, 5, 6]))
    fed = spikes(steps, batch, widths[0])
    pairs = zip(widths[1:], widths[:-1], strict=True)
    stack = [layer(neurons, features, batch) for neurons, features in pairs]
    stack[0] = replace(stack[0], dropout=0.0)
    place = random.randrange(len(stack) + 1)
    if place:
        stack[place - 1] = mangled(stack[place - 1])
    else:
        fed = misfit(fed)
    did = engine.run(stack, fed, record=choose(["output", "all"]), final=True)
    backward(*(tensor for one in did for tensor in (one.spikes, one.membrane, one.final)))
    if any(each.dropout for each in stack):
        return None
    membrane = did[-1].membrane
    assert membrane is not None
    return membrane, lambda: by_reference(fed, stack)


def by_reference(fed: Tensor, stack: Sequence[LayerParams]) -> Tensor:
    """Return the membranes of the last layer, computed in plain torch."""
    for each in stack:
        current = fed if each.weight is None else ops.linear(fed, each.weight, each.bias)
        fed, membrane = ops.leaky(
            current,
            each.beta,
            each.threshold,
            reset_mechanism=each.reset_mechanism,
            spike_grad=each.spike_grad,
            initial=each.initial,
        )
    return membrane


def run_linear() -> Found:
    """Multiply spikes by weights; one operand has a wrong shape or dtype."""
    steps, batch, features, neurons = sizes(4)
    given = [spikes(steps, batch, features), learned(neurons, features), learned(neurons)]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    (found,) = backward(ops.linear(*given))
    fed, weight, bias = given
    return found, lambda: nn.functional.linear(fed.to(weight.dtype), weight, bias)


def run_leaky() -> Found:
    """Run neurons; the current or a parameter has a wrong shape or dtype."""
    steps, batch, neurons = sizes(3)
    given = [torch.randn(steps, batch, neurons), torch.rand(neurons), torch.rand(neurons)]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    _, found = ops.leaky(*given)
    return found, lambda: stepped(*given)


def stepped(current: Tensor, beta: Tensor, threshold: Tensor) -> Tensor:
    """Return the membranes of neurons, computed in a loop over time."""
    membrane, membranes = torch.zeros_like(current[0]), []
    for now in current:
        fired = (membrane > threshold).to(current.dtype)
        membrane = beta.clamp(0, 1) * membrane + now - fired * threshold
        membranes.append(membrane)
    return torch.stack(membranes)


def changed_afterwards() -> Found:
    """Change a parameter between forward and backward pass, as `Tensor.data` allows."""
    steps, batch, *widths = sizes(5)
    fed = spikes(steps, batch, widths[0])
    stack = [layer(widths[1], widths[0], batch), layer(widths[2], widths[1], batch)]
    did = engine.run(stack, fed, record="all", final=True)
    own = choose(stack)
    part = choose([x for x in ("weight", "beta", "threshold") if getattr(own, x).is_leaf])
    tensor = getattr(own, part)
    tensor.data = misfit(tensor.detach()).to(tensor.dtype)
    backward(*(tensor for one in did for tensor in (one.spikes, one.membrane, one.final)))
    return None


def run_current() -> Found:
    """Run neurons without weights; the current or a parameter has a wrong shape or dtype."""
    steps, batch, count = (choose([1, 2, 3, 5]) for _ in range(3))
    current = torch.randn(steps, batch, count).requires_grad_()
    neurons = replace(layer(count, None, batch), bias=None, dropout=0.0)
    if random.random() < 0.5:
        current = misfit(current)
    else:
        neurons = mangled(neurons)
    (output,) = engine.run([neurons], current)
    backward(output.spikes, output.membrane)
    return None


def convolve() -> Any:
    count, channels, out = (choose([1, 2, 3]) for _ in range(3))
    height, width, tall, wide = (choose([1, 2, 3, 5, 8]) for _ in range(4))
    out *= choose([1, 32])
    given = [
        (torch.rand(count, channels, height, width) < 0.1).float(),
        learned(out, channels, tall, wide),
        learned(out),
    ]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    options: dict[str, Any] = {
        "stride": (choose([1, 1, 1, 2, 0]), choose([1, 1, 1, 3, -1])),
        "padding": (choose([0, 0, 0, 2, -1]), choose([0, 0, 0, 9])),
    }
    fed, weight, bias = given
    (found,) = backward(engine.convolve(fed, weight, bias, **options))
    return found, lambda: nn.functional.conv2d(fed.to(weight.dtype), weight, bias, **options)


def exchange(module: Any, name: str) -> None:
    """Replace a layer of a network, or its weight alone, by one of another size."""
    linear = getattr(module, name)
    new: nn.Conv2d | nn.Linear
    if isinstance(linear, nn.Conv2d):
        new = nn.Conv2d(*(choose([1, 2, 3, 12, 40]) for _ in range(3)))
    else:
        inside, outside = choose(SIZES[1:]), choose(SIZES[1:])
        if random.random() < 0.5:
            inside = linear.in_features
        new = nn.Linear(inside, outside)
    if random.random() < 0.3:
        linear.weight = new.weight  # in_features and out_features stay
    else:
        setattr(module, name, new)


def own_surrogate(x: Tensor) -> Tensor:
    return torch.sigmoid(x).round() + torch.sigmoid(x) - torch.sigmoid(x).detach()


def mlp() -> Any:
    backend = choose(["event_driven", "event_driven", "auto"])
    surrogate = choose(["atan", own_surrogate])
    features, *hidden = choose_several(SIZES[5:], k=choose([2, 3]))
    model = LeakyMLP(features, hidden, 10, spike_grad=surrogate, backend=backend, dropout=0.2)
    if random.random() < 0.5:
        choose(list(model.layers)).register_forward_hook(lambda *_: None)
    each = choose(list(model.layers))
    if random.random() < 0.8:
        exchange(each, "linear")
    else:
        name = choose(["beta", "threshold"])
        each.leaky.register_buffer(name, misfit(torch.ones(())))
    record = model(spikes(choose([1, 5, 20]), 2, features))
    backward(record.membrane, record.spikes)


def convolutional() -> Any:
    model = LeakyConvNet(
        choose(["4C5-P2-10", "32C3-P2-40C3-10", "2C3-AP2-30-10"]),
        batch_norm=choose([False, True]),
        spike_grad=choose(["atan", own_surrogate]),
        backend=choose(["event_driven", "auto"]),
        dropout=0.1,
    )
    return exchanged_in(model, spikes(choose([1, 4]), 2, 28, 28))


def accelerated() -> Any:
    def neurons() -> snntorch.Leaky:
        return snntorch.Leaky(beta=0.9, spike_grad=choose([None, ops.ATan()]))

    first = [nn.Flatten(), nn.Linear(784, 100)]
    second = [nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), neurons(), nn.Flatten(), nn.Linear(576, 100)]
    before = choose([first, second])
    network = nn.Sequential(*before, neurons(), nn.Dropout(0.1), nn.Linear(100, 10), neurons())
    model = accelerate(network, backend="event_driven")
    return exchanged_in(model, spikes(choose([1, 4, 20]), 2, 1, 28, 28))


def exchanged_in(model: Any, fed: Tensor) -> Any:
    places = [
        name
        for name, module in model.network.named_children()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    exchange(model.network, choose(places))
    record = model(fed)
    backward(record.membrane, record.spikes)


def stdp() -> None:
    steps, batch, inputs, neurons = sizes(4)
    given = [
        spikes(steps, batch, inputs),
        spikes(steps, batch, neurons),
        torch.rand(neurons, inputs),
    ]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    choose([pair_stdp, post_stdp])(*given)


Found = tuple[Tensor, Callable[[], Tensor]] | None
"""The result, and a function that computes it in plain torch; None if there is no comparison."""

FUNCTIONS: tuple[Callable[[], Found], ...] = (
    *(run_dense, run_linear, run_leaky, run_current, convolve, changed_afterwards),
)
NETWORKS: tuple[Callable[[], Any], ...] = (mlp, convolutional, accelerated)


def no_material(folder: Path) -> None:
    """Prepare nothing: each case draws its own tensors."""


def _case(trials: Sequence[Callable[[], Any]], draw: random.Random) -> str | None:
    """Return None if a trial is refused or agrees with torch, else the failure."""
    trial = draw.choice(trials)
    seed = draw.randrange(2**32)
    random.seed(seed)
    torch.manual_seed(seed)
    try:
        found = trial()
    except (ValueError, TypeError):
        return None
    except RuntimeError as error:
        # For modules that torch runs itself, torch's own error is enough.
        own = trial in (convolutional, accelerated)
        return None if own else f"{trial.__name__} {seed}: {one_line(error)}"
    except Exception as error:
        return f"{trial.__name__} {seed}: {one_line(error)}"
    if found is None or not found[0].numel():
        return None
    value, expected = found[0].detach(), found[1]().detach()
    if value.shape == expected.shape and torch.allclose(
        value.double(), expected.double(), rtol=1e-3, atol=1e-2, equal_nan=True
    ):
        return None
    return f"{trial.__name__} {seed}: other numbers than plain torch has"


def shape_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Call a function of `ops` or of the engine with a tensor of wrong shape or dtype."""
    return _case(FUNCTIONS, draw)


def exchanged_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Replace a layer of a network by one of another size, and run and train the network."""
    return _case(NETWORKS, draw)


def stdp_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Call the STDP rules with spikes and weights of wrong shape or dtype."""
    return _case((stdp,), draw)


FITS = "are refused by a ValueError or TypeError, or give what torch's own functions give."

ATTACKS = (
    Attack(
        name="shapes",
        expectation=f"Shapes and dtypes that do not fit a function {FITS}",
        prepare=no_material,
        case=shape_case,
        limit=120.0,
    ),
    Attack(
        name="exchanged",
        expectation="A layer that does not fit its network is refused by a ValueError.",
        prepare=no_material,
        case=exchanged_case,
        limit=120.0,
    ),
    Attack(
        name="rules",
        expectation="Spikes and weights that do not fit a rule of STDP are refused likewise.",
        prepare=no_material,
        case=stdp_case,
        limit=120.0,
    ),
)
