"""Benchmarks: compared in one process and in turn, printed only when the results agree."""
