from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from bar_images import IMAGES, LABELS, small, twice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spikemnist.plasticity import STDPClassifier


@pytest.fixture
def threads() -> Iterator[None]:
    """Put torch's number of threads back afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def fitted() -> STDPClassifier:
    return small().fit(IMAGES, LABELS, progress=False)


@pytest.fixture(scope="module")
def undisturbed() -> STDPClassifier:
    return twice().fit(IMAGES, LABELS, progress=False)
