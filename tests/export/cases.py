"""Exports for the tests of all functions of a classifier."""

from __future__ import annotations

from spikemnist.export import to_html

OF_CLASSIFIERS = [to_html]
