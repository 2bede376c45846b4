from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plasticity.bar_images import IMAGES, LABELS, small

if TYPE_CHECKING:
    from spikemnist.plasticity import STDPClassifier


@pytest.fixture(scope="session")
def fitted() -> STDPClassifier:
    return small().fit(IMAGES, LABELS, progress=False)
