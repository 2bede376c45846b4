"""Names that moved to `scheduler`."""

from spikemnist.kernels.scheduler import next_unit as next_unit
