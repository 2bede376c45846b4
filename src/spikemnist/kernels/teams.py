"""Names that moved to `scheduler`."""

from spikemnist.kernels.scheduler import borrowed as borrowed
from spikemnist.kernels.scheduler import by_team as by_team
