"""The hashes that a change of structure is judged by."""

from __future__ import annotations

import torch

from benchmarks import fingerprints


def test_the_grid_covers_every_kind_of_network_and_backend() -> None:
    names = list(fingerprints.runs())
    assert len(names) >= 40
    for part in ("mlp", "conv", "accelerate", "stdp", "float64", "learned", "reset", "dropout"):
        assert any(part in name for name in names), part
    for backend in ("reference", "event_driven", "snntorch"):
        assert any(name.endswith(backend) for name in names)


def test_a_run_has_the_same_hashes_twice_and_others_with_another_surrogate() -> None:
    runs = fingerprints.runs()
    first, again = (runs["call mlp atan reference"]() for _ in range(2))
    other = runs["call mlp sigmoid reference"]()
    assert first == again
    assert fingerprints.differences({"a": first}, {"a": again}) == []
    assert [line.split()[1] for line in fingerprints.differences({"a": first}, {"a": other})] == [
        "gradients"
    ]


def test_one_bit_and_one_name_change_a_hash() -> None:
    numbers = torch.zeros(3)
    assert fingerprints.digest([numbers]) == fingerprints.digest([torch.zeros(3)])
    assert fingerprints.digest([numbers]) != fingerprints.digest([torch.zeros(3, 1)])
    assert fingerprints.digest([numbers]) != fingerprints.digest([-numbers])
    assert fingerprints.digest(["a", numbers]) != fingerprints.digest(["b", numbers])
    assert fingerprints.differences({"a": {"x": "1"}}, {}) == ["a: x was 1, is None"]
