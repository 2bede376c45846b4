"""What the server of `small_runs.PROCESSES` has done before it forks a process.

Each process would take half a second to import what Numba and torch import at their first use.
"""

import torch
import torch._dynamo  # the optimisers import it

from tests.training.small_runs import RANDOM

RANDOM(torch.zeros(1, 28, 28))
