from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plasticity.bar_images import IMAGES, LABELS, small, twice

if TYPE_CHECKING:
    from spikemnist.plasticity import STDPClassifier


@pytest.fixture(scope="module")
def fitted() -> STDPClassifier:
    return small().fit(IMAGES, LABELS, progress=False)


@pytest.fixture(scope="module")
def undisturbed() -> STDPClassifier:
    return twice().fit(IMAGES, LABELS, progress=False)
