from __future__ import annotations

import sys
from pathlib import Path

# `benchmarks` is no part of the installed package: it is found in the source tree.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
