"""Wrong values of options: exit code 2, one line that names the option, and no file."""

from __future__ import annotations

import contextlib
import io
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from spikemnist.cli import main

SMALL = st.integers(max_value=0).map(str)
TEXT = st.sampled_from(["x", "", "nan", "1.5", "ten", "ü", "../..", "a" * 300])
WRONG = {
    **dict.fromkeys(("epochs", "batch-size", "hidden", "num-steps"), SMALL | TEXT),
    **dict.fromkeys(("lr", "threshold"), st.floats(max_value=-1e-9).map(str) | st.just("x")),
    "seed": st.integers(max_value=-1).map(str) | TEXT,
    **dict.fromkeys(("data", "model", "encoder", "backend", "loss", "schedule"), TEXT),
    "dropout": st.floats(min_value=1.0, max_value=9.0).map(str) | TEXT.filter(lambda t: t != "nan"),
    "epoch": TEXT,
    "no-such-option": TEXT,
}
"""Values by the option of `spikemnist train`; the last two do not exist."""


def plain(text: str) -> str:
    return re.sub(r"[-_\s]", "", text).lower()


@settings(max_examples=settings.default.max_examples // 2)
@given(st.data(), st.sampled_from(sorted(WRONG)), st.booleans())
def test_a_wrong_value_is_refused_by_the_name_of_its_option(
    data: st.DataObject, option: str, joined: bool
) -> None:
    value = data.draw(WRONG[option])
    words = [f"--{option}={value}"] if joined else [f"--{option}", value]
    printed, complaint = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(complaint):
        code = main(["train", *words])
    said = complaint.getvalue()
    assert (code, printed.getvalue(), said.count("\n")) == (2, "", 1), said
    assert plain(option) in plain(said)
    assert len(said) < 1000
