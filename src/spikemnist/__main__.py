"""Run ``spikemnist`` as ``python -m spikemnist``."""

import sys

from spikemnist.cli import main

sys.exit(main())
