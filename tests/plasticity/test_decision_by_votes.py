"""Decisions of classifiers that vote."""

from __future__ import annotations

from spikemnist import decide
from tests.plasticity.cases import LEARNED_CLASSIFIERS
from tests.recognition.test_decision import TWO


def test_votes_have_no_margin_and_no_record() -> None:
    decision = decide(dict(LEARNED_CLASSIFIERS)["features"](), TWO)
    assert (decision.margin, decision.sure, decision.record) == (None, None, None)
    assert decision.doubts == ("ink in 2 parts: several digits?",)
    assert [name for name, _ in decision.table().rows] == [
        *("prediction", "second", "spikes", "pixels", "strokes")
    ]
