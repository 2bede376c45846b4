"""Further codes: rank order, delta, phase, burst and population, and a measure of codes. Internal.

For whoever compares codes. Needs: the core. Needed by: cli.

Their names are those of `spikemnist.encoding`, which knows them by a table alone.
"""
