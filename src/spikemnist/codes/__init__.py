"""Further codes: rank order, delta, phase, burst and population, and a measure of codes. Internal.

Their names are those of `spikemnist.encoding`, which knows them by a table alone.
"""
