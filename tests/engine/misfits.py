"""Feed shapes and dtypes that do not fit to everything that reaches a compiled kernel.

Run as a program, ``python misfits.py SEED TRIES``, since a failure can be the end of the process.
It prints how often what does not fit was refused, and how often it was computed as plain torch
computes it; and each case that ended otherwise.
"""

from __future__ import annotations

import faulthandler
import random
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import snntorch
import torch
from torch import Tensor, nn

from spikemnist import ops
from spikemnist.models import LeakyConvNet, LeakyMLP, accelerate
from spikemnist.plasticity import pair_stdp, post_stdp

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = (0, 1, 2, 3, 5, 63, 64, 65, 70, 127, 784, 785, 2000)
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool)
REFUSALS = (ValueError, TypeError)


def sizes(count: int) -> list[int]:
    return random.choices(SIZES[1:10], k=count)


def spikes(*shape: int) -> Tensor:
    return (torch.rand(shape) < random.choice([0.02, 0.3, 0.9])).float()


def misfit(tensor: Tensor) -> Tensor:
    """Return a tensor of another shape or dtype, with few numbers that are not 0."""
    shape = list(tensor.shape)
    change = random.choice(["size", "size", "size", "size", "dtype", "more", "fewer"])
    if change == "size" and shape:
        axis = random.randrange(len(shape))
        shape[axis] = random.choice([*SIZES, shape[axis] + 1, max(0, shape[axis] - 1)])
    elif change == "dtype":
        return tensor.detach().to(random.choice(DTYPES))
    elif change == "fewer" and shape:
        shape.pop(random.randrange(len(shape)))
    else:
        shape.insert(random.randint(0, len(shape)), random.choice([1, 2, 3]))
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
        torch.stack(graph).sum().backward()
    return [tensor.detach() for tensor in there]


def layer(neurons: int, features: int | None, batch: int) -> ops.Layer:
    return ops.Layer(
        weight=None if features is None else learned(neurons, features),
        bias=random.choice([None, learned(neurons)]),
        beta=random.choice([torch.tensor(0.9), torch.rand(neurons).requires_grad_()]),
        threshold=random.choice([torch.tensor(1.0), torch.rand(neurons).requires_grad_()]),
        reset_mechanism=random.choice(ops.RESET_MECHANISMS),
        spike_grad=ops.get_surrogate(random.choice(list(ops.SURROGATES))),
        initial=random.choice([None, torch.randn(batch, neurons).requires_grad_()]),
        dropout=random.choice([0.0, 0.0, 0.5]),
    )


def mangled(given: ops.Layer) -> ops.Layer:
    parts = ("weight", "bias", "beta", "threshold", "initial")
    there = [part for part in parts if getattr(given, part) is not None]
    part = random.choice(there)
    return replace(given, **{part: misfit(getattr(given, part))})


def run_layers() -> Any:
    steps, batch, *widths = sizes(random.choice([4, 5, 6]))
    fed = spikes(steps, batch, widths[0])
    pairs = zip(widths[1:], widths[:-1], strict=True)
    stack = [layer(neurons, features, batch) for neurons, features in pairs]
    place = random.randrange(len(stack) + 1)
    if place:
        stack[place - 1] = mangled(stack[place - 1])
    else:
        fed = misfit(fed)
    did = ops.run_layers(fed, stack, record=random.choice(["output", "all"]), final=True)
    backward(*(tensor for one in did for tensor in (one.spikes, one.membrane, one.final)))


def weighing(weigh: Callable[..., Tensor]) -> Callable[[], Any]:
    def run() -> Any:
        steps, batch, features, neurons = sizes(4)
        given = [spikes(steps, batch, features), learned(neurons, features), learned(neurons)]
        place = random.randrange(3)
        given[place] = misfit(given[place])
        (found,) = backward(weigh(*given))
        return found, lambda: ops.linear(*given)

    return run


