"""The row operations of kernels, compared with NumPy.

Shapes: ``N`` neurons, ``F`` input features, ``M`` blocks; a row has 64 numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numba import from_dtype, njit
from numba.core.registry import cpu_target

from spikemnist import ops
from spikemnist.engine.slopes import FORMULAS, slope_of, through_spikes
from spikemnist.kernels import bits, blocks, registers, vector
from spikemnist.kernels.compiler import kernel
from spikemnist.kernels.elementwise import elementwise, exp, where
from spikemnist.kernels.registers import WIDTH, Rows, at, clear, vector_bytes
from spikemnist.kernels.scheduler import parallel, units_of
from tests.pairs import Case, named, pairs
from tests.strategies import SEEDS

Array = np.ndarray[Any, Any]
FLOATS = [np.float32, np.float64]


@kernel
def _sum_rows(queue, out, table, indices, start, stop):
    for _ in units_of(queue):
        vector.sum_rows(out, table, indices, start, stop, len(table) - 1)


@kernel
def _add_rows(queue, out, table, indices, start, stop):
    for _ in units_of(queue):
        vector.add_rows(out, table, indices, start, stop)


@kernel
def _scatter_row(queue, table, row, indices, start, stop):
    for _ in units_of(queue):
        vector.scatter_row(table, row, indices, start, stop)


@kernel
def _compare(queue, words, row, bound, value):
    for _ in units_of(queue):
        words[0] = bits.above(row, bound)
        words[1] = bits.equal(row, value)
        words[2] = bits.above(row, value)


@kernel
def _bits(queue, word, results):
    for _ in units_of(queue):
        results[0] = bits.lowest_bit(word[0])
        results[1] = bits.count_bits(word[0])
        results[2] = bits.count_bits(bits.drop_lowest_bit(word[0]))
        word[0] = bits.drop_lowest_bit(word[0])


@kernel
def _addresses(queue, like, results):
    for _ in units_of(queue):
        for rows in range(len(results)):
            scratch = blocks.aligned_rows(rows + 1, like)
            results[rows] = scratch.ctypes.data
            for row in range(rows + 1):
                clear(at(scratch, row))
            results[rows] += scratch.any()


@kernel
def _rows_at(queue, table, out):
    for _ in units_of(queue):
        for row in range(len(table)):
            vector.add_rows(at(out, row), table, np.array([row]), 0, 1)
        clear(at(out, 1))


@kernel
def _load_block(queue, block, weight, m, fired):
    for _ in units_of(queue):
        blocks.load_block(block, weight, m, fired)


def rows(count: int, seed: int, dtype: type, skip: int = 0) -> Array:
    """Draw rows of small whole numbers, whose sums are exact, ``skip`` numbers off a cache line."""
    drawn = np.random.default_rng(seed).integers(-8, 9, (count, WIDTH)).astype(dtype)
    room = np.zeros(skip + count * WIDTH, dtype)
    room[skip:] = drawn.ravel()
    return room[skip:].reshape(count, WIDTH)


@given(
    SEEDS,
    st.sampled_from(FLOATS),
    st.sampled_from([np.uint16, np.int32]),
    st.integers(0, 13),
    st.integers(0, 3),
    st.sampled_from([0, 1]),
)
def test_sums_of_rows(
    seed: int, dtype: type, index: type, stop: int, start: int, skip: int
) -> None:
    table = rows(10, seed, dtype, skip)
    table[9] = 0
    # Kernels may read indices after the last one, but must not use them.
    indices = np.full(13 + vector.UNROLL - 1, 0x5A5A, index)
    indices[:13] = np.random.default_rng(seed).integers(0, 9, 13)
    start = min(start, stop)
    total = table[indices[start:stop]].sum(0)
    for run, before in ((_sum_rows, 0), (_add_rows, 1)):
        out = rows(1, seed + 1, dtype, skip)[0]
        expected = before * out + total
        parallel(run, 1, out, table, indices, start, stop)
        assert np.array_equal(out, expected)
    different = np.random.default_rng(seed).permutation(9).astype(index)
    stop = min(stop, 9)
    start = min(start, stop)
    expected, row = table.copy(), rows(1, seed + 2, dtype, skip)[0]
    expected[different[start:stop]] += row
    parallel(_scatter_row, 1, table, row, different, start, stop)
    assert np.array_equal(table, expected)


def _all_sums(sums, table, indices):
    """Write a sum of each number of rows, and then add them to it once more."""
    for stop in range(len(sums)):
        vector.sum_rows(at(sums, stop), table, indices, 0, stop, len(table) - 1)
        vector.add_rows(at(sums, stop), table, indices, 0, stop)


@pytest.mark.parametrize(
    ("dtype", "register", "strips"),
    [
        (np.float32, 16, 2),
        (np.float32, 32, 1),
        (np.float64, 16, 4),
        (np.float64, 32, 2),
    ],
)
def test_sums_by_strips(
    dtype: type, register: int, strips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor with small registers adds a row in parts, and gets the same bits."""
    random = np.random.default_rng(0)
    table, indices = random.normal(size=(10, WIDTH)).astype(dtype), random.permutation(12) % 9
    table[9] = 0
    whole, parts = np.zeros((2, 10, WIDTH), dtype)
    monkeypatch.setattr(registers, "VECTOR_BYTES", 64)
    njit(_all_sums)(whole, table, indices)
    monkeypatch.setattr(registers, "VECTOR_BYTES", register)
    rows = Rows(cpu_target.target_context, None, from_dtype(np.dtype(dtype)))
    assert [strip.vector.count for strip in rows.strips()] == [WIDTH // strips] * strips
    njit(_all_sums)(parts, table, indices)
    assert np.array_equal(parts, whole)
    np.testing.assert_allclose(whole[9], 2 * table[indices[:9]].sum(0), rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_comparisons_make_words(dtype: type) -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        row, bound = random.integers(0, 3, (2, WIDTH)).astype(dtype)
        if np.issubdtype(dtype, np.floating):
            row[random.integers(WIDTH)] = np.nan
            bound[random.integers(WIDTH)] = np.inf
        words = np.zeros(3, np.uint64)
        parallel(_compare, 1, words, row, bound, dtype(1))
        expected = [row > bound, row == 1, row > 1]
        assert words.tolist() == [sum(1 << int(j) for j in np.flatnonzero(one)) for one in expected]


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(1 << 63)
def test_bits_of_a_word(word: int) -> None:
    results, array = np.zeros(3, np.int64), np.array([word], np.uint64)
    parallel(_bits, 1, array, results)
    places = [place for place in range(WIDTH) if word >> place & 1]
    assert results.tolist() == [(places or [WIDTH])[0], len(places), len(places[1:])]
    assert int(array[0]) == sum(1 << place for place in places[1:])


@pytest.mark.parametrize("dtype", FLOATS)
def test_addresses_of_scratch(dtype: type) -> None:
    results = np.ones(20, np.int64)
    parallel(_addresses, 1, np.empty(0, dtype), results)
    assert not (results % 64).any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_by_their_addresses(dtype: type) -> None:
    table, out = rows(3, 0, dtype), rows(3, 1, dtype)
    expected = table + out
    expected[1] = 0
    parallel(_rows_at, 1, table, out)
    assert np.array_equal(out, expected)


SIDES = [1, 7, 8, 63, 65, 130]


@pytest.mark.parametrize(
    "case",
    pairs(neurons=SIDES, features=SIDES, dtype=[torch.float32, torch.float64]),
    ids=named,
)
def test_weights_in_blocks(case: Case) -> None:
    neurons, features, dtype = case.values()
    weight = torch.randn(neurons, features, dtype=dtype)
    laid_out = torch.from_numpy(blocks.weight_blocks(weight))
    padded = torch.zeros(blocks.blocks_of(neurons) * WIDTH, features, dtype=dtype)
    padded[:neurons] = weight
    assert torch.equal(laid_out, padded.view(-1, WIDTH, features).transpose(1, 2))
    strided = weight.T.contiguous().T
    assert np.array_equal(blocks.weight_blocks(strided), laid_out.numpy())


@pytest.mark.parametrize("neurons", [5, 64, 100])
@given(SEEDS, st.sets(st.integers(0, 133)))
@example(0, set())
def test_loaded_weights_of_the_inputs_that_fired(neurons: int, seed: int, active: set[int]) -> None:
    weight = np.random.default_rng(seed).random((neurons, 134), np.float32)
    fired = np.zeros(192, np.bool_)
    fired[list(active)] = True
    words = np.packbits(fired, bitorder="little").view(np.uint64)
    for m, expected in enumerate(blocks.weight_blocks(torch.from_numpy(weight))):
        block = np.full((134, WIDTH), np.nan, np.float32)
        parallel(_load_block, 1, block, weight, m, words)
        assert np.array_equal(block[fired[:134]], expected[fired[:134]])
        if not active:
            assert np.isnan(block).all()


@elementwise
def _arithmetic(x: Any, y: Any, c: Any) -> Any:
    return (
        x + y - c * x,
        1 + x / (-y - 2),
        where(x > y, x, 0),
        where(x < 1, -1, abs(y)),
        exp(-abs(x)) + 1 / c,
    )


@kernel
def _formula(queue, out, x, y, c):
    for _ in units_of(queue):
        _arithmetic(out[0], out[1], out[2], out[3], out[4], x, y, c)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_formula_compiled_and_in_numpy(dtype: type) -> None:
    x, y = np.random.default_rng(0).uniform(0.1, 3, (2, WIDTH)).astype(dtype)
    compiled, plain = np.zeros((2, 5, WIDTH), dtype)
    parallel(_formula, 1, compiled, x, y, dtype(0.7))
    _arithmetic(*plain, x, y, dtype(0.7))
    assert np.array_equal(compiled[:4], plain[:4])
    np.testing.assert_allclose(compiled[4], plain[4], rtol=4 * np.finfo(dtype).eps)


SURROGATES = [
    *(kind() for kind in FORMULAS),
    ops.ATan(alpha=0.5),
    ops.SparseFastSigmoid(slope=4.0, cutoff=-0.5),
    ops.Sigmoid(slope=1000.0),
    ops.SpikeRateEscape(beta=7.0, slope=0.5),
]


@kernel
def _slope(queue, row, membrane, threshold, kind, first, second):
    for _ in units_of(queue):
        through_spikes(kind, row, row, membrane, threshold, first, second)


@pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
@pytest.mark.parametrize("dtype", FLOATS)
def test_derivatives_of_surrogates(surrogate: ops.Surrogate, dtype: type) -> None:
    """At the threshold, on the edges, and far from both."""
    near = np.linspace(-1, 1.6, 53)
    membrane = np.concatenate(
        [near, [0.6, 0.1, 1.6, 1e4, -1e4, 1e30, -1e30, np.inf, -np.inf, 0, 1]]
    )
    membrane, threshold = membrane.astype(dtype), np.full(WIDTH, 0.6, dtype)
    row = np.linspace(-2, 2, WIDTH).astype(dtype)
    expected = surrogate.derivative_(torch.from_numpy(membrane - threshold)).numpy() * row
    kind, *numbers = slope_of(surrogate)
    parallel(_slope, 1, row, membrane, threshold, kind, *map(dtype, numbers))
    # An exponential magnifies the rounding of its argument, which is at most 104 in single and
    # 745 in double precision where the result is not zero.
    exponential = isinstance(surrogate, ops.Sigmoid | ops.SpikeRateEscape)
    roundings = 2 * (104 if dtype == np.float32 else 745) if exponential else 8
    smallest = np.finfo(dtype).smallest_normal
    np.testing.assert_allclose(
        row, expected, rtol=roundings * np.finfo(dtype).eps, atol=float(smallest)
    )


def test_registers_of_processors() -> None:
    assert vector_bytes("arm64-apple-darwin23", "+neon,+fp-armv8") == 16
    assert vector_bytes("x86_64-pc-windows-msvc", "+avx,+avx2,-avx512f") == 32
    assert vector_bytes("x86_64-unknown-linux-gnu", "+sse2,-avx") == 16
    assert vector_bytes("x86_64-unknown-linux-gnu", "+avx,+avx512f,+avx512vl") == 64
