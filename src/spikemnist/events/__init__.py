"""Recordings of an event camera: their files, batches, spikes and pictures. Internal.

Their names are those of `spikemnist.data`, `spikemnist.encoding` and `spikemnist.viz`.
"""
