"""What a Mac's GPU (MPS) would run, checked on the CPU.

MPS has no float64, and not every operator. Here every operator of a training step passes a gate
that lets through neither a double nor an operator outside ``mps_operators.txt``, which lists
those that PyTorch implements for MPS. To add one there, look it up in PyTorch's
``native_functions.yaml``: it needs an MPS kernel of its own, or one for every device that is
made of operators that have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from spikemnist import ops
from spikemnist.data import ImageDataset, load_digits
from spikemnist.encoding import (
    DirectEncoder,
    Encoder,
    LatencyEncoder,
    RateEncoder,
)
from spikemnist.encoding import spikes as codes
from spikemnist.models import (
    READOUTS,
    Classifier,
    LeakyConvNet,
    LeakyMLP,
    spiking_layer,
)
from spikemnist.training import (
    L1Spikes,
    Regularized,
    SpikeTimeCrossEntropy,
    SpikeTimeMSE,
    TargetRate,
    TrainConfig,
    cross_entropy,
    evaluate,
    fit,
)
from spikemnist.training.losses import Loss
from tests.models.stepped_network import STEPPED
from tests.pairs import Case, named, pairs
from tests.rooms import of_rooms

if TYPE_CHECKING:
    from spikemnist._names import ReadoutName

FILE = Path(__file__).with_name("mps_operators.txt")
LISTED = {line for line in FILE.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"}
ENCODERS = [
    RateEncoder(num_steps=4),
    RateEncoder(num_steps=4, first_spike_time=1),
    LatencyEncoder(num_steps=4),
    LatencyEncoder(num_steps=4, curve="log", clip=False),
    DirectEncoder(num_steps=4),
    RateEncoder(num_steps=4, deterministic=True),
    *of_rooms("ON_MPS"),
]

ADAM = partial(torch.optim.Adam, foreach=False, fused=False)  # fit takes a fused one on the CPU


class MPSRules(TorchDispatchMode):
    """Refuses what MPS cannot do."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func)
        if func.namespace == "aten" and name not in LISTED:  # the rest is the profiler's
            raise NotImplementedError(f"{name} is not listed as implemented on MPS")
        result = func(*args, **(kwargs or {}))
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        made = [value for value in tree_leaves(result) if isinstance(value, torch.Tensor)]
        # A Python number beside a tensor arrives as a double without dimensions, and is cast.
        given = [value for value in given if value.dim()]
        if any(value.dtype == torch.float64 for value in (*given, *made)):
            raise TypeError(f"{name} on float64, which MPS does not have")
        return result


@contextmanager
def as_on_mps() -> Iterator[None]:
    """Refuse what MPS cannot do, without kernels and with torch's own dropout, as on any GPU."""
    with (
        MPSRules(),
        mock.patch.object(codes, "is_installed", return_value=False),
        mock.patch.object(spiking_layer, "drop_out", functional.dropout),
    ):
        yield


def train(model: LeakyMLP | LeakyConvNet, encoder: Encoder, images: Any) -> None:
    """Take two steps of training and one of evaluation, with compact spikes, under the rules."""
    classifier = Classifier(model, encoder)
    labels = torch.tensor([0, 1, 2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=False, fused=False)
    generator = torch.Generator().manual_seed(0)
    with as_on_mps():
        for _ in range(2):
            optimizer.zero_grad()
            record = model(encoder(images, generator=generator), record="all")
            functional.cross_entropy(record.scores, labels).backward()
            optimizer.step()
        with torch.inference_mode():
            record = classifier.eval()(images, generator=generator)
            assert record.predictions.shape == (3,)
            assert record.running_predictions.shape == (4, 3)
            assert repr(record).startswith("Record of 3 samples")
            assert "surrogate" in repr(model)


def images(dtype: torch.dtype) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    grey = torch.randint(256, (3, 4, 4), generator=random, dtype=torch.uint8)
    return grey if dtype == torch.uint8 else grey.to(dtype) / 255


@pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16])
def test_every_encoder(encoder: Encoder, dtype: torch.dtype) -> None:
    inputs = encoder(images(dtype))[0, 0].numel()  # a code may have several neurons for a pixel
    train(
        LeakyMLP((8,), in_features=inputs, out_features=3, backend="reference"),
        encoder,
        images(dtype),
    )


@pytest.mark.parametrize(
    "case",
    pairs(
        readout=list(READOUTS),
        reset_mechanism=ops.RESET_MECHANISMS,
        learn_beta=[False, True],
        learn_threshold=[False, True],
        spike_grad=sorted(ops.SURROGATES),
        backend=["reference", *STEPPED],
    ),
    ids=named,
)
def test_every_pair_of_options(case: Case) -> None:
    beta = [0.5, [0.1 * i for i in range(5)], 0.9]
    model = LeakyMLP((8, 5), in_features=16, out_features=3, beta=beta, dropout=0.25, **case)
    train(model, RateEncoder(num_steps=4), images(torch.uint8))


def small_digits(samples: int) -> ImageDataset:
    data = load_digits()[0][:samples]
    return ImageDataset(data.images[:, ::2, ::2].contiguous(), data.labels, data.classes)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolutions(batch_norm: bool) -> None:
    model = LeakyConvNet(
        "4C3-P2-4C3-AP2-8-3",
        (1, 14, 14),
        batch_norm=batch_norm,
        learn_beta=True,
        learn_threshold=True,
        dropout=0.25,
        backend="reference",
    )
    train(model, RateEncoder(num_steps=4), small_digits(3).images[:, None])


@pytest.mark.parametrize(
    ("loss", "readout"),
    [
        (Regularized(cross_entropy, [L1Spikes(1e-3), TargetRate(0.05)]), "mean_membrane"),
        (SpikeTimeMSE(), "first_spike"),
        (SpikeTimeCrossEntropy(tau=2.0), "first_spike"),
    ],
    ids=["penalties", "times", "order of times"],
)
def test_fit_and_evaluate(loss: Loss, readout: ReadoutName) -> None:
    """With all that `fit` does beside the steps: clipping, a schedule, validation, truncation."""
    options: dict[str, Any] = {"threshold": 0.2, "dropout": 0.25, "backend": "reference"}
    network = LeakyMLP((8,), in_features=196, out_features=10, readout=readout, **options)
    classifier = Classifier(network, RateEncoder(num_steps=4))
    settings: dict[str, Any] = {"loss": loss, "batch_size": 20}
    config = TrainConfig(epochs=2, clip_norm=1.0, schedule="cosine", optimizer=ADAM, **settings)
    truncated = TrainConfig(epochs=1, truncate=2, optimizer=ADAM)
    with as_on_mps():
        fit(classifier, small_digits(40), config, validation=small_digits(10), progress=False)
        fit(classifier, small_digits(20), truncated, progress=False)
        evaluate(classifier, small_digits(40), **settings)


def test_state_between_chunks() -> None:
    model = LeakyMLP((8,), in_features=16, out_features=3, backend="reference")
    spikes = LatencyEncoder(num_steps=4)(images(torch.uint8))
    with MPSRules():
        state = None
        for chunk in torch.split(spikes, 2):
            record = model(chunk, state=state)
            record.scores.sum().backward()
            state = tuple(membrane.detach() for membrane in record.state)


def test_list_of_operators() -> None:
    """Each line names an operator of the installed PyTorch, so that a slip of the pen shows."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    assert lines == sorted(set(lines))
    for line in lines:
        namespace, operator, overload = line.split(".")
        assert overload in getattr(getattr(torch.ops, namespace), operator).overloads()
