"""Exports for the tests of all functions of a classifier."""

from __future__ import annotations

from spikemnist import Classifier, LeakyMLP
from spikemnist.export import to_c, to_html, to_nir, to_onnx

EXPORTS = [to_html]

CLASSIFIER = Classifier(LeakyMLP(hidden=8, reset_mechanism="zero"), "latency")
TO_FILES = [
    ("to_html", lambda path: to_html(CLASSIFIER, path)),
    ("to_onnx", lambda path: to_onnx(CLASSIFIER, path)),
    ("to_nir", lambda path: to_nir(CLASSIFIER.network, path)),
    ("to_c", lambda path: to_c(CLASSIFIER, path)),
]
"""What writes a file of a path."""

IDLE_OPTIONS = [
    ("export mnist-mlp --weights int8", "--weights: without --to c"),
    ("export mnist-mlp --to onnx --weights float32", "--weights: without --to c"),
]
"""Options of a command that would do nothing, and why."""
