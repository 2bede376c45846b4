"""Benchmarks: all candidates take turns in one process; only correct candidates are timed.

    python -m benchmarks --help

This package is not part of the wheel.
"""
