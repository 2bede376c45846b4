"""Recordings of an event camera: their files, batches, spikes and pictures. Internal.

For whoever has an event camera. Needs: the core. Needed by: cli.

Their names are those of `spikemnist.data`, `spikemnist.encoding` and `spikemnist.viz`.
"""