def changed_afterwards() -> Any:
    """What `Tensor.data` allows between the forward and the backward pass."""
    steps, batch, *widths = sizes(5)
    fed = spikes(steps, batch, widths[0])
    stack = [layer(widths[1], widths[0], batch), layer(widths[2], widths[1], batch)]
    did = ops.run_layers(fed, stack, record="all", final=True)
    own = random.choice(stack)
    part = random.choice([x for x in ("weight", "beta", "threshold") if getattr(own, x).is_leaf])
    tensor = getattr(own, part)
    tensor.data = misfit(tensor.detach()).to(tensor.dtype)
    backward(*(tensor for one in did for tensor in (one.spikes, one.membrane, one.final)))


def run_pooled() -> Any:
    steps, batch, channels = (random.choice([1, 2, 3, 5]) for _ in range(3))
    height, width, size = (random.choice([1, 2, 3, 4, 7]) for _ in range(3))
    count = channels * (height // size) * (width // size)
    current = torch.randn(steps, batch, channels, height, width).requires_grad_()
    neurons = replace(layer(max(count, 1), None, batch), bias=None)
    if random.random() < 0.5:
        current = misfit(current)
    else:
        neurons = mangled(neurons)
    backward(*ops.run_pooled(current, neurons, num_steps=steps, size=size))


def convolve() -> Any:
    count, channels, out = (random.choice([1, 2, 3]) for _ in range(3))
    height, width, tall, wide = (random.choice([1, 2, 3, 5, 8]) for _ in range(4))
    out *= random.choice([1, 32])
    given = [
        (torch.rand(count, channels, height, width) < 0.1).float(),
        learned(out, channels, tall, wide),
        learned(out),
    ]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    options = {
        "stride": (random.choice([1, 1, 1, 2, 0]), random.choice([1, 1, 1, 3, -1])),
        "padding": (random.choice([0, 0, 0, 2, -1]), random.choice([0, 0, 0, 9])),
    }
    (found,) = backward(ops.convolve_events(*given, **options))
    return found, lambda: nn.functional.conv2d(given[0].to(given[1].dtype), *given[1:], **options)


def exchange(module: Any, name: str) -> None:
    """Put weights of other sizes in the place of a module's, or other neurons."""
    linear = getattr(module, name)
    if isinstance(linear, nn.Conv2d):
        new = nn.Conv2d(*(random.choice([1, 2, 3, 12, 40]) for _ in range(3)))
    else:
        inside, outside = random.choice(SIZES[1:]), random.choice(SIZES[1:])
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
    backend = random.choice(["event_driven", "event_driven", "auto"])
    surrogate = random.choice(["atan", own_surrogate])
    features, *hidden = random.choices(SIZES[5:], k=random.choice([2, 3]))
    model = LeakyMLP(features, hidden, 10, spike_grad=surrogate, backend=backend, dropout=0.2)
    if random.random() < 0.5:
        random.choice(list(model.layers)).register_forward_hook(lambda *_: None)
    each = random.choice(list(model.layers))
    if random.random() < 0.8:
        exchange(each, "linear")
    else:
        name = random.choice(["beta", "threshold"])
        each.leaky.register_buffer(name, misfit(torch.ones(())))
    record = model(spikes(random.choice([1, 5, 20]), 2, features))
    backward(record.membrane, record.spikes)


def convolutional() -> Any:
    model = LeakyConvNet(
        random.choice(["4C5-P2-10", "32C3-P2-40C3-10", "2C3-AP2-30-10"]),
        batch_norm=random.choice([False, True]),
        spike_grad=random.choice(["atan", own_surrogate]),
        backend="event_driven",
        dropout=0.1,
    )
    return exchanged_in(model, spikes(random.choice([1, 4]), 2, 28, 28))


def accelerated() -> Any:
    def neurons() -> snntorch.Leaky:
        return snntorch.Leaky(beta=0.9, spike_grad=random.choice([None, ops.ATan()]))

    first = [nn.Flatten(), nn.Linear(784, 100)]
    second = [nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), neurons(), nn.Flatten(), nn.Linear(576, 100)]
    before = random.choice([first, second])
    network = nn.Sequential(*before, neurons(), nn.Dropout(0.1), nn.Linear(100, 10), neurons())
    model = accelerate(network, backend="event_driven")
    return exchanged_in(model, spikes(random.choice([1, 4, 20]), 2, 1, 28, 28))


