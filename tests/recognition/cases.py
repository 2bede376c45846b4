"""The pictures of a decision, for the laws of all pictures."""

from __future__ import annotations

from spikemnist import viz
from tests.viz.viz_records import make_record

RECORD = make_record()
OF_RECORDS = ["spike_counts", "decision"]
OF_AXES = [
    ("spike_counts", lambda ax: viz.spike_counts(RECORD, label=1, ax=ax)),
    ("decision", lambda ax: viz.decision(RECORD, label=1, ax=ax)),
]
