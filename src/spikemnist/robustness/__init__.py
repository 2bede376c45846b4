"""Accuracy on disturbed images and spikes, and its picture. Internal.

Their names are those of `spikemnist.training` and `spikemnist.viz`.
"""
