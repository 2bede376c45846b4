"""``spikemnist export`` of what has no network."""

from __future__ import annotations

import pytest

from tests.cli.command import error
from tests.cli.conftest import Trained

pytestmark = pytest.mark.slow


def test_a_run_of_stdp_is_refused(stdp: Trained) -> None:
    folder, _ = stdp
    message = error("export", folder, cwd=folder.parent)
    assert "to_html takes a Classifier, a network with its encoder" in message
