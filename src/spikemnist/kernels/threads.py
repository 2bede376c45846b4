"""Names that moved to `scheduler`."""

from spikemnist.kernels.scheduler import parallel as parallel
