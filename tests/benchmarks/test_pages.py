"""The pages of results, and the results in the README, are written from ``results.json``.

After a failure: ``python -m benchmarks --draw --out docs/benchmarks``.
"""

from __future__ import annotations

import json

from benchmarks import __main__, readme, report

RESULTS = json.loads((readme.PUBLISHED / "results.json").read_text("utf-8"))


def test_written_pages() -> None:
    pictures = [f"../../docs/benchmarks/{name}" for name in report.PICTURES]
    for name, expected in __main__.pages(RESULTS, pictures).items():
        assert (readme.PAGES / name).read_text("utf-8") == expected, name


def test_written_results_of_the_readme() -> None:
    actual = readme.README.read_text("utf-8")
    assert actual == readme.written(actual, RESULTS)
    assert readme.BEGIN in actual
