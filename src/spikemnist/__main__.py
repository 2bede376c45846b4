"""Run ``spikemnist`` as ``python -m spikemnist``."""

import sys

from spikemnist.cli import program

sys.exit(program())
