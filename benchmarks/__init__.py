"""Benchmarks: everyone in one process and in turn, and no speed on a wrong answer.

    python -m benchmarks --help

Not part of the wheel. What ``spikemnist bench`` shares with it is in `spikemnist.benchmark`.
"""
