"""Benchmarks: all candidates in one process and in turn, and no speed on a wrong answer.

    python -m benchmarks --help

Not part of the wheel. It times as ``spikemnist bench`` does, with `spikemnist.cli.timing`.
"""
