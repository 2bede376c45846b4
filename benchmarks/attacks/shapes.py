"""Shapes and dtypes that do not fit, into each function of `ops` and into exchanged layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.attacks.attack import Attack, one_line
from spikemnist import ops
from spikemnist.models import LeakyConvNet, LeakyMLP
from spikemnist.plasticity import pair_stdp, post_stdp

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

DTYPES = (torch.float32, torch.float32, torch.float64, torch.float16, torch.int64, torch.bool)
SIZES = (0, 1, 2, 3, 5, 17, 783, 784, 785, 100_000)


def no_material(folder: Path) -> None:
    """Prepare nothing: each case draws its own tensors."""


def shape_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Call a function with tensors of which one or two do not fit."""
    del material, folder
    name = draw.choice(sorted(CALLS))
    call, oracle, shapes = CALLS[name]
    tensors, told = _tensors(shapes, draw)
    arguments = [tensor.clone().requires_grad_(_learns(tensor, draw)) for tensor in tensors]
    try:
        found = call(*arguments)
        _backward(found)
    except (ValueError, TypeError):
        return None
    except Exception as error:
        return f"{name} of {told}: {one_line(error)}"
    if not any(tensor.numel() for tensor in found):
        return None  # there is no number that could be wrong
    try:
        expected = oracle(*tensors)
    except Exception as error:
        return f"{name} of {told}: accepted, where torch says {one_line(error)}"
    if found[0].shape != expected[0].shape:
        shape = tuple(expected[0].shape)
        return f"{name} of {told}: {tuple(found[0].shape)}, expected {shape}"
    for got, wanted in zip(found, expected, strict=True):
        if not torch.allclose(got.detach().double(), wanted.double(), rtol=1e-3, atol=1e-3):
            return f"{name} of {told}: other numbers than torch has"
    return None


def _tensors(shapes: tuple[tuple[int, ...], ...], draw: random.Random) -> tuple[list[Tensor], str]:
    """Return sound tensors in which one or two shapes or dtypes are other ones."""
    wanted = [list(shape) for shape in shapes]
    dtypes = [torch.float32] * len(shapes)
    for _ in range(draw.choice((1, 1, 2))):
        victim = draw.randrange(len(shapes))
        kind = draw.choice(("size", "size", "size", "dtype", "longer", "shorter"))
        if kind == "size" and wanted[victim]:
            wanted[victim][draw.randrange(len(wanted[victim]))] = draw.choice(SIZES)
        elif kind == "dtype":
            dtypes[victim] = draw.choice(DTYPES)
        elif kind == "longer":
            wanted[victim].insert(draw.randrange(len(wanted[victim]) + 1), draw.choice((1, 2)))
        elif wanted[victim]:
            wanted[victim].pop(draw.randrange(len(wanted[victim])))
    if any(_numbers(shape) > 3e7 for shape in wanted):
        return _tensors(shapes, draw)
    generator = torch.Generator().manual_seed(draw.randrange(2**32))
    tensors = [
        (torch.rand(shape, generator=generator) < 0.2).to(dtype)
        for shape, dtype in zip(wanted, dtypes, strict=True)
    ]
    told = ", ".join(
        f"{tuple(shape)} {str(dtype).removeprefix('torch.')}"
        for shape, dtype in zip(wanted, dtypes, strict=True)
    )
    return tensors, told


def _numbers(shape: list[int]) -> float:
    product = 1.0
    for size in shape:
        product *= size
    return product


def _learns(tensor: Tensor, draw: random.Random) -> bool:
    return tensor.is_floating_point() and draw.random() < 0.5


def _backward(found: tuple[Tensor, ...]) -> None:
    total = sum(tensor.sum() for tensor in found if tensor.requires_grad)
    if isinstance(total, torch.Tensor):
        torch.autograd.backward(total)


def _layer(weight: Tensor | None, beta: Tensor, threshold: Tensor) -> ops.Layer:
    return ops.Layer(
        weight=weight,
        beta=beta,
        threshold=threshold,
        reset_mechanism="subtract",
        spike_grad=ops.get_surrogate("atan"),
    )


def _run_layers(spikes: Tensor, weight: Tensor, beta: Tensor, threshold: Tensor) -> Any:
    (did,) = ops.run_layers(spikes, [_layer(weight, beta, threshold)])
    return did.spikes, did.membrane


def _run_pooled(current: Tensor, beta: Tensor, threshold: Tensor) -> Any:
    return ops.run_pooled(current, _layer(None, beta, threshold), num_steps=4, size=2)


