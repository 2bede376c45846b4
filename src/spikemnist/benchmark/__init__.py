"""Timing that can be trusted: contestants in turn, in one process, and no speed on a wrong answer.

What ``spikemnist bench`` needs, and what the larger benchmark of the source tree builds on.
"""

from spikemnist.benchmark.comparison import compare, network_jobs, no_ratio, plain
from spikemnist.benchmark.contestant import STAGES, Contestant, TorchContestant
from spikemnist.benchmark.machine import describe_machine, others_took, processor_share
from spikemnist.benchmark.networks import Ours, SnnTorchLoop, our_backends
from spikemnist.benchmark.oracle import Oracle, Verdict
from spikemnist.benchmark.timing import Job, Timing, milliseconds, time_in_turn
from spikemnist.benchmark.workload import (
    BETA,
    CODES,
    Batch,
    Work,
    Workload,
    first_weights,
    trained_weights,
)

__all__ = [
    "BETA",
    "CODES",
    "STAGES",
    "Batch",
    "Contestant",
    "Job",
    "Oracle",
    "Ours",
    "SnnTorchLoop",
    "Timing",
    "TorchContestant",
    "Verdict",
    "Work",
    "Workload",
    "compare",
    "describe_machine",
    "first_weights",
    "milliseconds",
    "network_jobs",
    "no_ratio",
    "others_took",
    "our_backends",
    "plain",
    "processor_share",
    "time_in_turn",
    "trained_weights",
]
