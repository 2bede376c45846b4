"""Recognise what is in pictures of your own, with doubts, and load sets of your own images.

For whoever shows a trained network pictures that are no data set. Needs: the core. Needed by: cli.

Import its names from here; its modules are internal.

`spikemnist.data` has `spikemnist.data.prepare_image` and `spikemnist.data.load_images`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemnist._lazy import lazy

if TYPE_CHECKING:
    from spikemnist.recognition.decision import Decision as Decision
    from spikemnist.recognition.decision import decide as decide
    from spikemnist.recognition.doubts import measure_limits as measure_limits
else:
    _MODULES = {".decision": "Decision decide", ".doubts": "measure_limits"}
    __getattr__, __dir__, __all__ = lazy(__name__, _MODULES)