def exchanged_in(model: Any, fed: Tensor) -> Any:
    places = [
        name
        for name, module in model.network.named_children()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    exchange(model.network, random.choice(places))
    record = model(fed)
    backward(record.membrane, record.spikes)


def operator() -> Any:
    """The operators of `torch.compile`, which anybody can call."""
    steps, batch, features, neurons = sizes(4)
    lists: list[Any] = [
        [learned(neurons, features)],
        [learned(neurons)],
        [torch.tensor(0.9)],
        [torch.ones(neurons)],
        [torch.zeros(batch, neurons)],
        [random.choice([torch.empty(0), torch.ones(steps, batch, neurons, dtype=torch.uint8)])],
        [random.choice([0, 1, 2, 2, 3, 7])],
        [float(random.choice([0, 0, 1, 7, 8, 100])), 1.0, 1.0],
        [1.0],
    ]
    fed, place = spikes(steps, batch, features), random.randrange(7)
    if place < 6:
        lists[place] = [misfit(lists[place][0])]
    else:
        fed = misfit(fed)
    *_, counts, words = out = torch.ops.spikemnist.leaky_layers(fed, *lists, [True], True, True)
    if random.random() < 0.5:
        backward(out[0], out[1])
        return
    *tensors, _, resets, slopes, scales = lists
    given = [counts, words, out[4]]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    torch.ops.spikemnist.leaky_layers_backward(
        [torch.ones(steps, batch, neurons)] * 2 + [torch.empty(0)],
        fed,
        features,
        given[0],
        [given[1]],
        [given[2]],
        [out[5]],
        *tensors,
        resets,
        slopes,
        scales,
        [True],
        [True] * 4,
    )


def stdp() -> Any:
    steps, batch, inputs, neurons = sizes(4)
    given = [
        spikes(steps, batch, inputs),
        spikes(steps, batch, neurons),
        torch.rand(neurons, inputs),
    ]
    place = random.randrange(3)
    given[place] = misfit(given[place])
    random.choice([pair_stdp, post_stdp])(*given)


TRIALS: dict[str, Callable[[], Any]] = {
    "run_layers": run_layers,
    "weigh_events": weighing(ops.weigh_events),
    "linear": weighing(ops.linear),
    "data changed before the backward pass": changed_afterwards,
    "run_pooled": run_pooled,
    "convolve_events": convolve,
    "LeakyMLP, a layer exchanged": mlp,
    "LeakyConvNet, a layer exchanged": convolutional,
    "accelerate, a layer exchanged": accelerated,
    "torch.ops.spikemnist": operator,
    "pair_stdp and post_stdp": stdp,
}


def outcome(trial: Callable[[], Any]) -> str:
    """Return ``"refused"`` or ``"computed"``, or what happened instead."""
    try:
        found = trial()
    except REFUSALS:
        return "refused"
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    if found is None:
        return "computed"
    value, expected = found[0], found[1]().detach()
    same = value.shape == expected.shape and torch.allclose(
        value.double(), expected.double(), rtol=1e-3, atol=1e-2
    )
    return "computed" if same else "other numbers than plain torch's"


def main(seed: int, tries: int) -> None:
    faulthandler.enable()
    torch.set_num_threads(1)
    counts: Counter[tuple[str, str]] = Counter()
    names = list(TRIALS)
    for index in range(tries):
        random.seed(seed + index)
        torch.manual_seed(seed + index)
        name = names[index % len(names)]
        print(name, seed + index, file=sys.stderr, flush=True)  # what it died of, if it dies
        counts[name, outcome(TRIALS[name])] += 1
    for (name, ended), count in sorted(counts.items()):
        print(f"{count:5} {name}: {ended}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
