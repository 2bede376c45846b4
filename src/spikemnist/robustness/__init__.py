"""Accuracy on disturbed images and spikes, and its picture. Internal.

For whoever asks what noise does to a network. Needs: the core. Needed by: cli.

Their names are those of `spikemnist.training` and `spikemnist.viz`.
"""
