"""Names that a user chooses from, one list for each set, and a default that rooms share.

Nothing heavy is imported here, so that the command line can list them at once.
"""

import difflib
from collections.abc import Iterable
from typing import Literal

Backend = Literal["auto", "event_driven", "triton", "reference", "snntorch"]
ResetMechanism = Literal["subtract", "zero", "none"]
SurrogateName = Literal[
    "atan",
    "fast_sigmoid",
    "heaviside",
    "sigmoid",
    "sparse_fast_sigmoid",
    "spike_rate_escape",
    "straight_through",
    "triangular",
]
ReadoutName = Literal["mean_membrane", "max_membrane", "spike_count", "first_spike"]
OptimizerName = Literal["adam", "adamw", "sgd"]
ScheduleName = Literal["one_cycle", "cosine", "constant"]
LossName = Literal["cross_entropy", "spike_time_cross_entropy", "spike_time_mse"]
AugmentationName = Literal["affine", "elastic", "erase", "flip"]
NetworkName = Literal["mlp", "conv"]
Voting = Literal["proportional", "assigned"]
DataName = Literal["digits", "mnist", "fashion_mnist", "nmnist"]
TechnologyName = Literal["45nm-fp32", "45nm-fp16", "45nm-int32", "45nm-int8"]
MemoryName = Literal["8KB", "32KB", "1MB", "DRAM"]

NUM_STEPS = 8
"""Number of timesteps of an encoder that is given none."""


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return a question for the name that was meant, or an empty string.

    Examples
    --------
    >>> suggestion("treshold", ["beta", "threshold"])
    '; did you mean threshold?'
    """
    bare = {name.lstrip("-"): name for name in names}
    close = difflib.get_close_matches(word.lstrip("-"), bare, 1)
    return f"; did you mean {bare[close[0]]}?" if close else ""