def _stepped(current: Tensor, beta: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Step the neurons: the oracle."""
    membrane = torch.zeros_like(current[0])
    fired, membranes, all_fired = torch.zeros_like(membrane), [], []
    for now in current:
        membrane = beta.clamp(0, 1) * membrane + now - fired * threshold
        fired = (membrane > threshold).to(current.dtype)
        membranes.append(membrane)
        all_fired.append(fired)
    return torch.stack(all_fired), torch.stack(membranes)


def _linear(spikes: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor]:
    return (functional.linear(spikes.to(weight.dtype), weight, bias),)


def _pooled(current: Tensor, beta: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    images = functional.max_pool2d(current.flatten(0, 1), 2)
    images = images.reshape(*current.shape[:2], *images.shape[1:])
    steps = images.expand(4, *images.shape[1:])
    return _stepped(steps, beta, threshold)


CALLS: dict[
    str,
    tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]],
] = {
    "linear": (
        lambda *given: (ops.linear(*given),),
        _linear,
        ((4, 2, 784), (10, 784), (10,)),
    ),
    "weigh_events": (
        lambda *given: (ops.weigh_events(*given),),
        _linear,
        ((4, 2, 784), (10, 784), (10,)),
    ),
    "convolve_events": (
        lambda *given: (ops.convolve_events(*given),),
        lambda x, weight, bias: (functional.conv2d(x.to(weight.dtype), weight, bias),),
        ((8, 2, 12, 12), (4, 2, 3, 3), (4,)),
    ),
    "leaky": (ops.leaky, _stepped, ((4, 2, 5), (5,), (5,))),
    "run_layers": (
        _run_layers,
        lambda x, weight, beta, threshold: _stepped(
            functional.linear(x.to(weight.dtype), weight), beta, threshold
        ),
        ((4, 2, 784), (10, 784), (10,), (10,)),
    ),
    "run_pooled": (_run_pooled, _pooled, ((4, 2, 3, 8, 8), (), ())),
}
"""Function, oracle, and shapes that fit."""


def exchanged_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Exchange a layer of a network for one of another size, and run and train it."""
    del material, folder
    torch.manual_seed(draw.randrange(2**32))
    width, wrong = draw.choice((5, 300, 2000)), draw.choice(SIZES[1:-1])
    model, told, fits = _exchanged(width, wrong, draw)
    if draw.random() < 0.5:
        model.register_forward_hook(lambda *_: None)
        for layer in getattr(model, "layers", ()):
            if isinstance(layer, nn.Module):
                layer.register_forward_hook(lambda *_: None)
    spikes = (torch.rand(6, 3, 784) < draw.choice((0.01, 0.2, 1.0))).float()
    try:
        record = model(spikes)
        torch.autograd.backward(record.scores.sum())
    except (ValueError, TypeError):
        return None
    except Exception as error:
        return f"{told}: {one_line(error)}"
    return None if fits else f"{told}: accepted"


def _exchanged(width: int, wrong: int, draw: random.Random) -> tuple[Any, str, bool]:
    """Return a network of which a layer was exchanged, its description, and whether it fits."""
    if draw.random() < 0.3:
        network: Any = LeakyConvNet("4C5-P2-10")
        convolution = nn.Conv2d(wrong if wrong < 20 else 2, 4, 5)
        network.network[0] = convolution
        return network, f"LeakyConvNet with {convolution}", convolution.in_channels == 1
    surrogate: Any = draw.choice(("atan", torch.sigmoid))
    model = LeakyMLP(hidden=(width,), spike_grad=surrogate)
    place = draw.randrange(2)
    layer = model.layers[place]
    fits = wrong == layer.linear.in_features
    layer.linear = nn.Linear(wrong, layer.linear.out_features)
    return model, f"LeakyMLP {width} with {layer.linear} in layer {place}", fits


def stdp_case(material: None, draw: random.Random, folder: Path) -> str | None:
    """Call the rules of STDP with spikes and weights that do not fit."""
    del material, folder
    rule = draw.choice((pair_stdp, post_stdp))
    (pre, post, weight), told = _tensors(((20, 3, 7), (20, 3, 5), (5, 7)), draw)
    try:
        changed = rule(pre, post, weight)
    except (ValueError, TypeError):
        return None
    except Exception as error:
        return f"{rule.__name__} of {told}: {one_line(error)}"
    fits = pre.shape[:-1] == post.shape[:-1] and weight.shape == (post.shape[-1], pre.shape[-1])
    if not fits or changed.shape != weight.shape:
        return f"{rule.__name__} of {told}: accepted, with the result {tuple(changed.shape)}"
    return None


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
