"""``python -m spikemnist`` is ``spikemnist``."""

import sys

from spikemnist.cli import main

sys.exit(main())
