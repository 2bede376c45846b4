"""Wrong values of options: exit code 2, and a message that names the option."""

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


def letters(text: str) -> str:
    """Return the letters of a text, which the parser may wrap and draw a box around."""
    return re.sub(r"[\W_]", "", text).lower()


@settings(max_examples=settings.default.max_examples // 2)
@given(st.data(), st.sampled_from(sorted(WRONG)), st.booleans())
def test_a_wrong_value_is_refused_by_the_name_of_its_option(
    data: st.DataObject, option: str, joined: bool
) -> None:
    value = data.draw(WRONG[option])
    words = [f"--{option}={value}"] if joined else [f"--{option}", value]
    printed, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(error):
        code = main(["train", *words])
    message = error.getvalue()
    assert (code, printed.getvalue()) == (2, ""), message
    assert letters(option) in letters(message)
    assert "Traceback" not in message
