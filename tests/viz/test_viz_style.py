from __future__ import annotations

from spikemnist.viz import _style


def test_looks_of_classes():
    looks = {str(_style.class_look(i)) for i in range(28)}
    assert len(looks) == 28
