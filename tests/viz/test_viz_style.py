from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.viz import _style

heights = st.lists(st.floats(0, 10), min_size=1, max_size=10)


@given(heights)
def test_spread(positions):
    moved = _style.spread(positions, 1.0, 0.0, 10.0)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [moved[i] for i in order]
    assert all(b - a >= 1.0 - 1e-9 for a, b in pairwise(placed))
    assert placed[0] >= -1e-9
    assert placed[-1] <= 10.0 + 1e-9


@given(heights)
def test_spread_of_distant_positions(positions):
    apart = [i + 0.05 * p / 10 for i, p in enumerate(positions)]
    assert _style.spread(apart, 0.9, 0.0, 10.0) == pytest.approx(apart, rel=0, abs=1e-12)


def test_spread_without_room():
    assert _style.spread([0.0] * 3, 1.0, 0.0, 1.0) == pytest.approx([0.0, 1.0, 2.0])


def test_looks_of_classes():
    looks = {str(_style.class_look(i)) for i in range(28)}
    assert len(looks) == 28
