from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plasticity.bar_images import IMAGES, LABELS, small, small_features

if TYPE_CHECKING:
    from spikemnist.plasticity import ConvSTDPClassifier, STDPClassifier


@pytest.fixture(scope="session")
def fitted() -> STDPClassifier:
    return small().fit(IMAGES, LABELS, progress=False)


@pytest.fixture(scope="session")
def features() -> ConvSTDPClassifier:
    return small_features().fit(IMAGES, LABELS)
