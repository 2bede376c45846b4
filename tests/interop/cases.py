"""Networks that snnTorch steps, for the laws of all runs."""

from __future__ import annotations

import snntorch

SECOND = "network.modules.network.2."
OTHER = [
    ("snnTorch", {"inhibition": True}, f"{SECOND}inhibition was False, is True"),
    ("snnTorch", {"reset_delay": False}, f"{SECOND}reset_delay was True, is False"),
    ("snnTorch", {"kind": snntorch.Lapicque}, f"{SECOND}name was 'Leaky', is 'Lapicque'"),
]
"""A kind of run, changes of its options, and the difference in words."""
