"""Dropout by masks that are functions of a seed: its law, and the kernel beside plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.engine.dropout import draw_bits
from spikemnist.kernels import spike_lists, splitmix
from spikemnist.ops.dropout import NUMBERS, bound_of, drop_out, keep
from tests.strategies import ODD_SIZES, SEEDS

PROBABILITIES = st.floats(1e-6, 1.0)


def words_one_by_one(seed: int, rows: int, features: int, probability: float) -> list[list[bool]]:
    """Return the mask by Python's integers."""
    quads = -(-features // 4)
    return [
        [
            splitmix.word(seed, row * quads + j // 4) >> 16 * (j % 4) & 0xFFFF
            > bound_of(probability)
            for j in range(features)
        ]
        for row in range(rows)
    ]


@given(SEEDS, st.integers(0, 5), st.integers(1, 20), PROBABILITIES)
def test_each_input_has_16_bits(seed: int, rows: int, features: int, probability: float) -> None:
    mask = keep(seed, rows, features, probability)
    assert mask.tolist() == words_one_by_one(seed, rows, features, probability)


@given(SEEDS, st.integers(1, 9), st.integers(0, 4), st.sampled_from(ODD_SIZES), PROBABILITIES)
def test_the_kernel_makes_the_same_mask(
    seed: int, steps: int, batch: int, features: int, probability: float
) -> None:
    masks = []
    with torch.random.fork_rng(devices=[]):
        for draw in (True, False):
            torch.manual_seed(seed)
            if draw:
                bits = draw_bits(steps, batch, features, probability)
                masks.append(spike_lists.unpack(bits, features, np.bool_))
            else:
                flat = keep(splitmix.draw_seed(None), steps * batch, features, probability)
                masks.append(flat.view(steps, batch, features))
    assert torch.equal(*masks)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.9])
def test_the_share_of_kept_inputs(probability: float) -> None:
    count = 4_000_000
    kept = keep(5, 1000, count // 1000, probability).float()
    deviation = (probability * (1 - probability) / count) ** 0.5
    assert abs(float(kept.mean()) - (1 - probability)) < 5 * deviation + 0.5 / NUMBERS
    # Neighbours in a row, in a column and in a word do not depend on each other.
    centred = kept - kept.mean()
    for one, other in ((centred[:, 1:], centred[:, :-1]), (centred[1:], centred[:-1])):
        assert abs(float((one * other).mean())) < 5 * probability * (1 - probability) / 2000


def test_kept_inputs_are_scaled_and_so_is_their_gradient() -> None:
    signal = torch.rand(6, 2, 3, 4, requires_grad=True)
    out = drop_out(signal, 0.25)
    torch.testing.assert_close(out[out != 0], (signal / 0.75)[out != 0])
    (gradient,) = torch.autograd.grad(out.sum(), signal)
    torch.testing.assert_close(gradient, (out != 0).float() / 0.75)
    assert drop_out(signal, 0.0) is signal
    assert not drop_out(signal, 1.0).any()
    assert bound_of(1.0) == NUMBERS - 1
    assert bound_of(1e-9) == 0


def test_two_calls_draw_two_masks_and_a_seed_repeats_them() -> None:
    def twice() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return drop_out(torch.ones(9, 40), 0.5), drop_out(torch.ones(9, 40), 0.5)

    one, other = twice()
    assert not torch.equal(one, other)
    assert all(map(torch.equal, twice(), (one, other)))
