"""Names that a user chooses from, one list for each set, and a default that rooms share.

Nothing heavy is imported here, so that the command line can list them at once.
"""

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
