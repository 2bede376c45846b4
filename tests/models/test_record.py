"""Laws of a record: what is detached or moved is all of it."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from spikemnist.models import LayerRecord, LeakyConvNet, LeakyMLP, Record

NETWORKS = [LeakyMLP((5, 4), in_features=36, out_features=3), LeakyConvNet("2C3-3", (1, 6, 6))]


def record_of(network: Any) -> Record:
    """Return a record of which every field is filled."""
    spikes = (torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    record: Record = network(spikes, record="all", state=None)
    for field in (*dataclasses.fields(Record), *dataclasses.fields(LayerRecord)):
        owner = record if hasattr(record, field.name) else record.layers[0]
        assert "Tensor" not in str(field.type) or [*tensors(getattr(owner, field.name))]
    return record


def tensors(part: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors in an object with their places, in whatever it holds them."""
    if isinstance(part, Tensor):
        yield path, part
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from tensors(getattr(part, field.name), f"{path}.{field.name}")
    elif isinstance(part, (list, tuple)):
        for index, one in enumerate(part):
            yield from tensors(one, f"{path}[{index}]")
    elif isinstance(part, dict):
        for name, one in part.items():
            yield from tensors(one, f"{path}[{name!r}]")


@pytest.mark.parametrize("network", NETWORKS)
def test_detached_record(network: Any) -> None:
    record = record_of(network)
    assert record.scores.requires_grad
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(record)
    detached = record.detach()
    copies = [copy.deepcopy(detached), pickle.loads(pickle.dumps(detached))]
    for whole in (detached, *copies):
        assert repr(whole) == repr(record)
        for (place, before), (same_place, after) in zip(
            tensors(record), tensors(whole), strict=True
        ):
            assert place == same_place
            assert not after.requires_grad
            assert torch.equal(after, before)
            assert (after.data_ptr() == before.data_ptr()) == (whole is detached)
    assert record.scores.requires_grad


@pytest.mark.parametrize("network", NETWORKS)
def test_device_of_a_record(network: Any) -> None:
    record = record_of(network)
    moved = record.to("meta")
    assert [place for place, _ in tensors(moved)] == [place for place, _ in tensors(record)]
    assert all(tensor.is_meta for _, tensor in tensors(moved))
    assert moved.layers[0].name == record.layers[0].name
    stayed = record.to(torch.device("cpu"))
    for (_, before), (_, after) in zip(tensors(record), tensors(stayed), strict=True):
        assert after is before


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_of_floats_alone(dtype: torch.dtype) -> None:
    record = record_of(NETWORKS[0])
    for (place, before), (_, after) in zip(tensors(record), tensors(record.to(dtype)), strict=True):
        assert after.dtype == (dtype if before.is_floating_point() else before.dtype), place
        torch.testing.assert_close(after.to(before.dtype), before, rtol=1e-2, atol=1e-2)
    record.to(dtype).scores.sum().backward()  # the graph goes on
    assert NETWORKS[0].layers[0].linear.weight.grad is not None
    NETWORKS[0].zero_grad()


def test_a_record_in_the_place_of_a_tensor() -> None:
    record, labels = record_of(NETWORKS[0]), torch.tensor([0, 2])
    message = "takes tensors, and a network returns a Record: pass record.scores"
    for call in (torch.nn.CrossEntropyLoss(), torch.equal):
        with pytest.raises(TypeError, match=message):
            call(record, labels)
    assert record != record.scores
