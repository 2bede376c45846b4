from __future__ import annotations

import pytest

from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier
from tests.plasticity.bar_images import IMAGES, LABELS, small, small_features


@pytest.fixture(scope="session")
def fitted() -> STDPClassifier:
    return small().fit(IMAGES, LABELS, progress=False)


@pytest.fixture(scope="session")
def features() -> ConvSTDPClassifier:
    return small_features().fit(IMAGES, LABELS)
